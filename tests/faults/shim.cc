// Preloaded into the gateway: counts the calls that change a file below a folder, and at the one
// that was asked for kills the process before or after it, or lets it fail once.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "tests/faults/control.h"

namespace {

using namespace kante::faults;

Control* control = nullptr;

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}
#define NEXT(name) static const auto original = next<decltype(&::name)>(#name)

// The next life of this process, by exec, comes here again; what it starts else has no such
// environment.
__attribute__((constructor)) void attach() {
  const char* path = std::getenv("KANTE_FAULTS");
  if (path == nullptr) return;
  const int fd = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC));
  if (fd < 0) return;
  void* map = ::mmap(nullptr, kControlBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::syscall(SYS_close, fd);
  if (map == MAP_FAILED) ::_exit(99);
  control = static_cast<Control*>(map);
  if (control->magic != kMagic) ::_exit(99);
}

// The first process of the session is the keeper, where there is one; all below it ends with it.
[[noreturn]] void die() {
  ::kill(::getsid(0), SIGKILL);
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

bool below(std::string_view path) {
  const std::string_view root(control->root);
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
}

bool pathOf(int fd, char (&out)[PATH_MAX]) {
  struct stat file {};
  if (::fstat(fd, &file) != 0 || !(S_ISREG(file.st_mode) || S_ISDIR(file.st_mode))) return false;
  char link[32];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = ::readlink(link, out, sizeof out - 1);
  if (length <= 0) return false;
  out[length] = '\0';
  return below(out);
}

bool pathOf(int dir, const char* name, char (&out)[PATH_MAX]) {
  if (name[0] == '/') {
    std::snprintf(out, sizeof out, "%s", name);
    return below(out);
  }
  char link[32], folder[PATH_MAX / 2];
  if (dir == AT_FDCWD) {
    std::snprintf(link, sizeof link, "/proc/self/cwd");
  } else {
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
  }
  const ssize_t length = ::readlink(link, folder, sizeof folder - 1);
  if (length <= 0) return false;
  folder[length] = '\0';
  std::snprintf(out, sizeof out, "%s/%s", folder, name);
  return below(out);
}

// Counts the call; whether it is the one.
bool isIt(const char* name, const char* path) {
  if (control->armed.load() == 0) return false;
  const std::uint64_t number = control->calls.fetch_add(1) + 1;
  if (number <= kCallsMax) {
    Call& said = control->call[number - 1];
    std::snprintf(said.name, sizeof said.name, "%s", name);
    std::snprintf(said.path, sizeof said.path, "%.255s", path);
  }
  if (number != control->at || control->action == kCount) return false;
  std::snprintf(control->called, sizeof control->called, "%s", name);
  return true;
}

template <typename Call>
auto done(bool it, const Call& call) -> decltype(call()) {
  if (!it) return call();
  if (control->action == kKillBefore) die();
  if (control->action == kError) {
    errno = static_cast<int>(control->error);
    return -1;
  }
  (void)call();
  die();
}

template <typename Call>
auto onFile(const char* name, int fd, const Call& call) -> decltype(call()) {
  char path[PATH_MAX];
  if (control == nullptr || control->armed.load() == 0) return call();
  const int before = errno;
  const bool it = pathOf(fd, path) && isIt(name, path);
  errno = before;
  return done(it, call);
}

template <typename Call>
auto onPath(const char* name, int dir, const char* file, const Call& call) -> decltype(call()) {
  char path[PATH_MAX];
  if (control == nullptr || control->armed.load() == 0) return call();
  const int before = errno;
  const bool it = pathOf(dir, file, path) && isIt(name, path);
  errno = before;
  return done(it, call);
}

bool makes(int flags) {
  return (flags & (O_CREAT | O_TRUNC)) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

int openFile(int dir, const char* file, int flags, mode_t mode) {
  const auto call = [&] {
    return static_cast<int>(::syscall(SYS_openat, dir, file, flags | O_LARGEFILE, mode));
  };
  return makes(flags) ? onPath("open", dir, file, call) : call();
}

mode_t modeOf(int flags, va_list more) { return makes(flags) ? va_arg(more, mode_t) : 0; }

}  // namespace

#define ON_FILE(result, name, parameters, fd, arguments, quiet)               \
  result name parameters quiet {                                              \
    NEXT(name);                                                               \
    return onFile(#name, fd, [&]() -> result { return original arguments; }); \
  }
#define ON_PATH(result, name, parameters, dir, file, arguments)                      \
  result name parameters noexcept {                                                  \
    NEXT(name);                                                                      \
    return onPath(#name, dir, file, [&]() -> result { return original arguments; }); \
  }

extern "C" {

int open(const char* file, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = modeOf(flags, more);
  va_end(more);
  return openFile(AT_FDCWD, file, flags, mode);
}
int open64(const char* file, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = modeOf(flags, more);
  va_end(more);
  return openFile(AT_FDCWD, file, flags, mode);
}
int openat(int dir, const char* file, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = modeOf(flags, more);
  va_end(more);
  return openFile(dir, file, flags, mode);
}
int openat64(int dir, const char* file, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = modeOf(flags, more);
  va_end(more);
  return openFile(dir, file, flags, mode);
}

ON_FILE(ssize_t, write, (int fd, const void* data, size_t size), fd, (fd, data, size), )
ON_FILE(ssize_t, writev, (int fd, const iovec* parts, int count), fd, (fd, parts, count), )
ON_FILE(ssize_t, pwrite, (int fd, const void* data, size_t size, off_t at), fd,
        (fd, data, size, at), )
ON_FILE(ssize_t, pwrite64, (int fd, const void* data, size_t size, off64_t at), fd,
        (fd, data, size, at), )
ON_FILE(ssize_t, pwritev, (int fd, const iovec* parts, int count, off_t at), fd,
        (fd, parts, count, at), )
ON_FILE(ssize_t, pwritev64, (int fd, const iovec* parts, int count, off64_t at), fd,
        (fd, parts, count, at), )
ON_FILE(ssize_t, sendfile, (int fd, int from, off_t* at, size_t size), fd, (fd, from, at, size),
        noexcept)
ON_FILE(ssize_t, copy_file_range,
        (int from, off64_t* in, int fd, off64_t* out, size_t size, unsigned flags), fd,
        (from, in, fd, out, size, flags), )
ON_FILE(int, fsync, (int fd), fd, (fd), )
ON_FILE(int, fdatasync, (int fd), fd, (fd), )
ON_FILE(int, ftruncate, (int fd, off_t size), fd, (fd, size), noexcept)
ON_FILE(int, ftruncate64, (int fd, off64_t size), fd, (fd, size), noexcept)
ON_FILE(int, fallocate, (int fd, int mode, off_t at, off_t size), fd, (fd, mode, at, size), )
ON_FILE(int, fallocate64, (int fd, int mode, off64_t at, off64_t size), fd, (fd, mode, at, size), )
ON_FILE(int, fchmod, (int fd, mode_t mode), fd, (fd, mode), noexcept)

ON_PATH(int, rename, (const char* from, const char* to), AT_FDCWD, to, (from, to))
ON_PATH(int, renameat, (int from_dir, const char* from, int dir, const char* to), dir, to,
        (from_dir, from, dir, to))
ON_PATH(int, renameat2, (int from_dir, const char* from, int dir, const char* to, unsigned flags),
        dir, to, (from_dir, from, dir, to, flags))
ON_PATH(int, unlink, (const char* file), AT_FDCWD, file, (file))
ON_PATH(int, unlinkat, (int dir, const char* file, int flags), dir, file, (dir, file, flags))
ON_PATH(int, rmdir, (const char* file), AT_FDCWD, file, (file))
ON_PATH(int, link, (const char* from, const char* to), AT_FDCWD, to, (from, to))
ON_PATH(int, linkat, (int from_dir, const char* from, int dir, const char* to, int flags), dir, to,
        (from_dir, from, dir, to, flags))
ON_PATH(int, symlink, (const char* from, const char* to), AT_FDCWD, to, (from, to))
ON_PATH(int, mkdir, (const char* file, mode_t mode), AT_FDCWD, file, (file, mode))
ON_PATH(int, mkdirat, (int dir, const char* file, mode_t mode), dir, file, (dir, file, mode))

// glibc's own calls fallocate() inside, where nobody sees it.
int posix_fallocate(int fd, off_t at, off_t size) {
  NEXT(posix_fallocate);
  const int rc = onFile("posix_fallocate", fd, [&]() -> int {
    const int error = original(fd, at, size);
    if (error != 0) errno = error;
    return error == 0 ? 0 : -1;
  });
  return rc == 0 ? 0 : errno;
}
int posix_fallocate64(int fd, off64_t at, off64_t size) { return posix_fallocate(fd, at, size); }

}  // extern "C"
