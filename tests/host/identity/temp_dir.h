// A directory for one test, gone after it.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "host/base/fd.h"

namespace kante::testing {

class TempDir {
 public:
  TempDir() {
    char pattern[] = "/tmp/kante-identity-XXXXXX";
    path_ = ::mkdtemp(pattern);
    fd_ = std::move(*openDirectory(path_));
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }

 private:
  std::string path_;
  FileDescriptor fd_;
};

}  // namespace kante::testing
