#include "sandbox/wire/shared_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <new>

#include "sandbox/wire/ring.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace kante {

namespace {

constexpr int kSealsOfHost = F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr int kSealsOfRunner = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

std::size_t fileBytes(std::uint32_t ring_bytes) { return kSharedPageBytes + ring_bytes; }

Result<FileDescriptor> memoryFile(const std::string& name, std::size_t bytes) {
  // Kernels from 6.3 on can also make it never executable; older ones refuse the flag.
  int fd = ::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return failErrno("memory file of a runner");
  FileDescriptor file(fd);
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) return failErrno("memory file of a runner");
  return file;
}

Status seal(int fd, int seals) {
  if (::fcntl(fd, F_ADD_SEALS, seals) != 0) return failErrno("memory file cannot be sealed");
  return {};
}

Status checkFile(int fd, std::size_t bytes, int seals, const char* whose) {
  struct stat facts {};
  if (::fstat(fd, &facts) != 0) return failErrno(whose);
  if (static_cast<std::size_t>(facts.st_size) != bytes) {
    return fail(Errc::kCorrupt, std::string(whose) + " has " + std::to_string(facts.st_size) +
                                    " bytes, not " + std::to_string(bytes));
  }
  const int there = ::fcntl(fd, F_GET_SEALS);
  if (there < 0) return failErrno(whose);
  if ((there & seals) != seals) {
    return fail(Errc::kCorrupt, std::string(whose) + " lacks a seal");
  }
  return {};
}

}  // namespace

Result<Mapping> Mapping::map(int fd, std::size_t bytes, Access access) {
  const int protection = access == Access::kWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  void* at = ::mmap(nullptr, bytes, protection, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return failErrno("memory file cannot be mapped");
  Mapping mapping;
  mapping.at_ = static_cast<std::byte*>(at);
  mapping.bytes_ = bytes;
  return mapping;
}

Mapping::~Mapping() {
  if (at_ != nullptr) ::munmap(at_, bytes_);
}

Result<HostFiles> HostFiles::make(const std::string& name, std::uint32_t ring_bytes) {
  if (!RingShape::isValid(ring_bytes)) {
    return fail(Errc::kInvalid,
                "a ring has a power of two of bytes, from " + std::to_string(kRingBytesMin) +
                    " to " + std::to_string(kRingBytesMax) + ", not " + std::to_string(ring_bytes));
  }
  const std::size_t bytes = fileBytes(ring_bytes);
  HostFiles files;
  files.ring_bytes_ = ring_bytes;
  KANTE_TRY(host_file, memoryFile("kante-host:" + name, bytes));
  KANTE_TRY(host, Mapping::map(host_file.get(), bytes, Mapping::Access::kWrite));
  files.host_ = std::move(host);
  KANTE_CHECK(seal(host_file.get(), kSealsOfHost));
  KANTE_TRY(read_only,
            openAt(AT_FDCWD, "/proc/self/fd/" + std::to_string(host_file.get()), O_RDONLY));
  files.host_read_only_ = std::move(read_only);
  KANTE_TRY(runner_file, memoryFile("kante-runner:" + name, bytes));
  KANTE_CHECK(seal(runner_file.get(), kSealsOfRunner));
  KANTE_TRY(runner, Mapping::map(runner_file.get(), bytes, Mapping::Access::kRead));
  files.runner_ = std::move(runner);
  KANTE_TRY(wakes, Mapping::map(runner_file.get(), sizeof(RunnerPage), Mapping::Access::kWrite));
  files.runner_wakes_ = std::move(wakes);
  files.runner_file_ = std::move(runner_file);
  new (files.host_.at()) HostPage;
  return files;
}

Result<RunnerFiles> RunnerFiles::map(int host_file_fd, int runner_file_fd,
                                     std::uint32_t ring_bytes) {
  if (!RingShape::isValid(ring_bytes)) {
    return fail(Errc::kInvalid, "a ring of " + std::to_string(ring_bytes) + " bytes");
  }
  const std::size_t bytes = fileBytes(ring_bytes);
  KANTE_CHECK(checkFile(host_file_fd, bytes, kSealsOfHost, "the host's memory file"));
  KANTE_CHECK(checkFile(runner_file_fd, bytes, kSealsOfRunner, "the runner's memory file"));
  RunnerFiles files;
  files.ring_bytes_ = ring_bytes;
  KANTE_TRY(host, Mapping::map(host_file_fd, bytes, Mapping::Access::kRead));
  files.host_ = std::move(host);
  KANTE_TRY(runner, Mapping::map(runner_file_fd, bytes, Mapping::Access::kWrite));
  files.runner_ = std::move(runner);
  new (files.runner_.at()) RunnerPage;
  return files;
}

}  // namespace kante
