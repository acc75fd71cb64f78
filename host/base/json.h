// JSON from outside, bounded before it is believed, and texts that are equal when their values are.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante {

struct JsonBounds {
  std::size_t bytes_max = 0;
  std::size_t depth_max = 32;  // Objects and arrays within each other.
};

// Strict JSON, one value, valid UTF-8, no object with the same member twice.  kLimit for a bound,
// kInvalid otherwise, with line and column.
Result<boost::json::value> parseJson(std::string_view text, const JsonBounds& bounds);
// Like it, and the value is an object.
Result<boost::json::object> parseJsonObject(std::string_view text, const JsonBounds& bounds);

// Without white space; members in their order, or sorted by name so that equal values have equal
// texts. Numbers with a fraction are written as short as they read back the same.
enum class MemberOrder { kAsIs, kSorted };
std::string writeJson(const boost::json::value& value, MemberOrder order = MemberOrder::kAsIs);
std::string writeJson(const boost::json::object& object, MemberOrder order = MemberOrder::kAsIs);

// Appends one reference token to a JSON pointer, escaped ("~0", "~1").
std::string jsonPointer(std::string_view parent, std::string_view token);
std::string jsonPointer(std::string_view parent, std::size_t index);

// "an object", "a string", "null", …
const char* jsonKindName(const boost::json::value& value);

}  // namespace kante
