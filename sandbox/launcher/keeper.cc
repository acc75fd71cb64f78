#include "sandbox/launcher/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "sandbox/launcher/keeper_line.h"
#include "sandbox/wire/update.h"

namespace kante::launcher {
namespace {

constexpr int kExitCodesInOrder = 2;  // Up to it: done, failed (a start that is refused), misused.
constexpr int kSignalBase = 128;
constexpr const char* kLauncherFd = "KANTE_LAUNCHER_FD";
constexpr const char* kKeeper = "KANTE_KEEPER";
constexpr const char* kOuterKeeper = "KANTE_OUTER_KEEPER";

std::int64_t nowMs() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

sigset_t watchedSignals() {
  sigset_t out;
  ::sigemptyset(&out);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) ::sigaddset(&out, number);
  return out;
}

bool isSameFile(int fd, const std::string& path) {
  struct stat open {};
  struct stat named {};
  return ::fstat(fd, &open) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = ::sigabbrev_np(WTERMSIG(status));
    return std::string("by SIG") + (name != nullptr ? name : std::to_string(WTERMSIG(status)));
  }
  return "with exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

std::int64_t Backoff::after(std::int64_t life_ms) {
  if (life_ms >= kLongLifeMs) {
    next_ms_ = kFirstMs;
    return 0;
  }
  const std::int64_t now = next_ms_;
  next_ms_ = std::min(std::max(2 * next_ms_, kFirstMs), kMostMs);
  return now;
}

Keeper::Keeper(Options options)
    : options_(std::move(options)),
      executable_(::open(options_.host.c_str(), O_PATH | O_CLOEXEC)),
      service_(std::move(options_.runner), Cgroups::Role::kKeeper) {
  ::signal(SIGPIPE, SIG_IGN);  // Whoever read its words may be gone.
  const sigset_t watched = watchedSignals();
  ::sigprocmask(SIG_BLOCK, &watched, nullptr);
  signals_ = Fd(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
}

// systemd's journal takes the number for the line's priority: a warning.
void Keeper::say(const std::string& text) const {
  struct stat open {};
  const char* stream = std::getenv("JOURNAL_STREAM");
  const bool is_journal = stream != nullptr && ::fstat(STDERR_FILENO, &open) == 0 &&
                          stream == std::to_string(open.st_dev) + ':' + std::to_string(open.st_ino);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::string line =
      wantsJson(options_.arguments)
          ? jsonLine(std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000, text)
          : "kante-launcher: " + text;
  std::fprintf(stderr, "%s%s\n", is_journal ? "<4>" : "", line.c_str());
}

int Keeper::run() {
  if (!executable_ || !signals_) {
    say(errnoText(options_.host, errno));
    return 1;
  }
  service_.enterGroups();
  if (!startHost()) return 1;
  // While the host opens its files.
  (void)service_.can();
  while (exit_code_ < 0 || service_.hasLeft()) {
    wait();
    if (trial_until_ms_ >= 0 && host_ > 0 && nowMs() >= trial_until_ms_) trialIsOver();
    if (start_at_ms_ < 0 || exit_code_ >= 0 || nowMs() < start_at_ms_) continue;
    start_at_ms_ = -1;
    // Out of memory or processes for the moment: no reason to give a gateway up that ran.
    if (!startHost()) start_at_ms_ = nowMs() + std::max(backoff_.after(0), Backoff::kFirstMs);
  }
  service_.leaveGroups();
  return exit_code_;
}

bool Keeper::startHost() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    say(errnoText("socketpair", errno));
    return false;
  }
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  const pid_t keeper = ::getpid();
  host_ = ::fork();
  if (host_ == 0) becomeHost(version_.empty() ? theirs.get() : -1, keeper);
  if (host_ < 0) {
    say(errnoText("the host cannot be started", errno));
    return false;
  }
  started_ms_ = nowMs();
  if (version_.empty()) service_.attach(std::move(ours));
  return true;
}

// The child.  A process group of its own: what a terminal or a supervisor sends to the group
// reaches it once, from here.
void Keeper::becomeHost(int socket, pid_t keeper) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != keeper) ::_exit(1);
  ::signal(SIGHUP, SIG_IGN);  // Until it handles it; a terminal that closes is no reason to end.
  const sigset_t watched = watchedSignals();
  ::sigprocmask(SIG_UNBLOCK, &watched, nullptr);
  if (socket < 0) {
    ::setenv(kOuterKeeper, std::to_string(keeper).c_str(), 1);
    executeKeeper();
  }
  ::fcntl(socket, F_SETFD, 0);
  ::setenv(kLauncherFd, std::to_string(socket).c_str(), 1);
  ::setenv(kKeeper, std::to_string(keeper).c_str(), 1);
  executeHost();
}

void Keeper::executeHost() {
  std::vector<char*> arguments;
  for (std::string& each : options_.arguments) arguments.push_back(each.data());
  arguments.push_back(nullptr);
  // The very file of the first life, whatever an update has put in its place; by its name where
  // it has one, which is what `ps` shows.
  if (isSameFile(executable_.get(), options_.host))
    ::execve(options_.host.c_str(), arguments.data(), environ);
  ::execveat(executable_.get(), "", arguments.data(), environ, AT_EMPTY_PATH);
  say(errnoText(options_.host, errno));
  ::_exit(1);
}

