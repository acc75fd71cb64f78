#include "host/agent/members.h"

#include <boost/json.hpp>

#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/base/shown.h"

namespace kante {

namespace json = boost::json;

namespace {
// A document may have a name of 4 MiB: nobody reads that, and it would go into logs and reports.
constexpr std::size_t kPointerShownMax = 1024;
constexpr std::size_t kTextShownMax = 4096;
}  // namespace

Error failAt(const std::string& pointer, Errc code, const std::string& text) {
  const auto cut = [](const std::string& whole, std::size_t bytes_max) {
    return whole.size() <= bytes_max ? whole : shown(whole, bytes_max);
  };
  return kante::fail(code, cut(pointer, kPointerShownMax) + ": " + cut(text, kTextShownMax));
}

Status Members::allow(std::initializer_list<std::string_view> known) const {
  for (const auto& member : object_) {
    const std::string_view name = member.key();
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string near = nearest(name, known);
    return fail(name,
                near.empty() ? "unknown member" : "unknown member; did you mean \"" + near + "\"?");
  }
  return {};
}

const json::value* Members::find(std::string_view name) const { return object_.if_contains(name); }

std::string Members::at(std::string_view name) const { return jsonPointer(pointer_, name); }

Error Members::fail(std::string_view name, const std::string& text, Errc code) const {
  return failAt(at(name), code, text);
}

Result<std::string> Members::text(std::string_view name, std::string fallback) const {
  const json::value* value = find(name);
  if (value == nullptr) return fallback;
  if (!value->is_string())
    return fail(name, std::string("expected a string, not ") + jsonKindName(*value));
  std::string text(value->get_string());
  if (text.find('\0') != std::string::npos) return fail(name, "a text holds no U+0000");
  return text;
}

Result<std::uint64_t> Members::number(std::string_view name, std::uint64_t fallback,
                                      std::uint64_t from, std::uint64_t to) const {
  const json::value* value = find(name);
  if (value == nullptr) return fallback;
  json::error_code error;
  const auto number =
      value->is_double() ? std::uint64_t{0} : value->to_number<std::uint64_t>(error);
  if (error || value->is_double() || number < from || number > to)
    return fail(
        name, "expected a whole number from " + std::to_string(from) + " to " + std::to_string(to));
  return number;
}

Result<std::size_t> Members::word(std::string_view name, std::span<const char* const> words,
                                  std::size_t fallback) const {
  if (!has(name)) return fallback;
  KANTE_TRY(word, text(name));
  std::string all;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (word == words[i]) return i;
    all += (i == 0                  ? "\""
            : i + 1 == words.size() ? " or \""
                                    : ", \"") +
           std::string(words[i]) + '"';
  }
  return fail(name, "\"" + word + "\" is not " + all);
}

Result<std::vector<std::string>> Members::texts(std::string_view name) const {
  std::vector<std::string> all;
  const json::value* value = find(name);
  if (value == nullptr) return all;
  if (!value->is_array())
    return fail(name, std::string("expected an array of strings, not ") + jsonKindName(*value));
  const json::array& array = value->get_array();
  for (std::size_t i = 0; i < array.size(); ++i) {
    if (!array[i].is_string())
      return failAt(jsonPointer(at(name), i), Errc::kInvalid,
                    std::string("expected a string, not ") + jsonKindName(array[i]));
    all.emplace_back(array[i].get_string());
  }
  return all;
}

Result<const json::object*> Members::object(std::string_view name) const {
  const json::value* value = find(name);
  if (value == nullptr) return static_cast<const json::object*>(nullptr);
  if (!value->is_object())
    return fail(name, std::string("expected an object, not ") + jsonKindName(*value));
  return &value->get_object();
}

}  // namespace kante
