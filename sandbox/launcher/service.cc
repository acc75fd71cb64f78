#include "sandbox/launcher/service.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <utility>

#include "sandbox/launcher/clone.h"
#include "sandbox/launcher/steps.h"

namespace kante::launcher {
namespace {

constexpr std::size_t kDescriptors = 6;
constexpr std::size_t kRequestBytesMax = sizeof(Spawn) + 1;  // What is longer is seen to be.
constexpr std::size_t kAnswersMax = 64;                      // Then requests wait.
constexpr int kRemoveAgainMs = 50;
constexpr std::uint32_t kMegabytesMax = 1U << 20;

std::int64_t nowMs() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

std::uint64_t microseconds(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(time.tv_usec);
}

template <std::size_t N>
void put(char (&to)[N], const std::string& text) {
  to[text.copy(to, N - 1)] = '\0';
}

template <std::size_t N>
bool isTerminated(const char (&text)[N]) {
  return std::memchr(text, '\0', N) != nullptr;
}

// As part of a file's name.
std::string plain(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool fits = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      c == '-' || c == '_' || c == '.';
    out += fits ? c : '_';
  }
  return out;
}

}  // namespace

struct Service::Runner {
  std::uint32_t id = 0;
  std::uint32_t slot = 0;  // Below kRunnersMax, of no other that is there.
  pid_t pid = 0;
  Fd pidfd;
  Fd sync;  // Open until it executes kante-runner, or has failed.
  Group group;
  LimitKind limits = LimitKind::kRlimit;
  std::uint64_t namespaces[6] = {};
  bool ready = false;
  bool asked = false;
  bool forgotten = false;  // Its host is gone.
  std::string failure;
  std::int64_t prepared_until_ms = 0;
};

Service::Service(Fd runner, Cgroups::Role role)
    : runner_(std::move(runner)), role_(role), ids_(Ids::ofThisProcess()) {}

Service::~Service() = default;

void Service::attach(Fd socket) { socket_ = std::move(socket); }

void Service::detach() {
  socket_.reset();
  answers_.clear();
  for (const auto& runner : runners_) {
    runner->forgotten = true;
    kill(*runner);
  }
}

void Service::addTo(std::vector<pollfd>& polled) const {
  if (socket_) {
    const short wants = answers_.size() < kAnswersMax ? POLLIN : 0;
    const short has = answers_.empty() ? 0 : POLLOUT;
    polled.push_back({socket_.get(), static_cast<short>(wants | has), 0});
  }
  for (const auto& runner : runners_) {
    if (runner->sync) polled.push_back({runner->sync.get(), POLLIN, 0});
  }
}

void Service::onPoll(const std::vector<pollfd>& polled) {
  for (const pollfd& each : polled) {
    if (each.revents == 0) continue;
    if (socket_ && each.fd == socket_.get()) {
      if ((each.revents & POLLOUT) != 0) send();
      if ((each.revents & (POLLIN | POLLHUP | POLLERR)) != 0) read();
      continue;
    }
    for (const auto& runner : runners_) {
      if (runner->sync && each.fd == runner->sync.get()) drain(*runner);
    }
  }
  const std::int64_t now = nowMs();
  for (const auto& runner : runners_) {
    if (!runner->sync || now < runner->prepared_until_ms || !runner->failure.empty()) continue;
    runner->failure = "it was not ready after " + std::to_string(kPrepareMsMax / 1000) + " s";
    kill(*runner);
  }
  removeGroups();
}

// What is killed may take a moment to go, or, in a broken file system, for ever.
void Service::removeGroups() {
  const std::int64_t now = nowMs();
  const auto is_done = [now](Removing& each) {
    each.group.kill();
    if (each.group.remove()) return true;
    if (now < each.until_ms) return false;
    std::fprintf(stderr, "kante-launcher: something in the control group %s does not end\n",
                 each.group.name().c_str());
    return true;
  };
  removing_.erase(std::remove_if(removing_.begin(), removing_.end(), is_done), removing_.end());
}

int Service::timeoutMs() const {
  std::int64_t due = removing_.empty() ? -1 : kRemoveAgainMs;
  const std::int64_t now = nowMs();
  for (const auto& runner : runners_) {
    if (!runner->sync || !runner->failure.empty()) continue;
    const std::int64_t left = std::max<std::int64_t>(runner->prepared_until_ms - now, 0);
    due = due < 0 ? left : std::min(due, left);
  }
  return static_cast<int>(due);
}

// One message; poll() says when there is another.
void Service::read() {
  char bytes[kRequestBytesMax];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptors)];
  iovec part{bytes, sizeof bytes};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return detach();
  std::vector<Fd> descriptors;
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr;
       head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t n = 0; n < count; ++n) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(head) + n * sizeof(int), sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
  take(bytes, static_cast<std::size_t>(got), std::move(descriptors));
}

