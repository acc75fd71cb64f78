// A file descriptor with one owner, and the file operations that the host needs, relative to
// directory descriptors so that no path is resolved twice.
#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/base/result.h"

namespace kante {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

// dir_fd may be AT_FDCWD.  Flags get O_CLOEXEC added.
Result<FileDescriptor> openAt(int dir_fd, const std::string& name, int flags, mode_t mode = 0600);
Result<FileDescriptor> openDirectory(const std::string& path);
// Makes the directory and its parents (mode for the last one), then opens it.
Result<FileDescriptor> makeDirectory(const std::string& path, mode_t mode = 0700);

// Reads at most bytes_max; a longer file is kLimit.
Result<std::string> readFile(int dir_fd, const std::string& name, std::size_t bytes_max);
Result<std::string> readFile(const std::string& path, std::size_t bytes_max);
// All of it or an error; retries EINTR and short writes.
Status writeAll(int fd, std::string_view bytes);
// Written to a temporary name, synced, renamed over `name`, directory synced: the old file or the
// new one.
Status replaceFile(int dir_fd, const std::string& name, std::string_view bytes, mode_t mode = 0600);

}  // namespace kante
