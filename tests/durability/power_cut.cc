// Runs one life of a program on a disk that loses its power:
//
//   durability-power-cut SHIM DATA_DIR FOLDER SEED BOUNDARY before|after PROGRAM ARGUMENT…
//
// The cut comes at that write or sync below DATA_DIR, before or after it is done (0: at none), or
// at the next one after SIGUSR1. SIGTERM goes on to the program, which may end in order. After a
// cut the files are what such a disk may have kept of them, by SEED, and a line "BOUNDARIES SECTORS
// LOST RENAMES" is added to FOLDER/cuts.  FOLDER is on the same file system, outside of DATA_DIR.
// DURABILITY_FORGET_SYNCS in the environment: a disk that lies, which whoever accounts has to
// notice.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/durability/disk.h"

namespace {

using namespace kante::durability;

constexpr timespec kNothingIsWritten{0, 300'000'000};  // Then the cut is wherever it stands.

pid_t start(const char* shim, const std::string& log, char** words) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setenv("LD_PRELOAD", shim, 1);
  ::setenv("DURABILITY_DISK_LOG", log.c_str(), 1);
  ::execv(words[0], words);
  std::fprintf(stderr, "power cut: %s: %s\n", words[0], std::strerror(errno));
  ::_exit(127);
}

// Until the program has ended; its status, and whether the power was cut.
int watch(pid_t child, const sigset_t& signals, Disk& disk, bool& was_cut) {
  int status = 0;
  bool cutting = false;
  while (::waitpid(child, &status, WNOHANG) != child) {
    const int got = cutting ? ::sigtimedwait(&signals, nullptr, &kNothingIsWritten)
                            : ::sigwaitinfo(&signals, nullptr);
    if (got == SIGTERM) ::kill(child, SIGTERM);
    if (got == SIGUSR1) disk.cutNow();
    cutting = cutting || got == SIGUSR1;
    if (got < 0 && errno == EAGAIN) ::kill(child, SIGKILL);
  }
  was_cut = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  return status;
}

}  // namespace

// Not what a program that ends by itself says.
constexpr int kWasCut = 99;

int main(int count, char** words) {
  if (count < 8) {
    std::fprintf(stderr,
                 "power cut: SHIM DATA_DIR FOLDER SEED BOUNDARY before|after PROGRAM ARGUMENT…\n");
    return 2;
  }
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGCHLD, SIGTERM, SIGUSR1}) sigaddset(&signals, number);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  const std::string folder = words[3];
  const bool lies = std::getenv("DURABILITY_FORGET_SYNCS") != nullptr;
  Disk disk(words[2], folder, lies ? kForgetSyncs : kNothingSpecial);
  disk.arm({std::strtoull(words[5], nullptr, 10), std::string(words[6]) == "after"});
  bool was_cut = false;
  const pid_t child = start(words[1], disk.logPath(), words + 7);
  const int status = watch(child, signals, disk, was_cut);
  if (!was_cut) return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  Random random(std::strtoull(words[4], nullptr, 10));
  const CutResult cut = disk.settle(random);
  if (std::FILE* out = std::fopen((folder + "/cuts").c_str(), "a")) {
    std::fprintf(out, "%llu %llu %llu %llu\n", static_cast<unsigned long long>(cut.boundaries),
                 static_cast<unsigned long long>(cut.sectors),
                 static_cast<unsigned long long>(cut.sectors_lost),
                 static_cast<unsigned long long>(cut.renames_undone));
    std::fclose(out);
  }
  return kWasCut;
}
