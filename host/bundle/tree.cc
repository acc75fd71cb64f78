#include "host/bundle/tree.h"

#include <dirent.h>
#include <unistd.h>

#include <memory>

#include "host/base/encoding.h"

namespace kante {

namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

Result<std::vector<std::string>> namesIn(int folder_fd) {
  KANTE_TRY(again,
            openAt(folder_fd, ".", O_RDONLY | O_DIRECTORY));  // An own position to read from.
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(again.get()));
  if (directory == nullptr) return failErrno("folder");
  again.release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

Status removeTree(int folder_fd, const std::string& name) {
  if (::unlinkat(folder_fd, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return failErrno(name);
  {
    KANTE_TRY(folder, openAt(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    KANTE_TRY(names, namesIn(folder.get()));
    for (const std::string& inner : names) KANTE_CHECK(removeTree(folder.get(), inner));
  }
  if (::unlinkat(folder_fd, name.c_str(), AT_REMOVEDIR) != 0) return failErrno(name);
  return {};
}

Result<FileDescriptor> unnamedFile(int dir_fd, const std::string& folder) {
  FileDescriptor file(::openat(dir_fd, folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file) return file;
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) return failErrno(folder);
  // File systems that know no unnamed files (older overlayfs, vfat): named for a moment.
  const std::string name = folder + "/.new-" + toHex(randomBytes(8));
  KANTE_TRY(named, openAt(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  if (::unlinkat(dir_fd, name.c_str(), 0) != 0) return failErrno(name);
  return named;
}

}  // namespace kante
