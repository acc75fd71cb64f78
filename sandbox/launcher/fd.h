// A file descriptor with one owner, and files of /proc and /sys read and written whole, for a
// program that links nothing of the host.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace kante::launcher {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

// "what: text of errno"
std::string errnoText(const std::string& what, int error_number);

// What lies between the marks; without an empty last one.
std::vector<std::string> split(const std::string& text, char mark);

// Empty when it cannot be read; at most 64 KiB.
std::string readSmallFile(int dir_fd, const std::string& name);
// One write to a file that is there; false with errno set.
bool writeSmallFile(int dir_fd, const std::string& name, const std::string& text);

}  // namespace kante::launcher
