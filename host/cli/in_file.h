// What a command reads: bundles and deltas by position, texts as a whole.
#pragma once

#include <string>

#include "host/base/fd.h"

namespace kante::cli {

// A regular file alone: a pipe or a device would be waited for, a folder has no bytes.  Errors
// begin with the path.
Result<FileDescriptor> openInFile(const std::string& path);

// The text of a file, of which "-" is standard input; one that is longer than bytes_max is kLimit.
Result<std::string> readInput(const std::string& path, std::size_t bytes_max);

}  // namespace kante::cli
