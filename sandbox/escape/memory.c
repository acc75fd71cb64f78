// Memory that is executed without having been signed, and memory that is not its own.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "sandbox/escape/attempt.h"

#define PAGE 4096L
#if __SIZEOF_LONG__ == 8
#define HIGH_BITS (1L << 32)
#else
#define HIGH_BITS 0L /* No upper bits there. */
#endif
#if defined(SYS_mmap2)
#define MAP_CALL SYS_mmap2
#else
#define MAP_CALL SYS_mmap
#endif

/* An address is no error, however large. */
static long mapped(long result) { return result == -1 ? -errno : 0; }

#define MAP_ATTEMPT(id, ...) \
  long try_##id(void) { return mapped(syscall(MAP_CALL, __VA_ARGS__)); }

MAP_ATTEMPT(mmap_wx, 0, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
            0)
MAP_ATTEMPT(mmap_x, 0, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
MAP_ATTEMPT(mmap_x_high, 0, PAGE, HIGH_BITS | PROT_READ | PROT_EXEC,
            HIGH_BITS | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
MAP_ATTEMPT(map_ring, 0, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, 5, 0)
MAP_ATTEMPT(map_host_file, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 4, 0)
MAP_ATTEMPT(map_module, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 7, 0)
MAP_ATTEMPT(map_null, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
            0)

long try_mprotect_x(void) {
  void* page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const long result = answer(syscall(SYS_mprotect, page, PAGE, PROT_READ | PROT_EXEC));
  munmap(page, PAGE);
  return result;
}
long try_mprotect_text(void) {
  void* text = (void*)((uintptr_t)&try_mprotect_text & ~(uintptr_t)(PAGE - 1));
  return answer(syscall(SYS_mprotect, text, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
}
CALL(pkey_mprotect, SYS_pkey_mprotect, 0, PAGE, PROT_READ, -1)
CALL(memfd_create, SYS_memfd_create, "x", MFD_CLOEXEC)
#if !defined(SYS_memfd_secret)
#define SYS_memfd_secret 447
#endif
CALL(memfd_secret, SYS_memfd_secret, 0)
CALL(shmget, SYS_shmget, 0, PAGE, 01700)
CALL(write_module, SYS_write, 7, "x", 1)
CALL(remap_file_pages, SYS_remap_file_pages, 0, 0, 0, 0, 0)
CALL(mlockall, SYS_mlockall, MCL_CURRENT)

long try_memory(void) {
  char* block = malloc(1);
  for (size_t size = 1; block != NULL && size <= 1u << 20; size *= 2) {
    char* grown = realloc(block, size);
    if (grown == NULL) break;
    block = grown;
    memset(block, 7, size);
  }
  const long result = block != NULL && block[(1u << 20) - 1] == 7 ? 0 : -ENOMEM;
  free(block);
  return result;
}
