// The files of /proc and /sys below a root directory.  What is missing or unreadable is simply not
// there.
//
// A module in a sandbox opens nothing by itself: what cannot be read here and was not brought is
// noted in wanted(), in the words of kante.device/1, for the host to open.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <kante/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <set>
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
    return fd < 0 ? brought("read:" + at(path)) : readAll(fd);
  }

  // What a descriptor still holds; closes it.
  static std::optional<std::string> readAll(int fd) {
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
    const auto add = [&](const std::string& name) {
      if (name[0] != '.' && name.compare(0, prefix.size(), prefix) == 0) names.push_back(name);
    };
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(at(path).c_str()), ::closedir);
    if (dir == nullptr) {
      const std::string lines = brought("list:" + at(path)).value_or("");
      for (std::size_t from = 0, to = 0; from < lines.size(); from = to + 1) {
        to = std::min(lines.find('\n', from), lines.size());
        if (to > from) add(lines.substr(from, to - from));
      }
      return names;
    }
    while (const dirent* entry = ::readdir(dir.get())) {
      add(entry->d_name);
      if (names.size() == kEntriesMax) break;
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  struct Space {
    std::uint64_t total_bytes;
    std::uint64_t free_bytes;
    std::uint64_t available_bytes;  // To an ordinary user.
  };
  // Of the file system at that path.  A sandbox refuses to be asked.
  std::optional<Space> space(const std::string& path) const {
    if (!isOpen()) {
      const auto found = kante::json::tryParse(brought("space:" + at(path)).value_or(""));
      const auto bytes = [&](const char* name) -> std::optional<std::int64_t> {
        const kante::json::Value* value = found ? found->get(name) : nullptr;
        return value == nullptr ? std::nullopt : value->integer();
      };
      const auto total = bytes("total_bytes"), free = bytes("free_bytes"),
                 available = bytes("available_bytes");
      if (!total || !free || !available) return std::nullopt;
      return Space{static_cast<std::uint64_t>(*total), static_cast<std::uint64_t>(*free),
                   static_cast<std::uint64_t>(*available)};
    }
    struct statvfs found {};
    if (::statvfs(at(path).c_str(), &found) != 0) return std::nullopt;
    return Space{found.f_blocks * found.f_frsize, found.f_bfree * found.f_frsize,
                 found.f_bavail * found.f_frsize};
  }

  // Whether this process may look for itself.
  bool isOpen() const {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(at("/").c_str()), ::closedir);
    return dir != nullptr;
  }

  // ---- what a host opens ----
  const std::set<std::string>& wanted() const { return wanted_; }
  // Text of a file, the names of a list, one a line, or a disk's space as JSON; nothing: it cannot
  // be had.
  void bring(const std::string& what, std::optional<std::string> text) {
    wanted_.erase(what);
    brought_[what] = std::move(text);
  }
  void forgetBrought() {
    brought_.clear();
    wanted_.clear();
  }

 private:
  std::optional<std::string> brought(const std::string& what) const {
    const auto at = brought_.find(what);
    if (at != brought_.end()) return at->second;
    wanted_.insert(what);
    return std::nullopt;
  }

  std::string root_;
  std::map<std::string, std::optional<std::string>> brought_;
  mutable std::set<std::string> wanted_;  // Readings are const.
};
