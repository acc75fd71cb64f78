#include "tests/sandbox/confine/child.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <new>

namespace kante::testing {

namespace {

void becomeNobody() {
  if (::setgroups(0, nullptr) != 0 || ::setresgid(65534, 65534, 65534) != 0 ||
      ::setresuid(65534, 65534, 65534) != 0)
    ::_exit(kNotPrepared);
  // Cleared by the change of ids, and then not even the own maps of ids may be written.
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

void provideModule(const Preparation& how) {
  std::ifstream file(how.module_file, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  const int fd = ::memfd_create("module", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (::write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    ::_exit(kNotPrepared);
  if (how.module_sealed &&
      ::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    ::_exit(kNotPrepared);
  ::dup3(fd, kRunnerModuleFd, O_CLOEXEC);
}

void writeFile(const char* path, const std::string& text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC | O_CREAT, 0644);
  if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    ::_exit(kNotPrepared);
  ::close(fd);
}

// What the launcher does, in short: a root with nothing but the module.
void emptyRoot(const Preparation& how) {
  std::ifstream file(how.module_file, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  const unsigned uid = ::geteuid(), gid = ::getegid();
  const int users = uid == 0 ? 0 : CLONE_NEWUSER;
  if (::unshare(CLONE_NEWNS | users) != 0) ::_exit(kNoNamespaces);
  if (users != 0) {
    writeFile("/proc/self/setgroups", "deny");
    writeFile("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1");
    writeFile("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1");
  }
  if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, nullptr) != 0 ||
      ::mkdir("/tmp/mod", 0755) != 0)
    ::_exit(kNotPrepared);
  writeFile("/tmp/mod/module.so", bytes);
  if (::chroot("/tmp") != 0 || ::chdir("/") != 0) ::_exit(kNotPrepared);
}

[[noreturn]] void live(const Preparation& how, Notebook& notes,
                       const std::function<void(Notebook&)>& work) {
  provideModule(how);
  ::close_range(kRunnerFdsEnd, ~0u, 0);
  if (how.as == As::kNobody) becomeNobody();
  how.before();
  if (how.tier == 3 || how.tier == 1) emptyRoot(how);
  installReports(notes.page);
  Start start;
  start.tier = how.tier;
  const std::string error = confine(start, notes.facts);
  if (!error.empty()) {
    notes.note(error);
    ::_exit(kNotConfined);
  }
  work(notes);
  ::_exit(0);
}

}  // namespace

void Notebook::note(const std::string& line) {
  const std::size_t used = std::strlen(text);
  std::snprintf(text + used, sizeof text - used, "%s\n", line.c_str());
  ++entries;
}

ConfinedChild::ConfinedChild()
    : notes_(new (::mmap(nullptr, sizeof(Notebook), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Notebook) {}

ConfinedChild::~ConfinedChild() { ::munmap(notes_, sizeof(Notebook)); }

pid_t ConfinedChild::start(const Preparation& how, const std::function<void(Notebook&)>& work) {
  child_ = ::fork();
  if (child_ != 0) return child_;
  if (how.own_pids) {
    // In a process between, which passes on how its child ended.
    if (::unshare(CLONE_NEWPID) != 0) ::_exit(kNotPrepared);
    const pid_t first = ::fork();
    if (first != 0) {
      int status = 0;
      ::waitpid(first, &status, 0);
      if (WIFSIGNALED(status)) notes_->note("signal " + std::to_string(WTERMSIG(status)));
      ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 0);
    }
  }
  live(how, *notes_, work);
}

Ended ConfinedChild::runBare(const std::function<void(Notebook&)>& work) {
  child_ = ::fork();
  if (child_ != 0) return wait();
  work(*notes_);
  ::_exit(0);
}

Ended ConfinedChild::wait() {
  int status = 0;
  ::waitpid(child_, &status, 0);
  Ended ended;
  if (WIFEXITED(status)) ended.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) ended.signal = WTERMSIG(status);
  return ended;
}

Ended ConfinedChild::run(const Preparation& how, const std::function<void(Notebook&)>& work) {
  start(how, work);
  return wait();
}

}  // namespace kante::testing
