#include "tests/sandbox/launcher/rig.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

namespace kante {
namespace {

constexpr std::chrono::seconds kPatience{60};

}  // namespace

FileDescriptor memoryFile(const std::string& text) {
  FileDescriptor out(::memfd_create("test", MFD_CLOEXEC));
  KANTE_ASSERT(writeAll(out.get(), text).has_value());
  return out;
}

bool sandboxMustWork() {
  const char* must = std::getenv("KANTE_SANDBOX_MUST_WORK");
  return must != nullptr && *must != '\0' && *must != '0';
}

void ProbeRunner::spawn(LauncherClient& client, SpawnOrder order) {
  int sockets[2];
  int pipes[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
  ASSERT_EQ(::pipe2(pipes, O_CLOEXEC), 0);
  socket_ = FileDescriptor(sockets[0]);
  log_ = FileDescriptor(pipes[0]);
  const FileDescriptor control(sockets[1]);
  const FileDescriptor log(pipes[1]);
  const FileDescriptor host_file = memoryFile("of the host");
  const FileDescriptor runner_file = memoryFile("of the runner");
  const FileDescriptor doorbell = memoryFile("doorbell");
  const FileDescriptor module = memoryFile("bytes of the module");
  order.control_fd = control.get();
  order.log_fd = log.get();
  order.host_file_fd = host_file.get();
  order.runner_file_fd = runner_file.get();
  order.doorbell_fd = doorbell.get();
  if (order.module_fd < 0) order.module_fd = module.get();
  if (order.module_file.empty()) order.module_file = "0a1b.so";
  id_ = client.spawn(
      order, [this](SpawnedRunner runner) { spawned_ = std::move(runner); },
      [this](const Exited& exited) { exited_ = exited; });
}

bool ProbeRunner::turnUntil(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    if (control_.stopped()) control_.restart();
    control_.run_one_for(std::chrono::milliseconds(20));
  }
  return true;
}

bool ProbeRunner::runs() {
  EXPECT_TRUE(turnUntil([this] { return spawned_ || exited_; }));
  if (exited_) ADD_FAILURE() << exited_->text;
  return spawned_ && !exited_;
}

void ProbeRunner::tell(const std::string& question) {
  EXPECT_EQ(::send(socket_.get(), question.data(), question.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(question.size()));
}

std::string ProbeRunner::ask(const std::string& question) {
  tell(question);
  pollfd polled{socket_.get(), POLLIN, 0};
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience);
  if (::poll(&polled, 1, static_cast<int>(patience.count())) <= 0) return "no answer";
  std::string out(16384, '\0');
  const ssize_t got = ::recv(socket_.get(), out.data(), out.size(), 0);
  out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return out;
}

const Exited& ProbeRunner::exited() {
  EXPECT_TRUE(turnUntil([this] { return exited_.has_value(); }));
  if (!exited_) exited_.emplace();
  return *exited_;
}

std::string ProbeRunner::log() {
  std::string out(4096, '\0');
  const ssize_t got = ::read(log_.get(), out.data(), out.size());
  out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return out;
}

void LauncherTest::SetUp() { open(KANTE_PROBE_RUNNER); }

void LauncherTest::open(const std::string& runner) {
  LauncherClient::Options options;
  options.launcher = KANTE_LAUNCHER;
  options.runner = runner;
  options.on_lost = [this](const std::string& why) { lost = why; };
  auto opened = LauncherClient::open(control, std::move(options));
  ASSERT_TRUE(opened) << opened.error().text;
  client = std::move(*opened);
}

bool LauncherTest::has(std::uint32_t tier) const {
  const Can& can = client->can();
  const bool spaces = tier == 2 || can.namespaces != 0;
  const bool landlock = tier == 1 || can.landlock_abi != 0;
  if (spaces && landlock && can.seccomp != 0) return true;
  EXPECT_FALSE(sandboxMustWork()) << can.better;
  return false;
}

SpawnOrder LauncherTest::order(std::uint32_t tier) const {
  SpawnOrder out;
  out.name = "probe";
  out.tier = tier;
  out.memory_mb = 64;
  out.pids_max = 16;
  return out;
}

}  // namespace kante
