// Lines out of pieces of text as they come over a connection.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace kante::cli {

class LineReader {
 public:
  static constexpr std::size_t kLineBytesMax = 1 << 20;  // A longer line comes in pieces.

  // `on_line` gets each line without its end.
  explicit LineReader(std::function<void(std::string_view)> on_line)
      : on_line_(std::move(on_line)) {}

  void add(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::size_t end = bytes.find('\n');
      rest_ += bytes.substr(0, end);
      const bool complete = end != std::string_view::npos;
      bytes.remove_prefix(complete ? end + 1 : bytes.size());
      if (!complete && rest_.size() < kLineBytesMax) continue;
      on_line_(rest_);
      rest_.clear();
    }
  }

 private:
  std::function<void(std::string_view)> on_line_;
  std::string rest_;
};

}  // namespace kante::cli
