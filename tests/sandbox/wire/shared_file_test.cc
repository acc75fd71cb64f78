#include "sandbox/wire/shared_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace kante {
namespace {

constexpr std::size_t kBytes = kSharedPageBytes + kRingBytesMin;

TEST(SharedFileTest, BothEndsSeeTheSameMemory) {
  auto host = HostFiles::make("test", kRingBytesMin);
  ASSERT_TRUE(host.has_value()) << host.error().text;
  auto runner = RunnerFiles::map(host->hostFileFd(), host->runnerFileFd(), kRingBytesMin);
  ASSERT_TRUE(runner.has_value()) << runner.error().text;
  host->closeFiles();
  host->page().end.head.store(16);
  host->ringToRunner()[kRingBytesMin - 1] = std::byte{42};
  EXPECT_EQ(runner->hostPage().end.head.load(), 16u);
  EXPECT_EQ(runner->ringFromHost()[kRingBytesMin - 1], std::byte{42});
  runner->page().handled.store(3);
  runner->ringToHost()[0] = std::byte{7};
  EXPECT_EQ(host->runnerPage().handled.load(), 3u);
  EXPECT_EQ(host->ringFromRunner()[0], std::byte{7});
}

TEST(SharedFileTest, OneWordOfTheRunnersFileIsWrittenByBoth) {
  auto host = HostFiles::make("test", kRingBytesMin);
  ASSERT_TRUE(host.has_value());
  auto runner = RunnerFiles::map(host->hostFileFd(), host->runnerFileFd(), kRingBytesMin);
  ASSERT_TRUE(runner.has_value());
  host->closeFiles();
  host->runnerWakes().fetch_add(1);
  runner->page().wakes.fetch_add(1);
  EXPECT_EQ(runner->page().wakes.load(), 2u);
  EXPECT_EQ(host->runnerPage().wakes.load(), 2u);
}

TEST(SharedFileTest, ARunnerCannotWriteTheHostsFile) {
  auto host = HostFiles::make("test", kRingBytesMin);
  ASSERT_TRUE(host.has_value());
  const int fd = host->hostFileFd();
  EXPECT_EQ(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
  EXPECT_LT(::pwrite(fd, "x", 1, 0), 0);
  void* map = ::mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fd, 0);
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_NE(::mprotect(map, kBytes, PROT_READ | PROT_WRITE), 0);
  ::munmap(map, kBytes);
  EXPECT_NE(::ftruncate(fd, 0), 0);
  // Opened anew for writing, which file modes allow, it still is sealed.
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const int again = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (again >= 0) {
    EXPECT_EQ(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
    EXPECT_LT(::pwrite(again, "x", 1, 0), 0);
    EXPECT_NE(::ftruncate(again, 0), 0);
    EXPECT_NE(::fallocate(again, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
    ::close(again);
  }
}

TEST(SharedFileTest, ARunnerCannotCutItsOwnFileShort) {
  auto host = HostFiles::make("test", kRingBytesMin);
  ASSERT_TRUE(host.has_value());
  EXPECT_NE(::ftruncate(host->runnerFileFd(), 0), 0);
  EXPECT_NE(::ftruncate(host->runnerFileFd(), 1 << 20), 0);
  EXPECT_NE(::fcntl(host->runnerFileFd(), F_ADD_SEALS, F_SEAL_WRITE), 0);
}

TEST(SharedFileTest, ARingHasAPowerOfTwoOfBytesWithinBounds) {
  for (const std::uint32_t bytes :
       {0u, 1u, kRingBytesMin / 2, kRingBytesMin * 3, kRingBytesMax * 2}) {
    const auto host = HostFiles::make("test", bytes);
    ASSERT_TRUE(host.has_error()) << bytes;
    EXPECT_EQ(host.error().text, "a ring has a power of two of bytes, from 65536 to 4194304, not " +
                                     std::to_string(bytes));
    EXPECT_TRUE(RunnerFiles::map(-1, -1, bytes).has_error());
  }
}

TEST(SharedFileTest, FilesOfAnotherSizeOrWithoutSealsAreRefused) {
  auto host = HostFiles::make("test", kRingBytesMin);
  ASSERT_TRUE(host.has_value());
  const auto mapped = [](int host_fd, int runner_fd, std::uint32_t bytes) {
    const auto files = RunnerFiles::map(host_fd, runner_fd, bytes);
    return files.has_error() ? files.error().text : std::string("mapped");
  };
  EXPECT_EQ(mapped(host->hostFileFd(), host->runnerFileFd(), kRingBytesMin * 2),
            "the host's memory file has 73728 bytes, not 139264");
  const FileDescriptor bare(::memfd_create("bare", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(bare.get(), kBytes), 0);
  EXPECT_EQ(mapped(bare.get(), host->runnerFileFd(), kRingBytesMin),
            "the host's memory file lacks a seal");
  EXPECT_EQ(mapped(host->hostFileFd(), bare.get(), kRingBytesMin),
            "the runner's memory file lacks a seal");
}

}  // namespace
}  // namespace kante
