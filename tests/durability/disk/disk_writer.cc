// disk_writer FOLDER STEP…, for disk_test.cc: a:x writes two sectors of x to file a, dsync:a:x does
// so to an O_DSYNC descriptor, long:a:x writes a third sector, sync:a syncs it, rename:a:b renames.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

void check(bool good, const std::string& what) {
  if (good) return;
  std::perror(what.c_str());
  std::exit(1);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == ':') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

void writeTo(const std::string& path, char letter, off_t offset, std::size_t size, int flags) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
  const std::string bytes(size, letter);
  check(fd >= 0 && ::pwrite(fd, bytes.data(), size, offset) == static_cast<ssize_t>(size), path);
  ::close(fd);
}

void step(const std::string& folder, const std::string& text) {
  const std::vector<std::string> parts = split(text);
  if (parts[0] == "sync") {
    const int fd = ::open((folder + "/" + parts[1]).c_str(), O_RDONLY | O_CLOEXEC);
    check(fd >= 0 && ::fsync(fd) == 0, parts[1]);
    ::close(fd);
  } else if (parts[0] == "rename") {
    check(std::rename((folder + "/" + parts[1]).c_str(), (folder + "/" + parts[2]).c_str()) == 0,
          text);
  } else if (parts[0] == "dsync") {
    writeTo(folder + "/" + parts[1], parts[2][0], 0, 1024, O_DSYNC);
  } else if (parts[0] == "long") {
    writeTo(folder + "/" + parts[1], parts[2][0], 1024, 512, 0);
  } else {
    writeTo(folder + "/" + parts[0], parts[1][0], 0, 1024, 0);
  }
}

}  // namespace

int main(int count, char** words) {
  for (int i = 2; i < count; ++i) step(words[1], words[i]);
  std::_Exit(0);
}
