#include "sandbox/launcher/versions.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "sandbox/launcher/fd.h"
#include "sandbox/wire/update.h"

namespace kante::launcher {
namespace {

std::string realPath(const std::string& path) {
  char out[PATH_MAX];
  return ::realpath(path.c_str(), out) == nullptr ? std::string() : std::string(out);
}

std::string firstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

// A name below data_dir, and no way out of it.
bool isFolder(const std::string& name) {
  return !name.empty() && name[0] != '/' && name.find("..") == std::string::npos;
}

// Empty, or what went wrong.
std::string replace(int dir_fd, const char* name, const std::string& text) {
  const std::string fresh = std::string(name) + ".new";
  {
    const Fd file(::openat(dir_fd, fresh.c_str(),
                           O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file ||
        ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        ::fsync(file.get()) != 0)
      return errnoText(fresh, errno);
  }
  return ::renameat(dir_fd, fresh.c_str(), dir_fd, name) == 0 ? "" : errnoText(name, errno);
}

}  // namespace

Versions::Versions(std::string data_dir) : data_dir_(std::move(data_dir)) {}

std::optional<Versions::Trial> Versions::trial() const {
  if (data_dir_.empty()) return std::nullopt;
  const std::string line = firstLine(readSmallFile(AT_FDCWD, file(kUpdateTrial)));
  const auto space = line.rfind(' ');
  if (space == std::string::npos) return std::nullopt;
  Trial out{line.substr(0, space), std::strtoll(line.c_str() + space, nullptr, 10)};
  if (!isFolder(out.folder) || out.seconds < 1 || out.seconds > kTrialSecondsMax)
    return std::nullopt;
  return out;
}

bool Versions::isCommitted(const std::string& folder) const {
  return firstLine(readSmallFile(AT_FDCWD, file(kUpdateCurrent))) == folder;
}

bool Versions::isOnTrial() const {
  const std::optional<Trial> now = trial();
  if (!now || isCommitted(now->folder)) return false;
  const std::string self = realPath("/proc/self/exe");
  return self.substr(0, self.rfind('/')) == realPath(path(now->folder));
}

std::string Versions::file(const char* name) const {
  return data_dir_ + "/" + kUpdateFolder + "/" + name;
}

void Versions::giveUp(const std::string& reason) const {
  const Fd home(
      ::open((data_dir_ + "/" + kUpdateFolder).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (home && ::faccessat(home.get(), kUpdateReason, F_OK, 0) != 0)
    (void)replace(home.get(), kUpdateReason, reason + "\n");  // Else the exit code has to do.
}

std::string Versions::fail(const std::string& folder, std::string& reason) const {
  const std::string said = firstLine(readSmallFile(AT_FDCWD, file(kUpdateReason)));
  if (!said.empty()) reason = said;
  const std::string home_name = data_dir_ + "/" + kUpdateFolder;
  const Fd home(::open(home_name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!home) return errnoText(home_name, errno);
  const std::string failed = replace(home.get(), kUpdateFailed, folder + " " + reason + "\n");
  if (!failed.empty()) return failed;
  for (const char* name : {kUpdateReason, kUpdateTrial})
    if (::unlinkat(home.get(), name, 0) != 0 && errno != ENOENT) return errnoText(name, errno);
  return ::fsync(home.get()) == 0 ? "" : errnoText(home_name, errno);
}

}  // namespace kante::launcher
