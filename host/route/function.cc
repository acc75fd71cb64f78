#include "host/route/function.h"

#include <charconv>
#include <cmath>
#include <cstring>

#include "host/route/letter_case.h"
#include "host/route/lexer.h"

namespace kante::route_detail {
namespace {

using Arguments = std::span<const Value>;

bool isNumber(const Value& value) { return value.kind == ValueKind::kNumber; }
bool isText(const Value& value) { return value.kind == ValueKind::kText; }

template <double (*kFunction)(double)>
Value numeric(Arguments a, Arena&) {
  return isNumber(a[0]) ? Value::of(kFunction(a[0].number)) : Value::undefined();
}

double absolute(double x) { return std::fabs(x); }
double exponential(double x) { return std::exp(x); }
double ceiling(double x) { return std::ceil(x); }
double floorOf(double x) { return std::floor(x); }
double squareRoot(double x) { return std::sqrt(x); }
double square(double x) { return x * x; }

Value sign(Arguments a, Arena&) {
  if (!isNumber(a[0]) || std::isnan(a[0].number)) return Value::undefined();
  const double x = a[0].number;
  return Value::of(x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0);
}

Value power(Arguments a, Arena&) {
  if (!isNumber(a[0]) || !isNumber(a[1])) return Value::undefined();
  return Value::of(std::pow(a[0].number, a[1].number));
}

Value asNumber(Arguments a, Arena&) {
  if (isNumber(a[0])) return a[0];
  return isText(a[0]) ? numberOf(a[0].text()) : Value::undefined();
}

template <ValueKind kKind>
Value isKind(Arguments a, Arena&) {
  return Value::of(a[0].kind == kKind);
}

Value isDefined(Arguments a, Arena&) { return Value::of(a[0].kind != ValueKind::kUndefined); }

Value concat(Arguments a, Arena& arena) {
  std::size_t size = 0;
  for (const Value& value : a) {
    if (!isText(value)) return Value::undefined();
    size += value.size;
  }
  if (size > kEvaluationTextMax) return Value::undefined();
  char* const out = arena.allocate(size);
  if (out == nullptr) return Value::undefined();
  std::size_t at = 0;
  for (const Value& value : a) {
    if (value.size != 0) std::memcpy(out + at, value.data, value.size);
    at += value.size;
  }
  return Value::of(std::string_view(out, size));
}

Value length(Arguments a, Arena&) {
  return isText(a[0]) ? Value::of(static_cast<double>(charactersIn(a[0].text())))
                      : Value::undefined();
}

template <LetterCase kCase>
Value inCase(Arguments a, Arena& arena) {
  if (!isText(a[0]) || a[0].size > kEvaluationTextMax) return Value::undefined();
  char* const out = arena.allocate(a[0].size);
  if (out == nullptr) return Value::undefined();
  changeCase(kCase, a[0].text(), out);
  return Value::of(std::string_view(out, a[0].size));
}

// Byte where character n begins, or npos beyond the end; n = length gives the size.
std::size_t byteOfCharacter(std::string_view text, double n) {
  if (!(n >= 0) || n > static_cast<double>(text.size())) return std::string_view::npos;
  auto left = static_cast<std::size_t>(n);
  std::size_t at = 0;
  for (; left > 0 && at < text.size(); --left) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0u) == 0x80u) ++at;
  }
  return left == 0 ? at : std::string_view::npos;
}

Value substring(Arguments a, Arena&) {
  if (!isText(a[0]) || !isNumber(a[1])) return Value::undefined();
  const std::size_t begin = byteOfCharacter(a[0].text(), std::trunc(a[1].number));
  if (begin == std::string_view::npos) return Value::undefined();
  const std::string_view rest = a[0].text().substr(begin);
  if (a.size() == 2) return Value::of(rest);
  if (!isNumber(a[2])) return Value::undefined();
  const std::size_t end = byteOfCharacter(rest, std::trunc(a[2].number));
  return end == std::string_view::npos ? Value::undefined() : Value::of(rest.substr(0, end));
}

// memmem is linear; std::string_view::find is quadratic, on texts of 1 MiB that a sender chooses.
std::size_t find(std::string_view text, std::string_view part) {
  if (part.empty()) return 0;
  if (text.size() < part.size()) return std::string_view::npos;
  const void* const hit = ::memmem(text.data(), text.size(), part.data(), part.size());
  if (hit == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(hit) - text.data());
}

