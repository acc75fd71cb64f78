#include "host/base/fd.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

namespace kante {

void FileDescriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<FileDescriptor> openAt(int dir_fd, const std::string& name, int flags, mode_t mode) {
  const int fd = ::openat(dir_fd, name.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return failErrno(name);
  return FileDescriptor(fd);
}

Result<FileDescriptor> openDirectory(const std::string& path) {
  return openAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
}

Result<FileDescriptor> makeDirectory(const std::string& path, mode_t mode) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    const std::string parent = path.substr(0, at);
    if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) return failErrno(parent);
  }
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return failErrno(path);
  return openDirectory(path);
}

Result<std::string> readFile(int dir_fd, const std::string& name, std::size_t bytes_max) {
  KANTE_TRY(file, openAt(dir_fd, name, O_RDONLY));
  std::string bytes;
  char chunk[16384];
  for (;;) {
    const ssize_t n = ::read(file.get(), chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno(name);
    if (n == 0) return bytes;
    if (bytes.size() + static_cast<std::size_t>(n) > bytes_max) {
      return fail(Errc::kLimit, name + ": longer than " + std::to_string(bytes_max) + " bytes");
    }
    bytes.append(chunk, static_cast<std::size_t>(n));
  }
}

Result<std::string> readFile(const std::string& path, std::size_t bytes_max) {
  return readFile(AT_FDCWD, path, bytes_max);
}

Status writeAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno("write");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Status replaceFile(int dir_fd, const std::string& name, std::string_view bytes, mode_t mode) {
  static std::atomic<unsigned> serial{0};
  const std::size_t slash = name.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : name.substr(0, slash + 1);
  const std::string temporary =
      name + ".new-" + std::to_string(::getpid()) + "-" + std::to_string(serial.fetch_add(1));
  auto written = [&]() -> Status {
    KANTE_TRY(file, openAt(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
    const Status all = writeAll(file.get(), bytes);
    if (!all) return within(name, all.error());
    if (::fsync(file.get()) != 0) return failErrno(name);
    if (::renameat(dir_fd, temporary.c_str(), dir_fd, name.c_str()) != 0) return failErrno(name);
    KANTE_TRY(directory, openAt(dir_fd, folder, O_RDONLY | O_DIRECTORY));
    if (::fsync(directory.get()) != 0) return failErrno(name);
    return {};
  }();
  if (written.has_error()) ::unlinkat(dir_fd, temporary.c_str(), 0);
  return written;
}

}  // namespace kante
