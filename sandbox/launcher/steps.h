// How a child that is on its way to become a runner tells its launcher what went wrong: the step,
// what it was about, and errno.  Between clone and exec only; every failure ends the child.
#pragma once

#include <cstdint>
#include <string>

namespace kante::launcher {

// The only message of a child.  Before exec: all is ready; instead of it, or after it: why not.
struct ChildReport {
  std::uint32_t failed = 0;
  std::uint32_t reserved = 0;
  std::uint64_t namespaces[6] = {};  // As in Spawned.
  char text[400] = {};
};

class Steps {
 public:
  explicit Steps(int report_fd) : report_fd_(report_fd) {}
  void moveReport(int fd) { report_fd_ = fd; }
  int reportFd() const { return report_fd_; }

  // The step that is taken now.
  void at(const char* step) { step_ = step; }
  // Ends the process unless `done`; errno says why not.
  void must(bool done, const std::string& about = {}) const {
    if (!done) fail(about);
  }
  [[noreturn]] void fail(const std::string& about) const;
  [[noreturn]] void failWith(const std::string& text) const;
  void ready(const std::uint64_t (&namespaces)[6]) const;

 private:
  int report_fd_;
  const char* step_ = "";
};

}  // namespace kante::launcher
