#include "host/cli/next_life.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <memory>

#include "host/base/fd.h"

namespace kante::cli {
namespace {

constexpr const char* kSelf = "/proc/self/exe";

std::set<int> openDescriptors() {
  std::set<int> open;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/fd"), ::closedir);
  if (!folder) return open;
  while (const dirent* entry = ::readdir(folder.get())) {
    if (entry->d_name[0] == '.') continue;
    const int fd = std::atoi(entry->d_name);
    if (fd != ::dirfd(folder.get())) open.insert(fd);
  }
  return open;
}

void setMask(int how) {
  sigset_t stops;
  ::sigemptyset(&stops);
  ::sigaddset(&stops, SIGTERM);
  ::sigaddset(&stops, SIGINT);
  ::pthread_sigmask(how, &stops, nullptr);
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

NextLife::NextLife(std::vector<std::string> arguments)
    : arguments_(std::move(arguments)), inherited_(openDescriptors()) {
  for (const int fd : inherited_) {
    if (fd > STDERR_FILENO) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    environment_.emplace_back(*variable);
  }
}

void NextLife::holdSignals() { setMask(SIG_BLOCK); }
void NextLife::takeSignals() { setMask(SIG_UNBLOCK); }

Error NextLife::begin() const {
  for (const int fd : openDescriptors()) {
    ::fcntl(fd, F_SETFD, inherited_.contains(fd) ? 0 : FD_CLOEXEC);
  }
  const std::vector<char*> arguments = pointers(arguments_);
  const std::vector<char*> environment = pointers(environment_);
  ::execve(kSelf, arguments.data(), environment.data());
  return failErrno(kSelf);
}

}  // namespace kante::cli
