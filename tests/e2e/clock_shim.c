/* LD_PRELOAD: another wall clock for one process, changed while it runs, and another kernel's word
 * on whether it is right.  CLOCK_BOOTTIME and CLOCK_MONOTONIC stay what they are.
 *
 * KANTE_TEST_CLOCK names a file of 16 bytes: the offset in ns (i64), then 0 or 1 for what adjtimex
 * says (i64).  The process asks through libc, never the kernel itself, so this is all that it sees.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

struct told {
  volatile int64_t offset_ns;
  volatile int64_t synchronised;
};

static const struct told* told(void) {
  static const struct told* mapped;
  static const struct told nothing;
  if (mapped != NULL) return mapped;
  const char* path = getenv("KANTE_TEST_CLOCK");
  const int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void* at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct told), PROT_READ, MAP_SHARED, fd, 0);
  if (fd >= 0) close(fd);
  mapped = at == MAP_FAILED ? &nothing : at;
  return mapped;
}

static int ask(clockid_t id, struct timespec* at) {
  return (int)syscall(SYS_clock_gettime, id, at);
}

int clock_gettime(clockid_t id, struct timespec* at) {
  const int rc = ask(id, at);
  if (rc != 0 || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)) return rc;
  const int64_t ns = at->tv_sec * INT64_C(1000000000) + at->tv_nsec + told()->offset_ns;
  at->tv_sec = ns / 1000000000;
  at->tv_nsec = ns % 1000000000;
  return 0;
}

time_t time(time_t* out) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  if (out != NULL) *out = at.tv_sec;
  return at.tv_sec;
}

int gettimeofday(struct timeval* out, void* zone) {
  struct timespec at;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &at);
  out->tv_sec = at.tv_sec;
  out->tv_usec = at.tv_nsec / 1000;
  return 0;
}

int adjtimex(struct timex* state) {
  state->status = told()->synchronised != 0 ? 0 : STA_UNSYNC;
  return told()->synchronised != 0 ? TIME_OK : TIME_ERROR;
}
