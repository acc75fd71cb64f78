#include "host/bundle/lint_file.h"

#include <sys/mman.h>
#include <sys/stat.h>

namespace kante {

namespace {

Status checkNote(const ElfNote& note, const Manifest& manifest) {
  if (!note.present) return {};
  const std::string abi =
      std::to_string(manifest.abi_major) + "." + std::to_string(manifest.abi_minor);
  if (note.id != manifest.id) {
    return fail(Errc::kDenied,
                "its .note.kante says id " + note.id + ", the manifest says " + manifest.id);
  }
  if (note.abi != abi) {
    return fail(Errc::kDenied,
                "its .note.kante says abi " + note.abi + ", the manifest says " + abi);
  }
  return {};
}

}  // namespace

Status lintFile(int fd, const std::string& name, const Manifest& manifest,
                const LintPolicy& policy) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return failErrno(name);
  const auto bytes = static_cast<std::size_t>(status.st_size);
  if (bytes == 0) return fail(Errc::kCorrupt, name + ": empty, not a shared library");
  void* map = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (map == MAP_FAILED) return failErrno(name);
  auto facts = lintElf({static_cast<const std::uint8_t*>(map), bytes}, policy);
  ::munmap(map, bytes);
  if (facts.has_error()) return within(name, facts.error());
  const Status agreed = checkNote(facts->note, manifest);
  if (agreed.has_error()) return within(name, agreed.error());
  return {};
}

}  // namespace kante
