#include "host/hub/twin_rules.h"

#include <boost/json.hpp>
#include <string>

#include "host/base/json.h"
#include "host/hub/twins.h"

namespace kante {
namespace {

namespace json = boost::json;

// Enough for a text that is refused for its meaning, not for its size.
constexpr JsonBounds kBounds{Twins::kSectionBytesMax, Twins::kDepthMax + 8};

Error refuse(const std::string& at, const std::string& why, Errc code = Errc::kInvalid) {
  return fail(code, at + ": " + why);
}

Status checkName(std::string_view name, const std::string& at) {
  if (name.empty()) return refuse(at, "a member name is empty");
  if (name.size() > Twins::kKeyBytesMax)
    return refuse(
        at.substr(0, 64) + "…",
        "the member name is longer than " + std::to_string(Twins::kKeyBytesMax) + " bytes",
        Errc::kLimit);
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    // U+0080 … U+009F are control characters too: C2 80 … C2 9F in UTF-8.
    const bool high_control = c == 0xc2 && static_cast<unsigned char>(name[i + 1]) < 0xa0;
    if (c <= 0x20 || c == 0x7f || high_control || c == '.' || c == '$' || c == '#')
      return refuse(at,
                    "a member name has no control characters, white space, \".\", \"$\" or \"#\"");
  }
  return {};
}

class Checker {
 public:
  explicit Checker(TwinText kind) : kind_(kind) {}

  // depth: objects and arrays around the value, the root not counted.
  Status check(const json::value& value, const std::string& at, std::size_t depth, bool in_array) {
    switch (value.kind()) {
      case json::kind::null:
        if (in_array) return refuse(at, "null inside an array");
        if (kind_ == TwinText::kSection) return refuse(at, "null; leave the member out");
        return {};
      case json::kind::int64: {
        const std::int64_t number = value.get_int64();
        if (number > Twins::kIntegerMax || number < -Twins::kIntegerMax)
          return refuse(at, "an integer lies between -2^52 and 2^52", Errc::kLimit);
        return {};
      }
      case json::kind::uint64:  // Only what no int64 holds.
        return refuse(at, "an integer lies between -2^52 and 2^52", Errc::kLimit);
      case json::kind::string:
        if (value.get_string().size() > Twins::kStringBytesMax)
          return refuse(at,
                        "a string has at most " + std::to_string(Twins::kStringBytesMax) + " bytes",
                        Errc::kLimit);
        return {};
      case json::kind::array:
      case json::kind::object: return checkNested(value, at, depth + 1, in_array);
      default: return {};
    }
  }

  Status checkMembers(const json::object& object, const std::string& at, std::size_t depth,
                      bool in_array) {
    for (const auto& member : object) {
      const std::string place = jsonPointer(at, member.key());
      KANTE_CHECK(checkName(member.key(), place));
      KANTE_CHECK(check(member.value(), place, depth, in_array));
    }
    return {};
  }

 private:
  Status checkNested(const json::value& value, const std::string& at, std::size_t depth,
                     bool in_array) {
    if (depth > Twins::kDepthMax)
      return refuse(at, "nested deeper than " + std::to_string(Twins::kDepthMax) + " levels",
                    Errc::kLimit);
    if (value.is_object()) return checkMembers(value.get_object(), at, depth, in_array);
    const json::array& array = value.get_array();
    for (std::size_t i = 0; i < array.size(); ++i)
      KANTE_CHECK(check(array[i], jsonPointer(at, i), depth, true));
    return {};
  }

  TwinText kind_;
};

}  // namespace

Result<json::object> parseTwin(std::string_view text, TwinText kind) {
  KANTE_TRY(object, parseJsonObject(text, kBounds));
  KANTE_CHECK(Checker(kind).checkMembers(object, "", 0, false));
  return object;
}

Status checkTwinSection(std::string_view text) {
  KANTE_TRY(object, parseTwin(text, TwinText::kSection));
  if (writeJson(object).size() > Twins::kSectionBytesMax)
    return fail(Errc::kLimit,
                "a section has at most " + std::to_string(Twins::kSectionBytesMax) + " bytes");
  return {};
}

}  // namespace kante
