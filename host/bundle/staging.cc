#include "host/bundle/staging.h"

#include <sys/stat.h>
#include <unistd.h>

#include "host/bundle/base_form.h"
#include "host/bundle/tree.h"

namespace kante {

namespace {

Status syncFd(int fd, const std::string& what) {
  if (::fsync(fd) != 0) return failErrno(what);
  return {};
}

}  // namespace

Status StagingSink::manifest(const Manifest& manifest, std::string_view text) {
  for (const auto& [name, file] : manifest.files)
    if (!isKept(manifest, name, machine_)) dropped_.insert(name);
  KANTE_TRY(file,
            openAt(folder_fd_, "manifest.json", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
  KANTE_CHECK(writeAll(file.get(), text));
  return syncFd(file.get(), "manifest.json");
}

// The names were checked: relative, without "..", and no file is another's folder.
Status StagingSink::makeFolders(const std::string& name) {
  for (std::size_t at = name.find('/'); at != std::string::npos; at = name.find('/', at + 1)) {
    const std::string folder = name.substr(0, at);
    if (!folders_.insert(folder).second) continue;
    if (::mkdirat(folder_fd_, folder.c_str(), 0755) != 0) return failErrno(folder);
  }
  return {};
}

Status StagingSink::begin(const std::string& name, const ManifestFile&) {
  name_ = name;
  if (dropped_.contains(name)) return {};
  KANTE_CHECK(makeFolders(name));
  KANTE_TRY(file, openAt(folder_fd_, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
  file_ = std::move(file);
  return {};
}

Status StagingSink::write(std::string_view bytes) {
  if (!file_) return {};
  const Status written = writeAll(file_.get(), bytes);
  if (written.has_error()) return within(name_, written.error());
  return {};
}

Result<int> StagingSink::end() {
  if (!file_) return -1;
  KANTE_CHECK(syncFd(file_.get(), name_));
  const int fd = file_.get();
  kept_ = std::move(file_);
  return fd;
}

Status StagingSink::sync() {
  for (const std::string& folder : folders_) {
    KANTE_TRY(fd, openAt(folder_fd_, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    KANTE_CHECK(syncFd(fd.get(), folder));
  }
  return syncFd(folder_fd_, "bundle folder");
}

Result<ScratchSink> ScratchSink::open(const std::string& folder) {
  KANTE_TRY(file, unnamedFile(AT_FDCWD, folder));
  return ScratchSink(std::move(file));
}

Status ScratchSink::manifest(const Manifest& manifest, std::string_view text) {
  for (const auto& [machine, name] : manifest.lib) libraries_.insert(name);
  manifest_text_ = text;
  return {};
}

Status ScratchSink::begin(const std::string& name, const ManifestFile&) {
  keeping_ = libraries_.contains(name);
  if (!keeping_) return {};
  if (::ftruncate(file_.get(), 0) != 0 || ::lseek(file_.get(), 0, SEEK_SET) != 0)
    return failErrno(name);
  return {};
}

Status ScratchSink::write(std::string_view bytes) {
  return keeping_ ? writeAll(file_.get(), bytes) : Status{};
}

Result<int> ScratchSink::end() { return keeping_ ? file_.get() : -1; }

}  // namespace kante
