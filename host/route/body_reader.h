// Reads from a JSON body the values that a plan names, in one pass and without building a document.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/route/arena.h"
#include "host/route/body_plan.h"
#include "host/route/value.h"

namespace kante::route_detail {

inline constexpr std::size_t kBodyDepthMax =
    64;  // Nested objects and arrays; deeper is as good as no JSON.

enum class BodyState : std::uint8_t {
  kRead,
  kNotJsonType,      // Content type is not application/json.
  kUnknownEncoding,  // Content encoding is none of utf-8, utf-16, utf-32 (none at all is utf-8, as
                     // JSON is).
  kMalformed,
  kNotAnObject,
};

// Undefined, but something stands there: an object or array.
Value compositeValue();
bool isComposite(const Value& value);

// One for each scratch; values stay valid until the next read().
class BodyReader {
 public:
  BodyReader();
  ~BodyReader();

  BodyState read(const BodyPlan& plan, std::string_view content_type,
                 std::string_view content_encoding, std::string_view body);
  // What the last read() found for a cell; undefined unless it said kRead.
  const Value& cell(std::uint32_t cell) const { return cells_[cell]; }

 private:
  class Handler;
  BodyState parse(const BodyPlan& plan, std::string_view text);

  std::vector<Value> cells_;
  Arena arena_;
  std::string transcoded_;
  std::string piece_;  // Of a key, text or number that comes in parts.
};

}  // namespace kante::route_detail