// The keeper of another version, with its own host and what that one was given.
void Keeper::executeKeeper() {
  const std::string folder = options_.versions.path(version_);
  std::string launcher = folder + "/kante-launcher";
  std::string host = folder + "/kante";
  std::string versions = "--versions";
  std::string data_dir = options_.versions.dataDir();
  std::string keep = "--keep";
  std::vector<char*> arguments = {launcher.data(), versions.data(), data_dir.data(), keep.data(),
                                  host.data()};
  for (std::string& each : options_.arguments) arguments.push_back(each.data());
  arguments.push_back(nullptr);
  ::execve(launcher.c_str(), arguments.data(), environ);
  say(errnoText(launcher, errno));
  ::_exit(1);
}

// For poll: -1 where nothing is due.
int Keeper::timeoutMs() const {
  std::int64_t timeout = service_.timeoutMs();
  const std::int64_t now = nowMs();
  for (const std::int64_t due : {start_at_ms_, host_ > 0 ? trial_until_ms_ : -1}) {
    if (due < 0) continue;
    const std::int64_t left = std::max<std::int64_t>(due - now, 0);
    timeout = timeout < 0 ? left : std::min(timeout, left);
  }
  return static_cast<int>(timeout);
}

void Keeper::wait() {
  std::vector<pollfd> polled = {{signals_.get(), POLLIN, 0}};
  service_.addTo(polled);
  if (::poll(polled.data(), polled.size(), timeoutMs()) < 0) return;
  service_.onPoll(polled);
  if (polled[0].revents != 0) takeSignals();
}

void Keeper::takeSignals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    const int number = static_cast<int>(info.ssi_signo);
    if (number == SIGCHLD) {
      reapAll();
      continue;
    }
    if (number != SIGHUP) stopping_ = true;
    if (host_ > 0) {
      ::kill(host_, number);
    } else if (stopping_ && exit_code_ < 0) {
      exit_code_ = 0;  // Between two lives.
    }
  }
}

// As the first process of a container it also gets children that others left behind.
void Keeper::reapAll() {
  int status = 0;
  rusage used{};
  for (pid_t pid = 0; (pid = ::wait4(-1, &status, WNOHANG, &used)) > 0;) {
    if (pid == host_) {
      hostEnded(status);
    } else {
      service_.reaped(pid, status, used);
    }
  }
}

void Keeper::hostEnded(int status) {
  host_ = 0;
  service_.detach();
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : kSignalBase + WTERMSIG(status);
  const bool wants_update = WIFEXITED(status) && code == kExitUpdate && !stopping_;
  if (wants_update && isInner()) {
    exit_code_ = code;
    return;
  }
  if (wants_update && beginTrial()) return;
  const std::int64_t due = trial_until_ms_;
  if (!stopping_ && endTrial(due >= 0 && nowMs() >= due ? "it was not healthy in time"
                                                        : "it ended " + describe(status)))
    return;
  const bool in_order = WIFEXITED(status) && code <= kExitCodesInOrder;
  const bool on_trial = isInner() && options_.versions.isOnTrial();
  if (on_trial && !stopping_) options_.versions.giveUp("the host ended " + describe(status));
  // One that was told to stop before it could know how: nothing ran yet.
  const bool stopped_early = stopping_ && WIFSIGNALED(status) &&
                             (WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGINT);
  if (in_order || stopping_ || on_trial) {
    exit_code_ = stopped_early ? 0 : code;
    return;
  }
  restartAfterCrash(status);
}

void Keeper::restartAfterCrash(int status) {
  const std::int64_t now = nowMs();
  const std::int64_t pause = backoff_.after(now - started_ms_);
  start_at_ms_ = now + pause;
  say("the host ended " + describe(status) + "; it is started again" +
      (pause == 0 ? "" : " in " + std::to_string(pause) + " ms"));
}

// ---- another version
// --------------------------------------------------------------------------------------

bool Keeper::isInner() const {
  const char* outer = std::getenv(kOuterKeeper);
  return outer != nullptr && std::atoi(outer) == ::getppid();
}

// A host that hangs ends with its keeper, which is killed; what was committed goes on.
void Keeper::trialIsOver() {
  if (options_.versions.isCommitted(version_)) {
    trial_until_ms_ = -1;
  } else {
    ::kill(host_, SIGKILL);
    trial_until_ms_ = 0;
  }
}

bool Keeper::beginTrial() {
  const auto trial = options_.versions.trial();
  if (!trial) return false;
  say("the host is updated: " + trial->folder + " has " + std::to_string(trial->seconds) +
      " s to become healthy");
  version_before_ = std::exchange(version_, trial->folder);
  start_at_ms_ = nowMs();
  trial_until_ms_ = start_at_ms_ + trial->seconds * 1000;
  return true;
}

bool Keeper::endTrial(std::string reason) {
  if (std::exchange(trial_until_ms_, -1) < 0 || options_.versions.isCommitted(version_))
    return false;
  const std::string failed = options_.versions.fail(version_, reason);
  if (!failed.empty()) say(failed);
  say("the update failed: " + reason + "; what ran before is started again");
  version_ = version_before_;
  start_at_ms_ = nowMs();
  return true;
}

}  // namespace kante::launcher
