// How much room a file system has, as a module asks for it ("space:/PATH" of kante.device/1).
#pragma once

#include <cstdint>
#include <string>

#include "host/base/result.h"

namespace kante {

struct DiskSpace {
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;
  std::uint64_t available_bytes = 0;  // To an ordinary user.
};

// Of the file system that `fd` (O_PATH will do) is on; `path` is for the text of an error.
// kDenied: it may be one over a network, which can keep whoever asks waiting for ever.
Result<DiskSpace> diskSpace(int fd, const std::string& path);

}  // namespace kante
