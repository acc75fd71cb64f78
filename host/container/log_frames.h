// What a container wrote to its standard output and error, out of the engine's log stream.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante {

struct ContainerLine {
  enum class From { kOutput, kError };
  From from = From::kOutput;
  std::int64_t wall_ns = 0;  // When the engine took it; 0: it did not say.
  std::string text;          // Not empty, without its end; any bytes.
};

// The engine multiplexes both into frames: one byte says which, three are zero, four say how long,
// and each frame begins with a time and a space, because that is asked for.  A container with a
// terminal (kRaw) has one stream, without frames.  Lines longer than kLineMax are cut there.
class LogFrames {
 public:
  static constexpr std::size_t kLineMax = 4096;

  enum class Framing { kFrames, kRaw };
  using OnLine = std::function<void(const ContainerLine& line)>;
  LogFrames(Framing framing, OnLine on_line) : framing_(framing), on_line_(std::move(on_line)) {}

  // kCorrupt: these are no frames; nothing may follow.
  Status take(std::string_view bytes);
  void finish();  // What is left are lines, too.

 private:
  // One of the two: a line that grows.
  struct Stream {
    std::string time;  // While it may still be one.
    std::string text;
    std::int64_t wall_ns = 0;
    bool begins = true;    // Nothing of the line has come.
    bool in_time = false;  // At the beginning of a frame; of a line, where there are no frames.
    bool cutting = false;  // Amid a line that was too long.
  };

  Status beginFrame();
  void add(Stream& stream, std::string_view bytes);
  std::string_view takeTime(Stream& stream, std::string_view bytes);
  void append(Stream& stream, std::string_view text);
  void emit(Stream& stream);

  const Framing framing_;
  const OnLine on_line_;
  std::array<Stream, 2> streams_;  // In the order of From.
  std::string header_;             // Of the frame that begins.
  std::size_t current_ = 0;
  std::uint64_t left_ = 0;  // Of the current frame.
};

}  // namespace kante
