#include "host/sandbox/log_pipe.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "host/base/clock.h"

namespace kante {

namespace {
constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::size_t kReadMax = 64u << 10;  // At once, and after the end.
}  // namespace

void LineCutter::emit(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (!line.empty()) on_line_(line);
}

void LineCutter::add(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (!cutting_) {
      rest_.append(part.substr(0, kLineMax - rest_.size()));
      if (rest_.size() == kLineMax) {
        rest_ += "…";
        emit(std::exchange(rest_, {}));
        cutting_ = true;
      }
    }
    if (end == std::string_view::npos) return;
    if (!std::exchange(cutting_, false)) emit(std::exchange(rest_, {}));
    bytes.remove_prefix(end + 1);
  }
}

void LineCutter::end() {
  emit(std::exchange(rest_, {}));
  cutting_ = false;
}

LogPipe::LogPipe(boost::asio::io_context& io, LineCutter::OnLine on_line)
    : pipe_(io),
      second_(io),
      on_line_(std::move(on_line)),
      cutter_([this](std::string_view text) { line(text); }) {}

LogPipe::~LogPipe() { *alive_ = false; }

void LogPipe::open(FileDescriptor read_end) {
  pipe_.assign(read_end.release());
  pipe_.non_blocking(true);
  wait();
}

void LogPipe::wait() {
  pipe_.async_wait(
      boost::asio::posix::stream_descriptor::wait_read,
      [this, alive = alive_](const boost::system::error_code& error) {
        if (error || !*alive) return;
        secondBegins();
        if (!read()) return;
        if (bytes_ < kBytesPerSecond) return wait();
        second_.expires_after(std::chrono::seconds(1));
        second_.async_wait([this, still = alive_](const boost::system::error_code& no) {
          if (!no && *still) wait();
        });
      });
}

void LogPipe::secondBegins() {
  const std::int64_t now = SystemClock().bootNs();
  if (second_began_ns_ != 0 && now - second_began_ns_ < kSecondNs) return;
  second_began_ns_ = now;
  bytes_ = 0;
  lines_ = 0;
  if (const std::uint64_t count = std::exchange(left_out_, 0); count > 0)
    on_line_("(" + std::to_string(count) + " lines left out: too many a second)");
}

bool LogPipe::read() {
  std::array<char, kReadMax> buffer;
  const ssize_t count = ::read(pipe_.native_handle(), buffer.data(), buffer.size());
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0) return false;
  bytes_ += static_cast<std::size_t>(count);
  cutter_.add({buffer.data(), static_cast<std::size_t>(count)});
  return true;
}

void LogPipe::line(std::string_view text) {
  if (lines_ >= kLinesPerSecond) {
    ++left_out_;
    return;
  }
  ++lines_;
  on_line_(text);
}

void LogPipe::finish() {
  if (!pipe_.is_open()) return;
  (void)read();
  cutter_.end();
  if (const std::uint64_t count = std::exchange(left_out_, 0); count > 0)
    on_line_("(" + std::to_string(count) + " lines left out: too many a second)");
  second_.cancel();
  boost::system::error_code ignored;
  pipe_.close(ignored);
}

}  // namespace kante