Value indexOf(Arguments a, Arena&) {
  if (!isText(a[0]) || !isText(a[1])) return Value::undefined();
  const std::size_t at = find(a[0].text(), a[1].text());
  if (at == std::string_view::npos) return Value::of(-1.0);
  return Value::of(static_cast<double>(charactersIn(a[0].text().substr(0, at))));
}

Value contains(Arguments a, Arena&) {
  if (!isText(a[0]) || !isText(a[1])) return Value::undefined();
  return Value::of(find(a[0].text(), a[1].text()) != std::string_view::npos);
}

Value startsWith(Arguments a, Arena&) {
  if (!isText(a[0]) || !isText(a[1])) return Value::undefined();
  return Value::of(a[0].text().starts_with(a[1].text()));
}

Value endsWith(Arguments a, Arena&) {
  if (!isText(a[0]) || !isText(a[1])) return Value::undefined();
  return Value::of(a[0].text().ends_with(a[1].text()));
}

using P = Parameter;
constexpr std::array<P, 3> kNumbers{P::kNumber, P::kNumber, P::kNumber};
constexpr std::array<P, 3> kTexts{P::kText, P::kText, P::kText};
constexpr std::array<P, 3> kAnything{P::kAnything, P::kAnything, P::kAnything};
constexpr std::array<P, 3> kConvertible{P::kNumberOrText, P::kNumberOrText, P::kNumberOrText};
constexpr std::array<P, 3> kTextAndNumbers{P::kText, P::kNumber, P::kNumber};

constexpr StaticType kBool = StaticType::kBool;
constexpr StaticType kNumber = StaticType::kNumber;
constexpr StaticType kText = StaticType::kText;

constexpr std::array<Function, 23> kFunctions{{
    {"abs", 1, 1, kNumbers, kNumber, numeric<absolute>},
    {"as_number", 1, 1, kConvertible, kNumber, asNumber},
    {"ceiling", 1, 1, kNumbers, kNumber, numeric<ceiling>},
    {"concat", 2, kArgumentsMax, kTexts, kText, concat},
    {"contains", 2, 2, kTexts, kBool, contains},
    {"ends_with", 2, 2, kTexts, kBool, endsWith},
    {"exp", 1, 1, kNumbers, kNumber, numeric<exponential>},
    {"floor", 1, 1, kNumbers, kNumber, numeric<floorOf>},
    {"index_of", 2, 2, kTexts, kNumber, indexOf},
    {"is_bool", 1, 1, kAnything, kBool, isKind<ValueKind::kBool>},
    {"is_defined", 1, 1, kAnything, kBool, isDefined},
    {"is_null", 1, 1, kAnything, kBool, isKind<ValueKind::kNull>},
    {"is_number", 1, 1, kAnything, kBool, isKind<ValueKind::kNumber>},
    {"is_string", 1, 1, kAnything, kBool, isKind<ValueKind::kText>},
    {"length", 1, 1, kTexts, kNumber, length},
    {"lower", 1, 1, kTexts, kText, inCase<LetterCase::kLower>},
    {"power", 2, 2, kNumbers, kNumber, power},
    {"sign", 1, 1, kNumbers, kNumber, sign},
    {"sqrt", 1, 1, kNumbers, kNumber, numeric<squareRoot>},
    {"square", 1, 1, kNumbers, kNumber, numeric<square>},
    {"starts_with", 2, 2, kTexts, kBool, startsWith},
    {"substring", 2, 3, kTextAndNumbers, kText, substring},
    {"upper", 1, 1, kTexts, kText, inCase<LetterCase::kUpper>},
}};

}  // namespace

std::span<const Function> functions() { return kFunctions; }

const Function* findFunction(std::string_view name) {
  for (const Function& function : kFunctions) {
    if (sameIgnoringCase(function.name, name)) return &function;
  }
  return nullptr;
}

Value numberOf(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return Value::undefined();
  text = text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
  if (text.starts_with('+') && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
  double number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = read.ec == std::errc() && read.ptr == text.data() + text.size();
  return whole && std::isfinite(number) ? Value::of(number) : Value::undefined();
}

}  // namespace kante::route_detail
