// Which files a runner needs beside itself: the loader, its libraries, and those that a module may
// have.
#pragma once

#include <string>
#include <vector>

namespace kante::launcher {

struct Libraries {
  struct File {
    std::string from;  // In this machine's root, without a link in it.
    std::string to;    // In the runner's root.
  };
  std::vector<File> files;
  static constexpr const char* kFolder = "/lib";  // In the runner's root; only the loader may lie
                                                  // elsewhere.
};

// Asks the loader, which knows the paths that it would take.  Empty, or what went wrong: then there
// are none.
std::string findLibraries(int runner_fd, Libraries& out);
// Every one of them still; false where there are none.
bool areThere(const Libraries& libraries);

}  // namespace kante::launcher
