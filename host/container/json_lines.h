// Cuts a stream that comes in pieces into JSON objects, one a line, of bounded length.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante {

// A stream of JSON objects, one a line.  A line that is too long or no JSON ends the stream: there
// is no telling where the next would begin.
class JsonLines {
 public:
  static constexpr std::size_t kLineBytesMax = 256u << 10;

  using OnLine = std::function<Status(std::string_view line)>;  // An error ends it, too.
  explicit JsonLines(OnLine on_line) : on_line_(std::move(on_line)) {}

  Status take(std::string_view bytes);
  Status finish();  // What is left is a line, too.

 private:
  OnLine on_line_;
  std::string rest_;
};

}  // namespace kante
