// Preloaded into the gateway: notes in the disk log what each write to a file below data_dir
// overwrites, forgets it when the file is synced, and ends the process at the boundary that was
// asked for.  The rig then decides which of the sectors that were not durable kept their old
// content. Which calls it knows, and what it does not model: README.md.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>

#include "tests/durability/disk_log.h"

namespace {

using namespace kante::durability;

DiskLog* disk = nullptr;
std::mutex* mutex_of_disk =
    nullptr;  // Held around each watched call: never freed, never destroyed.

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}
#define NEXT(name) static const auto original = next<decltype(&::name)>(#name)

__attribute__((constructor)) void attach() {
  const char* path = std::getenv("DURABILITY_DISK_LOG");
  if (path == nullptr) return;
  const int fd = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC));
  if (fd < 0) ::_exit(99);
  void* map = ::mmap(nullptr, kDiskLogBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (map == MAP_FAILED) ::_exit(99);
  mutex_of_disk = new std::mutex;
  disk = static_cast<DiskLog*>(map);
  if (disk->magic != kDiskLogMagic) ::_exit(99);
  // Only this process: what it starts is not on the disk that is cut.
  ::unsetenv("LD_PRELOAD");
  ::unsetenv("DURABILITY_DISK_LOG");
}

[[noreturn]] void cut() {
  disk->cut.store(1);
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

bool below(std::string_view path) {
  const std::string_view root(disk->root);
  return path.size() > root.size() && path.starts_with(root) && path[root.size()] == '/';
}

std::uint32_t numberOf(std::uint64_t inode, std::string_view path) {
  const std::uint32_t count = disk->files.load();
  for (std::uint32_t i = 0; i < count; ++i) {
    if (disk->file[i].inode == inode && path == disk->file[i].path) return i;
  }
  if (count == kDiskFilesMax || path.size() >= sizeof disk->file[0].path) ::_exit(98);
  disk->file[count].inode = inode;
  std::memcpy(disk->file[count].path, path.data(), path.size());
  disk->file[count].path[path.size()] = '\0';
  disk->files.store(count + 1);
  return count;
}

struct Watched {
  bool yes = false;
  bool folder = false;
  bool dsync = false;
  std::uint32_t file = 0;
  std::uint64_t size = 0;
};

// Whether `fd` is a file or folder that the disk log is about; with the lock.
Watched watched(int fd) {
  Watched found;
  struct stat file {};
  if (::fstat(fd, &file) != 0 || !(S_ISREG(file.st_mode) || S_ISDIR(file.st_mode))) return found;
  if (file.st_nlink == 0) return found;  // Nobody finds it after the cut.
  char link[32], path[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = ::readlink(link, path, sizeof path);
  const std::string_view root(disk->root);
  if (length <= 0) return found;
  const std::string_view name(path, static_cast<std::size_t>(length));
  if (!below(name) && name != root) return found;
  found.yes = true;
  found.folder = S_ISDIR(file.st_mode);
  found.dsync = (::fcntl(fd, F_GETFL) & O_DSYNC) != 0;
  found.size = static_cast<std::uint64_t>(file.st_size);
  found.file = numberOf(file.st_ino, name);
  return found;
}

std::uint8_t* place(const DiskRecord& record) {
  const std::uint64_t used = disk->used.load();
  if (used + sizeof record + record.length > kDiskRecordBytesMax) cut();  // As good as any.
  auto* at = reinterpret_cast<std::uint8_t*>(disk) + kDiskRecordsAt + used;
  std::memcpy(at, &record, sizeof record);
  return at + sizeof record;
}
void commit(const DiskRecord& record) {
  disk->used.fetch_add(sizeof record + record.length, std::memory_order_release);
}
void note(const DiskRecord& record) {
  place(record);
  commit(record);
}

// Notes the sectors that bytes [offset, offset + length) touch.
void noteOverwrite(const Watched& file, std::uint64_t offset, std::uint64_t length) {
  const std::uint64_t first = offset / kSectorBytes * kSectorBytes;
  const std::uint64_t end = (offset + length + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
  DiskRecord record;
  record.event = DiskEvent::kWrite;
  record.file = file.file;
  record.offset = first;
  record.length = end - first;
  record.size = file.size;
  std::uint8_t* to = place(record);
  std::memset(to, 0, record.length);
  const int fd = static_cast<int>(
      ::syscall(SYS_openat, AT_FDCWD, disk->file[file.file].path, O_RDONLY | O_CLOEXEC));
  if (fd >= 0) {
    std::uint64_t done = 0;
    while (done < record.length) {
      const ssize_t got =
          ::pread(fd, to + done, record.length - done, static_cast<off_t>(first + done));
      if (got <= 0) break;
      done += static_cast<std::uint64_t>(got);
    }
    ::syscall(SYS_close, fd);
  }
  commit(record);
}

// A boundary: ends the process when it is the one, before the call does its work.  True: after it.
bool boundary() {
  const std::uint64_t number = disk->boundaries.fetch_add(1) + 1;
  if (number != disk->cut_at.load() && disk->cut_now.load() == 0) return false;
  if (disk->cut_after == 0) cut();
  return true;
}

template <typename Call>
ssize_t watchedWrite(int fd, std::uint64_t length, off_t offset, bool at_position,
                     const Call& call) {
  if (disk == nullptr || length == 0) return call();
  const std::lock_guard lock(*mutex_of_disk);
  const Watched file = watched(fd);
  if (!file.yes) return call();
  const bool cut_after = boundary();
  if (at_position) {
    const bool append = (::fcntl(fd, F_GETFL) & O_APPEND) != 0;
    offset = append ? static_cast<off_t>(file.size) : ::lseek(fd, 0, SEEK_CUR);
  }
  noteOverwrite(file, static_cast<std::uint64_t>(offset), length);
  const ssize_t written = call();
  if (cut_after) cut();  // Also of an O_DSYNC write: torn, as it has not returned.
  if (file.dsync && written > 0) {
    DiskRecord record;
    record.event = DiskEvent::kDurable;
    record.file = file.file;
    record.offset = static_cast<std::uint64_t>(offset);
    record.length = 0;
    record.size = static_cast<std::uint64_t>(written);
    note(record);
  }
  return written;
}

std::uint64_t bytesOf(const iovec* parts, int count) {
  std::uint64_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += parts[i].iov_len;
  return bytes;
}

template <typename Call>
int watchedSync(int fd, const Call& call) {
  if (disk == nullptr) return call();
  const std::lock_guard lock(*mutex_of_disk);
  const Watched file = watched(fd);
  if (!file.yes) return call();
  const bool cut_after = boundary();
  const int rc = (disk->flags & kReallySync) != 0 ? call() : 0;
  if (rc == 0 && (disk->flags & kForgetSyncs) == 0) {
    DiskRecord record;
    record.event = file.folder ? DiskEvent::kFolderSync : DiskEvent::kSync;
    record.file = file.file;
    note(record);
  }
  if (cut_after) cut();
  return rc;
}

// A file that is made shorter loses content, one that is made longer gains zeros.
template <typename Call>
int watchedResize(int fd, std::uint64_t size, const Call& call) {
  if (disk == nullptr) return call();
  const std::lock_guard lock(*mutex_of_disk);
  const Watched file = watched(fd);
  if (!file.yes || file.size == size) return call();
  const bool cut_after = boundary();
  if (size < file.size) {
    noteOverwrite(file, size, file.size - size);
  } else {
    DiskRecord record;
    record.event = DiskEvent::kWrite;
    record.file = file.file;
    record.offset = file.size;
    record.size = file.size;
    note(record);
  }
  const int rc = call();
  if (cut_after) cut();
  return rc;
}

// "dir/name" without links, into `out`; false when it is not below the disk.
bool resolve(int dir, const char* name, char (&out)[PATH_MAX]) {
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

template <typename Call>
int watchedRename(int old_dir, const char* old_name, int new_dir, const char* new_name,
                  const Call& call) {
  char from[PATH_MAX], to[PATH_MAX];
  if (disk == nullptr || !resolve(old_dir, old_name, from) || !resolve(new_dir, new_name, to)) {
    return call();
  }
  const std::lock_guard lock(*mutex_of_disk);
  const bool cut_after = boundary();
  DiskRecord record;
  record.event = DiskEvent::kRename;
  record.file = numberOf(0, from);
  record.other = numberOf(0, to);
  struct stat there {};
  if (::stat(to, &there) == 0 && S_ISREG(there.st_mode)) {
    char stash[PATH_MAX];
    record.stash = disk->stashed.fetch_add(1) + 1;
    std::snprintf(stash, sizeof stash, "%s/%u", disk->stash, record.stash);
    if (::link(to, stash) != 0) record.stash = 0;
  }
  note(record);
  const int rc = call();
  if (cut_after) cut();
  return rc;
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* data, size_t size) {
  NEXT(write);
  return watchedWrite(fd, size, 0, true, [&] { return original(fd, data, size); });
}
ssize_t writev(int fd, const iovec* parts, int count) {
  NEXT(writev);
  return watchedWrite(fd, bytesOf(parts, count), 0, true,
                      [&] { return original(fd, parts, count); });
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  NEXT(pwrite);
  return watchedWrite(fd, size, offset, false, [&] { return original(fd, data, size, offset); });
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  NEXT(pwrite64);
  return watchedWrite(fd, size, offset, false, [&] { return original(fd, data, size, offset); });
}
ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) {
  NEXT(pwritev);
  return watchedWrite(fd, bytesOf(parts, count), offset, false,
                      [&] { return original(fd, parts, count, offset); });
}
ssize_t pwritev64(int fd, const iovec* parts, int count, off64_t offset) {
  NEXT(pwritev64);
  return watchedWrite(fd, bytesOf(parts, count), offset, false,
                      [&] { return original(fd, parts, count, offset); });
}
int fsync(int fd) {
  NEXT(fsync);
  return watchedSync(fd, [&] { return original(fd); });
}
int fdatasync(int fd) {
  NEXT(fdatasync);
  return watchedSync(fd, [&] { return original(fd); });
}
int ftruncate(int fd, off_t size) noexcept {
  NEXT(ftruncate);
  return watchedResize(fd, static_cast<std::uint64_t>(size), [&] { return original(fd, size); });
}
int ftruncate64(int fd, off64_t size) noexcept {
  NEXT(ftruncate64);
  return watchedResize(fd, static_cast<std::uint64_t>(size), [&] { return original(fd, size); });
}
int fallocate(int fd, int mode, off_t offset, off_t size) {
  NEXT(fallocate);
  struct stat file {};
  const bool grows = mode == 0 && ::fstat(fd, &file) == 0 && offset + size > file.st_size;
  if (!grows) return original(fd, mode, offset, size);
  return watchedResize(fd, static_cast<std::uint64_t>(offset + size),
                       [&] { return original(fd, mode, offset, size); });
}
int fallocate64(int fd, int mode, off64_t offset, off64_t size) {
  return fallocate(fd, mode, offset, size);
}
int rename(const char* from, const char* to) noexcept {
  NEXT(rename);
  return watchedRename(AT_FDCWD, from, AT_FDCWD, to, [&] { return original(from, to); });
}
int renameat(int old_dir, const char* from, int new_dir, const char* to) noexcept {
  NEXT(renameat);
  return watchedRename(old_dir, from, new_dir, to,
                       [&] { return original(old_dir, from, new_dir, to); });
}

}  // extern "C"
