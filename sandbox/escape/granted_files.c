// Out of a `/data` that was granted.
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "sandbox/escape/attempt.h"

static long openFile(const char* path, int flags) {
  return answer(syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600));
}
static long tryOpen(const char* path, int flags) {
  const long fd = openFile(path, flags);
  if (fd >= 0) close((int)fd);
  return fd;
}
static long moveFile(const char* from, const char* to) {
  return answer(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
static long removeFile(const char* path) {
  return answer(syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}

long try_data_file(void) {
  const long fd = openFile("/data/file", O_RDWR | O_CREAT);
  if (fd < 0) return fd;
  char back[4] = {0};
  const int same = pwrite((int)fd, "data", 4, 0) == 4 && pread((int)fd, back, 4, 0) == 4 &&
                   memcmp(back, "data", 4) == 0 && fsync((int)fd) == 0;
  close((int)fd);
  if (!same) return -EIO;
  const long moved = moveFile("/data/file", "/data/moved");
  return moved < 0 ? moved : removeFile("/data/moved");
}

long try_data_list(void) {
  char entries[1024];
  const long fd = openFile("/data", O_RDONLY | O_DIRECTORY);
  if (fd < 0) return fd;
  const long size = answer(syscall(SYS_getdents64, fd, entries, sizeof entries));
  close((int)fd);
  return size;
}

long try_data_execute(void) {
  const long fd = openFile("/data/code", O_RDWR | O_CREAT);
  if (fd < 0) return fd;
  char page[4096];
  memset(page, 0xc3, sizeof page);
  long result = write((int)fd, page, sizeof page) == (ssize_t)sizeof page ? 0 : -EIO;
  if (result == 0) {
    void* at = mmap(NULL, sizeof page, PROT_READ | PROT_EXEC, MAP_PRIVATE, (int)fd, 0);
    result = at == MAP_FAILED ? -errno : 0;
  }
  close((int)fd);
  removeFile("/data/code");
  return result;
}

long try_data_full(void) {
  static char piece[65536];
  char path[32];
  long result = 0;
  for (int file = 0; file < 4; ++file) {
    snprintf(path, sizeof path, "/data/full-%d", file);
    const long fd = openFile(path, O_WRONLY | O_CREAT);
    for (int at = 0; fd >= 0 && at < 20; ++at) {
      const long wrote = answer(write((int)fd, piece, sizeof piece));
      if (wrote >= 0) continue;
      result = wrote;
      break;
    }
    if (fd >= 0) close((int)fd);
    removeFile(path);
  }
  return result;
}

long try_data_above(void) { return tryOpen("/data/../etc/passwd", O_RDONLY); }
long try_data_beside(void) { return tryOpen("/beside", O_WRONLY | O_CREAT); }

static int lastLibrary(struct dl_phdr_info* info, size_t size, void* path) {
  (void)size;
  if (info->dlpi_name != NULL && info->dlpi_name[0] == '/') *(const char**)path = info->dlpi_name;
  return 0;
}
static const char* ownLibrary(void) {
  const char* path = "/mod";
  dl_iterate_phdr(lastLibrary, &path);
  return path;
}
static int libc(struct dl_phdr_info* info, size_t size, void* path) {
  (void)size;
  if (info->dlpi_name != NULL && strstr(info->dlpi_name, "libc.so") != NULL)
    *(const char**)path = info->dlpi_name;
  return 0;
}
long try_data_libraries(void) {
  const char* path = "/lib/libc.so.6";
  dl_iterate_phdr(libc, &path);
  char beside[256];
  snprintf(beside, sizeof beside, "%s.new", path);
  return tryOpen(beside, O_WRONLY | O_CREAT);
}
long try_data_module(void) { return tryOpen(ownLibrary(), O_RDWR); }

long try_data_out(void) {
  const long made = tryOpen("/data/out", O_WRONLY | O_CREAT);
  if (made < 0) return made;
  const long result = moveFile("/data/out", "/out");
  removeFile("/data/out");
  return result;
}
CALL(data_symlink, SYS_symlinkat, "/etc/passwd", AT_FDCWD, "/data/link")
CALL(data_link, SYS_linkat, AT_FDCWD, "/lib/libc.so.6", AT_FDCWD, "/data/hard", 0)
CALL(data_node, SYS_mknodat, AT_FDCWD, "/data/node", S_IFCHR | 0600, 0x103)
CALL(data_setuid, SYS_fchmodat, AT_FDCWD, "/data", 04755)
