#include "sandbox/launcher/fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace kante::launcher {

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

std::string errnoText(const std::string& what, int error_number) {
  return what + ": " + std::strerror(error_number);
}

std::vector<std::string> split(const std::string& text, char mark) {
  std::vector<std::string> out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(mark, begin), text.size());
    out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

std::string readSmallFile(int dir_fd, const std::string& name) {
  constexpr std::size_t kBytesMax = 64 * 1024;
  const Fd file(::openat(dir_fd, name.c_str(), O_RDONLY | O_CLOEXEC));
  std::string out;
  char part[4096];
  while (file && out.size() < kBytesMax) {
    const ssize_t got = ::read(file.get(), part, sizeof part);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    out.append(part, static_cast<std::size_t>(got));
  }
  return out;
}

bool writeSmallFile(int dir_fd, const std::string& name, const std::string& text) {
  const Fd file(::openat(dir_fd, name.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return false;
  return ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace kante::launcher
