#include "host/cli/out_file.h"

#include <sys/stat.h>

namespace kante::cli {

std::string notAnOutputFile(const std::string& path) {
  struct stat there {};
  if (::lstat(path.c_str(), &there) != 0 || S_ISREG(there.st_mode)) return {};
  return path + " is there and no regular file, which this would replace; name another";
}

}  // namespace kante::cli
