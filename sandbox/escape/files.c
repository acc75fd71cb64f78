// Files that are not the module's.
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "sandbox/escape/attempt.h"

/* A descriptor that was opened is closed again: the next attempt counts them. */
static long opened(long fd) {
  if (fd >= 0) close((int)fd);
  return answer(fd);
}

#define OPEN(id, path, flags)                                                      \
  long try_##id(void) {                                                            \
    return opened(syscall(SYS_openat, AT_FDCWD, path, (flags) | O_CLOEXEC, 0600)); \
  }

OPEN(passwd, "/etc/passwd", O_RDONLY)
OPEN(shadow, "/etc/shadow", O_RDONLY)
OPEN(proc_mem, "/proc/self/mem", O_RDONLY)
OPEN(proc_environ, "/proc/1/environ", O_RDONLY)
OPEN(proc_root, "/proc/1/root/etc/passwd", O_RDONLY)
OPEN(proc_ring, "/proc/self/fd/5", O_RDONLY)
OPEN(proc_exe, "/proc/self/exe", O_RDONLY)
OPEN(sys, "/sys/kernel", O_RDONLY)
OPEN(dev_null, "/dev/null", O_RDONLY)
OPEN(dev_mem, "/dev/mem", O_RDONLY)
OPEN(dev_tpm, "/dev/tpmrm0", O_RDONLY)
OPEN(dev_write, "/dev/null", O_WRONLY)
OPEN(shell, "/bin/sh", O_RDONLY)
OPEN(above_root, "../../../etc/passwd", O_RDONLY)
OPEN(list_root, "/", O_RDONLY | O_DIRECTORY)
OPEN(create, "/escaped", O_WRONLY | O_CREAT)
OPEN(create_data, "/data/escaped", O_WRONLY | O_CREAT)
OPEN(create_tmp, "/tmp/escaped", O_RDWR | O_CREAT)
OPEN(tmpfile, "/", O_WRONLY | O_TMPFILE)

long try_old_root(void) {
  static const char* const kPlaces[] = {"/old",      "/oldroot", "/old_root",
                                        "/.old",     "/put_old", "/mnt/old",
                                        "/.oldroot", "/host",    "/proc/1/cwd/old"};
  long last = -ENOENT;
  for (size_t at = 0; at < sizeof kPlaces / sizeof kPlaces[0]; ++at) {
    last = opened(syscall(SYS_openat, AT_FDCWD, kPlaces[at], O_RDONLY | O_CLOEXEC));
    if (last != -ENOENT) return last;
  }
  return last;
}

long try_path_descriptor(void) {
  const long root = syscall(SYS_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return answer(root);
  const long result = opened(syscall(SYS_openat, root, "etc/passwd", O_RDONLY | O_CLOEXEC));
  close((int)root);
  return result;
}

long try_stat(void) {
  struct stat status;
#if defined(SYS_newfstatat)
  return answer(syscall(SYS_newfstatat, AT_FDCWD, "/etc/passwd", &status, 0));
#else
  return answer(fstatat(AT_FDCWD, "/etc/passwd", &status, 0));
#endif
}

static int lastLibrary(struct dl_phdr_info* info, size_t size, void* path) {
  (void)size;
  if (info->dlpi_name != NULL && info->dlpi_name[0] == '/') *(const char**)path = info->dlpi_name;
  return 0;
}
long try_open_module(void) {
  const char* path = "/mod";
  dl_iterate_phdr(lastLibrary, &path);
  return opened(syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC));
}

CALL(openat2, SYS_openat2, AT_FDCWD, "/etc/passwd", NULL, 0)
CALL(mkdir, SYS_mkdirat, AT_FDCWD, "/escaped", 0700)
CALL(unlink, SYS_unlinkat, AT_FDCWD, "/nowhere/libc.so.6", 0)
CALL(rename, SYS_renameat2, AT_FDCWD, "/nowhere/a", AT_FDCWD, "/elsewhere/a", 0)
CALL(link, SYS_linkat, AT_FDCWD, "/etc/passwd", AT_FDCWD, "/escaped", 0)
CALL(symlink, SYS_symlinkat, "/etc/passwd", AT_FDCWD, "/escaped")
CALL(readlink, SYS_readlinkat, AT_FDCWD, "/proc/self/exe", (char[16]){0}, 16)
CALL(mknod, SYS_mknodat, AT_FDCWD, "/escaped", S_IFCHR | 0600, 0x103)
CALL(chmod, SYS_fchmodat, AT_FDCWD, "/nowhere", 04755)
CALL(chown, SYS_fchownat, AT_FDCWD, "/nowhere", 0, 0, 0)
CALL(truncate, SYS_truncate, "/nowhere", 0)
CALL(ftruncate, SYS_ftruncate, 1, 0)
CALL(setxattr, SYS_setxattr, "/nowhere", "user.x", "", 0, 0)
CALL(utimensat, SYS_utimensat, AT_FDCWD, "/nowhere", NULL, 0)
CALL(chdir, SYS_chdir, "/")
CALL(fchdir, SYS_fchdir, 0)
CALL(getdents, SYS_getdents64, 0, NULL, 0)
CALL(handle_of, SYS_name_to_handle_at, AT_FDCWD, "/", NULL, NULL, 0)
CALL(by_handle, SYS_open_by_handle_at, 0, NULL, O_RDONLY)
CALL(statfs, SYS_statfs, "/", NULL)
CALL(flock, SYS_flock, 0, 1)
