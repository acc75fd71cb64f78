// What a module writes to its standard output and error, as lines of bounded length and rate.
//
// The runner's end blocks when the pipe is full, so a flood slows the flooder: the host reads at
// most kBytesPerSecond, hands on at most kLinesPerSecond and counts the rest.  Control thread.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "host/base/fd.h"

namespace kante {

// Cuts bytes into lines; longer ones are cut where they are too long, and said to be.
class LineCutter {
 public:
  static constexpr std::size_t kLineMax = 4096;
  using OnLine = std::function<void(std::string_view)>;
  explicit LineCutter(OnLine on_line) : on_line_(std::move(on_line)) {}
  void add(std::string_view bytes);
  void end();  // What is left is a line too.

 private:
  void emit(std::string_view line);
  OnLine on_line_;
  std::string rest_;
  bool cutting_ = false;  // Amid a line that was too long.
};

class LogPipe {
 public:
  static constexpr std::size_t kBytesPerSecond = 4u << 20;
  static constexpr std::uint32_t kLinesPerSecond = 100;

  LogPipe(boost::asio::io_context& io, LineCutter::OnLine on_line);
  ~LogPipe();
  LogPipe(const LogPipe&) = delete;
  LogPipe& operator=(const LogPipe&) = delete;

  void open(FileDescriptor read_end);
  // The last words of a process that is gone, as far as they are there.
  void finish();

 private:
  void wait();
  bool read();  // False: there is nothing now, or no more.
  void line(std::string_view text);
  void secondBegins();

  boost::asio::posix::stream_descriptor pipe_;
  boost::asio::steady_timer second_;
  LineCutter::OnLine on_line_;
  LineCutter cutter_;
  std::int64_t second_began_ns_ = 0;
  std::size_t bytes_ = 0;  // In this second, as are lines_ and left_out_.
  std::uint32_t lines_ = 0;
  std::uint64_t left_out_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace kante
