#include "host/route/body_reader.h"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cstring>

#include "host/route/lexer.h"
#include "host/route/transcode.h"

namespace kante::route_detail {
namespace {

namespace json = boost::json;
using boost::system::error_code;

bool isJsonType(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  return sameIgnoringCase(type, "application/json");
}

}  // namespace

Value compositeValue() {
  Value value = Value::undefined();
  value.size = 1;
  return value;
}

bool isComposite(const Value& value) {
  return value.kind == ValueKind::kUndefined && value.size == 1;
}

// Follows the document with the plan's node for each open object or array.
class BodyReader::Handler {
 public:
  static constexpr std::size_t max_object_size = ~std::size_t{0};
  static constexpr std::size_t max_array_size = ~std::size_t{0};
  static constexpr std::size_t max_key_size = ~std::size_t{0};
  static constexpr std::size_t max_string_size = ~std::size_t{0};

  Handler(BodyReader& reader, const BodyPlan& plan, std::string_view text)
      : reader_(reader), plan_(plan), text_(text) {}

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return open(Level::kObject); }
  bool on_object_end(std::size_t, error_code&) { return close(); }
  bool on_array_begin(error_code& error) {
    if (depth_ == 0) return refuse(error);
    return open(Level::kArray);
  }
  bool on_array_end(std::size_t, error_code&) { return close(); }

  bool on_key_part(json::string_view part, std::size_t, error_code&) { return keep(part); }
  bool on_key(json::string_view last, std::size_t, error_code&) {
    next_ = plan_.member(levels_[depth_ - 1].node, whole(last));
    reader_.piece_.clear();
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, error_code&) {
    return wanted() == BodyPlan::kNone || keep(part);
  }
  bool on_string(json::string_view last, std::size_t, error_code& error) {
    if (depth_ == 0) return refuse(error);
    if (wanted() != BodyPlan::kNone) set(textValue(whole(last)));
    reader_.piece_.clear();
    return done();
  }

  bool on_number_part(json::string_view part, error_code&) { return keep(part); }
  bool on_int64(std::int64_t number, json::string_view, error_code& error) {
    return scalar(Value::of(static_cast<double>(number)), error);
  }
  bool on_uint64(std::uint64_t number, json::string_view, error_code& error) {
    return scalar(Value::of(static_cast<double>(number)), error);
  }
  // Read again: the parser's own conversion may be off in the last place, and a route may compare
  // for equality.
  bool on_double(double number, json::string_view last, error_code& error) {
    const std::string_view text = whole(last);
    double exact = number;
    if (std::from_chars(text.data(), text.data() + text.size(), exact).ec != std::errc())
      exact = number;
    return scalar(Value::of(exact), error);
  }
  bool on_bool(bool truth, error_code& error) { return scalar(Value::of(truth), error); }
  bool on_null(error_code& error) { return scalar(Value::null(), error); }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }

  bool isObject() const { return is_object_; }

 private:
  struct Level {
    enum Kind : std::uint8_t { kObject, kArray };
    Kind kind = kObject;
    std::uint32_t node = BodyPlan::kNone;
    std::uint64_t count = 0;  // Of elements, in an array.
  };

  bool refuse(error_code& error) {
    is_object_ = false;
    error = json::error::syntax;
    return false;
  }

  // The plan's node for the value that comes now.
  std::uint32_t wanted() const {
    if (depth_ == 0) return BodyPlan::kRoot;
    const Level& level = levels_[depth_ - 1];
    return level.kind == Level::kObject ? next_ : plan_.element(level.node, level.count);
  }

  // The last of several members with one name counts, with all that is below it.
  void set(const Value& value) {
    const std::uint32_t node = wanted();
    if (node == BodyPlan::kNone) return;
    const auto cells = reader_.cells_.begin();
    std::fill(cells + node, cells + plan_.end(node), Value::undefined());
    reader_.cells_[node] = value;
  }
  bool done() {
    if (depth_ > 0) ++levels_[depth_ - 1].count;
    return true;
  }
  bool scalar(const Value& value, error_code& error) {
    reader_.piece_.clear();
    if (depth_ == 0) return refuse(error);
    set(value);
    return done();
  }

  bool open(Level::Kind kind) {
    const std::uint32_t node = wanted();
    set(compositeValue());
    // The parser holds the same bound before it calls.
    levels_[depth_++] = {kind, node, 0};
    return true;
  }
  bool close() {
    --depth_;
    return done();
  }

  bool keep(json::string_view part) {
    reader_.piece_.append(part.data(), part.size());
    return true;
  }
  std::string_view whole(json::string_view last) {
    if (reader_.piece_.empty()) return {last.data(), last.size()};
    keep(last);
    return reader_.piece_;
  }
  // Texts without escapes stay where they are.
  Value textValue(std::string_view text) {
    if (std::less_equal<>()(text_.data(), text.data()) &&
        std::less_equal<>()(text.data() + text.size(), text_.data() + text_.size())) {
      return Value::of(text);
    }
    char* const copy = reader_.arena_.allocate(text.size());
    if (copy == nullptr) return Value::undefined();
    if (!text.empty()) std::memcpy(copy, text.data(), text.size());
    return Value::of(std::string_view(copy, text.size()));
  }

  BodyReader& reader_;
  const BodyPlan& plan_;
  std::string_view text_;
  std::array<Level, kBodyDepthMax + 1> levels_;
  std::size_t depth_ = 0;
  std::uint32_t next_ = BodyPlan::kNone;
  bool is_object_ = true;
};

BodyReader::BodyReader() : arena_(kEvaluationBytesMax + kEvaluationBytesInline) {}
BodyReader::~BodyReader() = default;

BodyState BodyReader::read(const BodyPlan& plan, std::string_view content_type,
                           std::string_view content_encoding, std::string_view body) {
  cells_.assign(plan.size(), Value::undefined());
  if (!isJsonType(content_type)) return BodyState::kNotJsonType;
  if (content_encoding.empty() || sameIgnoringCase(content_encoding, "utf-8")) {
    if (body.starts_with("\xef\xbb\xbf")) body.remove_prefix(3);
    return parse(plan, body);
  }
  const bool wide = sameIgnoringCase(content_encoding, "utf-16");
  if (!wide && !sameIgnoringCase(content_encoding, "utf-32")) return BodyState::kUnknownEncoding;
  if (!(wide ? fromUtf16(body, transcoded_) : fromUtf32(body, transcoded_)))
    return BodyState::kMalformed;
  return parse(plan, transcoded_);
}

BodyState BodyReader::parse(const BodyPlan& plan, std::string_view text) {
  arena_.reset();
  piece_.clear();
  json::parse_options options;
  options.max_depth = kBodyDepthMax;
  json::basic_parser<Handler> parser(options, *this, plan, text);
  error_code error;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
  const bool whole = !error && text.find_first_not_of(" \t\r\n", used) == std::string_view::npos;
  if (whole) return BodyState::kRead;
  std::fill(cells_.begin(), cells_.end(), Value::undefined());
  return parser.handler().isObject() ? BodyState::kMalformed : BodyState::kNotAnObject;
}

}  // namespace kante::route_detail
