// The files of /proc and /sys below a root directory.  What is missing or unreadable is simply not
// there.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

class FileTree {
 public:
  static constexpr std::size_t kFileBytesMax = 1u << 20;
  static constexpr std::size_t kEntriesMax = 65'536;

  // root: "" or "/" is this machine.
  explicit FileTree(std::string root) : root_(std::move(root)) {
    while (!root_.empty() && root_.back() == '/') root_.pop_back();
  }

  // path: absolute.
  std::string at(const std::string& path) const { return root_ + path; }

  std::optional<std::string> read(const std::string& path) const {
    const int fd = ::open(at(path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return std::nullopt;
    std::string text;
    char buffer[4096];
    ssize_t n = 0;
    while (text.size() < kFileBytesMax && (n = ::read(fd, buffer, sizeof buffer)) > 0) {
      text.append(buffer, static_cast<std::size_t>(n));
    }
    ::close(fd);
    if (n < 0) return std::nullopt;
    return text;
  }

  // The same without white space at its end; empty counts as missing.
  std::optional<std::string> readLine(const std::string& path) const {
    std::optional<std::string> text = read(path);
    if (!text) return std::nullopt;
    text->erase(std::min(text->find('\n'), text->size()));
    if (text->empty()) return std::nullopt;
    return text;
  }

  // Names that begin with prefix, sorted.
  std::vector<std::string> list(const std::string& path, const std::string& prefix = "") const {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(at(path).c_str()), ::closedir);
    if (dir == nullptr) return names;
    while (const dirent* entry = ::readdir(dir.get())) {
      const std::string name = entry->d_name;
      if (name[0] == '.' || name.compare(0, prefix.size(), prefix) != 0) continue;
      names.push_back(name);
      if (names.size() == kEntriesMax) break;
    }
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  std::string root_;
};
