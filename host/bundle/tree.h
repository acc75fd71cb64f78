// Folders of the bundle store, relative to a descriptor.
#pragma once

#include <string>
#include <vector>

#include "host/base/fd.h"
#include "host/base/result.h"

namespace kante {

// Without "." and "..", in no order.
Result<std::vector<std::string>> namesIn(int folder_fd);

// The file or folder with all that is in it; links are removed, not followed.  Missing is fine.
Status removeTree(int folder_fd, const std::string& name);

// A file to read and write in this folder that has no name, so that nobody else opens it and
// nothing of it outlives us.
Result<FileDescriptor> unnamedFile(int dir_fd, const std::string& folder);

}  // namespace kante