void Service::take(const char* bytes, std::size_t size, std::vector<Fd> descriptors) {
  LaunchKind kind{};
  if (size >= sizeof kind) std::memcpy(&kind, bytes, sizeof kind);
  if (kind == LaunchKind::kProbe && size == sizeof(Probe)) {
    Probe said;
    std::memcpy(&said, bytes, sizeof said);
    if (said.version != kLaunchVersion) return notUnderstood(kind, size);
    for (const auto& runner : runners_) {  // Of the life before.
      runner->forgotten = true;
      kill(*runner);
    }
    answers_.clear();
    if (std::exchange(told_, true) && can_.namespaces == 0) knows_ = false;
    const Can& now = can();
    return answer(&now, sizeof now);
  }
  if (kind == LaunchKind::kSpawn && size == sizeof(Spawn)) {
    Spawn order;
    std::memcpy(&order, bytes, sizeof order);
    return spawn(order, std::move(descriptors));
  }
  if (kind == LaunchKind::kKill && size == sizeof(Kill)) {
    Kill order;
    std::memcpy(&order, bytes, sizeof order);
    return killOf(order.id);
  }
  notUnderstood(kind, size);
}

void Service::notUnderstood(LaunchKind kind, std::size_t size) {
  NotUnderstood said;
  said.of = static_cast<std::uint32_t>(kind);
  said.bytes = static_cast<std::uint32_t>(size);
  answer(&said, sizeof said);
}

// Why it is not even tried; empty: it is.
std::string Service::refusal(const Spawn& order, std::size_t descriptors) {
  if (!isTerminated(order.name) || !isTerminated(order.module_file)) return "a name has no end";
  const std::string file = order.module_file;
  if (file.empty() || file != plain(file) || file[0] == '.')
    return "the module's file has no plain name";
  if (descriptors != kDescriptors) return "descriptors are missing";
  if (order.memory_mb > kMegabytesMax || order.data_mb > kMegabytesMax) return "a limit is absurd";
  if (order.tier < 1 || order.tier > 3) return "there is no tier " + std::to_string(order.tier);
  if (order.tier == 2 && order.data_mb != 0) return "tier 2 has no /data";
  if (runners_.size() >= kRunnersMax)
    return "there are " + std::to_string(kRunnersMax) + " runners already";
  const std::string failed = prepare();
  if (!failed.empty()) return failed;
  const Can& has = can();
  const bool spaces = order.tier == 2 || has.namespaces != 0;
  const bool landlock = order.tier == 1 || has.landlock_abi != 0;
  if (spaces && landlock && has.seccomp != 0) return {};
  return "tier " + std::to_string(order.tier) + " is not to be had here: " + has.better;
}

void Service::spawn(const Spawn& wanted, std::vector<Fd> descriptors) {
  Spawn order = wanted;
#if defined(KANTE_SANITIZED)
  order.memory_mb = 0;  // A sanitizer needs many times what it watches.
#endif
  if (order.pids_max == 0) order.pids_max = kLaunchPidsDefault;
  auto runner = std::make_unique<Runner>();
  runner->id = order.id;
  std::string failed = refusal(order, descriptors.size());
  if (failed.empty()) {
    ChildPlan plan;
    plan.order = order;
    for (const Fd& each : descriptors) plan.descriptors.push_back(each.get());
    failed = start(*runner, plan);
  }
  if (failed.empty()) {
    runners_.push_back(std::move(runner));
    return;
  }
  Exited exited;
  exited.id = order.id;
  put(exited.text, failed);
  answer(&exited, sizeof exited);
}

std::uint32_t Service::freeSlot() const {
  for (std::uint32_t slot = 0;; ++slot) {
    const bool taken = std::any_of(runners_.begin(), runners_.end(),
                                   [slot](const auto& runner) { return runner->slot == slot; });
    if (!taken) return slot;
  }
}

