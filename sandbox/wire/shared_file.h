// The two memory files of a runner, made by the host and mapped by both: what shared_pages.h
// describes, with the seals that make it true.
//
// The host's file cannot be mapped writable by anybody but the host, which did so before it sealed
// it; a fork without exec would inherit that mapping.  The runner's file cannot be cut short, or
// reading it would be deadly for the host.  Neither can be sealed further.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "host/base/fd.h"
#include "host/base/result.h"
#include "sandbox/wire/shared_pages.h"

namespace kante {

// Memory that is unmapped with its owner.
class Mapping {
 public:
  enum class Access : std::uint8_t { kRead, kWrite };
  // The first `bytes` of a memory file, shared.
  static Result<Mapping> map(int fd, std::size_t bytes, Access access);

  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : at_(std::exchange(other.at_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(at_, other.at_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  std::byte* at() const { return at_; }

 private:
  std::byte* at_ = nullptr;
  std::size_t bytes_ = 0;
};

// The host's end.
class HostFiles {
 public:
  // kInvalid: ring_bytes is no power of two or out of its bounds.  `name` is for /proc only.
  static Result<HostFiles> make(const std::string& name, std::uint32_t ring_bytes);

  // What a runner is given, in this order: the host's file, read-only, and its own.
  int hostFileFd() const { return host_read_only_.get(); }
  int runnerFileFd() const { return runner_file_.get(); }
  // Once it has them.
  void closeFiles() {
    host_read_only_.reset();
    runner_file_.reset();
  }

  HostPage& page() const { return *reinterpret_cast<HostPage*>(host_.at()); }
  const RunnerPage& runnerPage() const { return *reinterpret_cast<RunnerPage*>(runner_.at()); }
  std::atomic<std::uint32_t>& runnerWakes() const {
    return reinterpret_cast<RunnerPage*>(runner_wakes_.at())->wakes;
  }
  std::byte* ringToRunner() const { return host_.at() + kSharedPageBytes; }
  const std::byte* ringFromRunner() const { return runner_.at() + kSharedPageBytes; }
  std::uint32_t ringBytes() const { return ring_bytes_; }

 private:
  HostFiles() = default;
  FileDescriptor host_read_only_;
  FileDescriptor runner_file_;
  Mapping host_;
  Mapping runner_;        // Read-only here.
  Mapping runner_wakes_;  // Of its page, for one word in it.
  std::uint32_t ring_bytes_ = 0;
};

// The runner's end.
class RunnerFiles {
 public:
  // kCorrupt: a file of another size or without its seals.  Does not close the descriptors.
  static Result<RunnerFiles> map(int host_file_fd, int runner_file_fd, std::uint32_t ring_bytes);

  const HostPage& hostPage() const { return *reinterpret_cast<HostPage*>(host_.at()); }
  RunnerPage& page() const { return *reinterpret_cast<RunnerPage*>(runner_.at()); }
  const std::byte* ringFromHost() const { return host_.at() + kSharedPageBytes; }
  std::byte* ringToHost() const { return runner_.at() + kSharedPageBytes; }
  std::uint32_t ringBytes() const { return ring_bytes_; }

 private:
  RunnerFiles() = default;
  Mapping host_;  // Read-only here.
  Mapping runner_;
  std::uint32_t ring_bytes_ = 0;
};

}  // namespace kante
