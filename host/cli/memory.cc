#include "host/cli/memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>

namespace kante::cli {

void shedStart() {
  ::malloc_trim(0);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> maps(std::fopen("/proc/self/maps", "re"),
                                                             std::fclose);
  char line[1024];
  while (maps && std::fgets(line, sizeof line, maps.get()) != nullptr) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char mode[5] = {};
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, mode) != 3) continue;
    // Executable and never written, of a file: the same bytes are there at the next use.
    if (std::strcmp(mode, "r-xp") != 0 || std::strchr(line, '/') == nullptr) continue;
    ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
}

}  // namespace kante::cli