// The child waits for a byte until its ids are known.
std::string Service::start(Runner& runner, ChildPlan& plan) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return errnoText("socketpair", errno);
  runner.sync = Fd(ends[0]);
  const Fd theirs(ends[1]);
  plan.libraries = &libraries_;
  plan.runner_fd = runner_.get();
  plan.sync_fd = theirs.get();
  const std::uint32_t number = ++started_;
  runner.slot = freeSlot();
  plan.id = ids_.of(runner.slot);
  plan.is_root = ids_.mayTakeAny();
  plan.limits = runner.limits = cgroups_->kind();
  plan.group = &runner.group;
  const GroupLimits limits{plan.order.memory_mb, plan.order.cpu_percent, plan.order.pids_max};
  std::string failed = cgroups_->make(number, plain(plan.order.name), limits, runner.group);
  if (!failed.empty()) return "its control group: " + failed;
  int into = runner.group.cloneInto();
  runner.pid = cloneProcess(cloneFlags(plan), into, runner.pidfd);
  if (runner.pid == 0) {
    if (into >= 0) plan.group = nullptr;
    becomeRunner(plan);
  }
  if (runner.pid < 0) {
    failed = errnoText("clone", errno);
    runner.group.remove();
    return failed;
  }
  runner.prepared_until_ms = nowMs() + kPrepareMsMax;
  const Groups groups = plan.is_root ? Groups::kMayBeDropped : Groups::kStay;
  if (plan.namespaces()) failed = mapIds(runner.pid, kInnerId, plan.id, groups);
  if (failed.empty() && ::send(runner.sync.get(), "", 1, MSG_NOSIGNAL) != 1)
    failed = errnoText("its first word", errno);
  if (!failed.empty()) {
    runner.failure = failed;  // It is there, so its end is what says so.
    kill(runner);
  }
  return {};
}

void Service::killOf(std::uint32_t id) {
  for (const auto& runner : runners_) {
    if (runner->id != id || runner->forgotten) continue;
    runner->asked = true;
    kill(*runner);
  }
}

void Service::kill(Runner& runner) {
  runner.group.kill();
  ::syscall(SYS_pidfd_send_signal, runner.pidfd.get(), SIGKILL, nullptr, 0);
}

// What the child has said; the end of its socket is execve, or its own end.
void Service::drain(Runner& runner) {
  while (runner.sync) {
    ChildReport report;
    const ssize_t got = ::recv(runner.sync.get(), &report, sizeof report, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got == sizeof report && report.failed != 0 && runner.failure.empty()) {
      report.text[sizeof report.text - 1] = '\0';
      runner.failure = report.text;
    }
    if (got == sizeof report && report.failed == 0) {
      runner.ready = true;
      std::memcpy(runner.namespaces, report.namespaces, sizeof report.namespaces);
    }
    if (got == sizeof report) continue;
    runner.sync.reset();
    if (!runner.ready || !runner.failure.empty() || runner.forgotten) return;
    Spawned spawned;
    spawned.id = runner.id;
    spawned.pid = runner.pid;
    spawned.limits = runner.limits;
    std::memcpy(spawned.namespaces, runner.namespaces, sizeof spawned.namespaces);
    answer(&spawned, sizeof spawned, Fd(::fcntl(runner.pidfd.get(), F_DUPFD_CLOEXEC, 0)));
  }
}

bool Service::reaped(pid_t pid, int status, const rusage& used) {
  const auto found = std::find_if(runners_.begin(), runners_.end(),
                                  [pid](const auto& runner) { return runner->pid == pid; });
  if (found == runners_.end()) return false;
  Runner& runner = **found;
  drain(runner);
  Exited exited;
  exited.id = runner.id;
  exited.asked = runner.asked ? 1 : 0;
  exited.cpu_us = microseconds(used.ru_utime) + microseconds(used.ru_stime);
  exited.memory_peak = static_cast<std::uint64_t>(used.ru_maxrss) * 1024;
  const Group::Counts counts = runner.group.counts();
  exited.out_of_memory = counts.out_of_memory;
  exited.pids_refused = counts.pids_refused;
  if (counts.memory_peak != 0) exited.memory_peak = counts.memory_peak;
  if (runner.ready && runner.failure.empty()) {
    exited.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    exited.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  } else if (!runner.failure.empty()) {
    put(exited.text, runner.failure);
  } else {
    put(exited.text, exited.out_of_memory != 0 ? "its memory limit is too small to start it"
                     : runner.asked            ? "it was ended while it was prepared"
                                               : "it ended while it was prepared");
  }
  if (!runner.forgotten) answer(&exited, sizeof exited);
  runner.group.kill();  // What it may have left behind.
  if (!runner.group.remove())
    removing_.push_back({std::move(runner.group), nowMs() + kRemoveMsMax});
  runners_.erase(found);
  return true;
}

void Service::answer(const void* bytes, std::size_t size, Fd descriptor) {
  if (!socket_) return;
  const char* from = static_cast<const char*>(bytes);
  answers_.push_back({std::vector<char>(from, from + size), std::move(descriptor)});
  send();
}

void Service::send() {
  while (socket_ && !answers_.empty()) {
    Answer& next = answers_.front();
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    iovec part{next.bytes.data(), next.bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (next.descriptor) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(sizeof(int));
      const int fd = next.descriptor.get();
      std::memcpy(CMSG_DATA(head), &fd, sizeof fd);
    }
    const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) return;  // The host is gone; read() sees the same.
    answers_.pop_front();
  }
}

}  // namespace kante::launcher
