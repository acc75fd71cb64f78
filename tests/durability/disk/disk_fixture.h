// A folder as a disk, and programs that run on it with the shim between.
#pragma once

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/durability/disk.h"

extern char** environ;

namespace kante::durability {

namespace fs = std::filesystem;

class DiskFixture : public ::testing::Test {
 protected:
  DiskFixture() {
    char name[] = "/tmp/kante-disk-XXXXXX";
    folder_ = ::mkdtemp(name);
    fs::create_directories(root());
  }
  ~DiskFixture() override { fs::remove_all(folder_); }

  std::string root() const { return folder_ + "/data"; }
  std::string content(const std::string& name) const {
    std::ifstream in(root() + "/" + name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // Runs it on this disk, which is its first word; how it ended, as of waitpid().
  int run(const Disk& disk, const std::string& program, std::vector<std::string> words) {
    std::vector<std::string> environment{"LD_PRELOAD=" KANTE_DURABILITY_SHIM,
                                         "DURABILITY_DISK_LOG=" + disk.logPath()};
    words.insert(words.begin(), {program, root()});
    std::vector<char*> argv, envp;
    for (std::string& word : words) argv.push_back(word.data());
    for (std::string& one : environment) envp.push_back(one.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    pid_t pid = -1;
    EXPECT_EQ(::posix_spawn(&pid, argv[0], nullptr, nullptr, argv.data(), envp.data()), 0);
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return status;
  }

  std::string folder_;
};

}  // namespace kante::durability
