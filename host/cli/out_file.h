// Where a command puts what it makes.
#pragma once

#include <string>

namespace kante::cli {

// For an option's check(): why that cannot be the file to write, or empty.  A file that appears as
// a whole takes the place of what was there, which no device, pipe or link (as /dev/stdout) may be.
std::string notAnOutputFile(const std::string& path);

}  // namespace kante::cli
