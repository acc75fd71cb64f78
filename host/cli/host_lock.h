// One host for one data directory: the lock that says so, and who holds it.
#pragma once

#include <chrono>

#include "host/base/fd.h"
#include "host/base/result.h"

namespace kante::cli {

// Locks data_dir/lock and writes this process's id into it.  Waits for another holder at most
// `patience`, then kState naming its process.  Held until the descriptor is closed, or the process
// ends.
Result<FileDescriptor> lockDataDirectory(int data_dir_fd, const std::string& data_dir,
                                         std::chrono::milliseconds patience);

}  // namespace kante::cli
