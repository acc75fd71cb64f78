#include "host/bundle/sealed_file.h"

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/encoding.h"
#include "host/bundle/lint_file.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace kante {

namespace {

Result<FileDescriptor> memoryFile(const std::string& name) {
  // Kernels from 6.3 want to be told that the file may be executed (mapped so); older ones refuse
  // the flag.
  int fd = ::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return failErrno("memory file");
  return FileDescriptor(fd);
}

Status checkDigest(int fd, const std::string& library, const ManifestFile& expected) {
  void* map = ::mmap(nullptr, expected.bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (map == MAP_FAILED) return failErrno(library);
  const Sha256 digest = sha256({static_cast<const char*>(map), expected.bytes});
  ::munmap(map, expected.bytes);
  if (digest == expected.sha256) return {};
  return fail(Errc::kCorrupt,
              library + " in the bundle store differs from what was admitted, deploy it again");
}

}  // namespace

Result<FileDescriptor> sealedCopy(int folder_fd, const std::string& library,
                                  const Manifest& manifest, const LintPolicy& policy) {
  const ManifestFile& expected = manifest.files.at(library);
  KANTE_TRY(file, openAt(folder_fd, library, O_RDONLY | O_NOFOLLOW));
  KANTE_TRY(memory, memoryFile("kante:" + manifest.id));
  std::uint64_t done = 0;
  while (done <= expected.bytes) {
    const ssize_t n = ::sendfile(memory.get(), file.get(), nullptr, expected.bytes + 1 - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno(library);
    if (n == 0) break;
    done += static_cast<std::uint64_t>(n);
  }
  if (done != expected.bytes || done == 0) {
    return fail(Errc::kCorrupt,
                library + " in the bundle store has another size than what was admitted");
  }
  if (::fcntl(memory.get(), F_ADD_SEALS,
              F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return failErrno("memory file cannot be sealed");
  }
  KANTE_CHECK(checkDigest(memory.get(), library, expected));
  KANTE_CHECK(lintFile(memory.get(), library, manifest, policy));
  return memory;
}

}  // namespace kante
