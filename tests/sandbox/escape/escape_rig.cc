#include "tests/sandbox/escape/escape_rig.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <kante/message.hpp>

#include <climits>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace kante::testing {

namespace {

constexpr std::chrono::seconds kDeadline(60);

std::shared_ptr<const FileDescriptor> sealedBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  EXPECT_FALSE(bytes.empty()) << path;
  auto fd =
      std::make_shared<FileDescriptor>(::memfd_create("module", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::write(fd->get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(
      ::fcntl(fd->get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), 0);
  return fd;
}

std::vector<std::uint64_t> messageOf(const std::string& body) {
  kante_message message{};
  message.content_type = toStr("application/json");
  message.content_encoding = toStr("utf-8");
  message.body = toStr(body);
  const std::uint32_t count = kante_message_words(&message);
  std::vector<std::uint64_t> words(count);
  kante_message_write(&message, words.data(), count);
  return words;
}

}  // namespace

bool mustWork() {
  const char* value = std::getenv("KANTE_SANDBOX_MUST_WORK");
  return value != nullptr && std::string(value) == "1";
}

EscapeRig::EscapeRig() : log_(Log::Format::kText, LogLevel::kError) {
  LauncherClient::Options options;
  options.log = &log_;
  options.launcher = KANTE_LAUNCHER;
  options.runner = KANTE_RUNNER;
  auto launcher = LauncherClient::open(control_, std::move(options));
  EXPECT_TRUE(launcher.has_value()) << launcher.error().text;
  if (!launcher) std::abort();
  launcher_ = std::move(*launcher);
  source_ = std::make_unique<LaunchedRunners>(*launcher_);
}

bool EscapeRig::has(std::uint32_t tier) const {
  if (can().tier == 0 || can().seccomp == 0) return false;
  if (hasNamespaces(tier) && can().namespaces == 0) return false;
  return !hasLandlock(tier) || can().landlock_abi > 0;
}

bool EscapeRig::until(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + kDeadline;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= end) return holds();
    control_.restart();
    control_.run_one_for(std::chrono::milliseconds(10));
  }
  return true;
}

// Keeps what the host saw of the runner from outside.
class EscapeRunner::Watched : public RunnerSource {
 public:
  Watched(RunnerSource& source, std::optional<SeenRunner>& seen) : source_(source), seen_(seen) {}
  std::uint32_t spawn(const SpawnOrder& order, LauncherClient::OnSpawned on_spawned,
                      LauncherClient::OnExited on_exited) override {
    return source_.spawn(order, std::move(on_spawned), std::move(on_exited));
  }
  void kill(std::uint32_t id) override { source_.kill(id); }
  Result<SeenRunner> look(const SpawnedRunner& runner) override {
    auto seen = source_.look(runner);
    if (seen.has_value()) seen_ = *seen;
    return seen;
  }

 private:
  RunnerSource& source_;
  std::optional<SeenRunner>& seen_;
};

EscapeRunner::EscapeRunner(EscapeRig& rig, const EscapeOrder& order) : rig_(rig) {
  RunnerOrder runner;
  runner.name = order.module;
  runner.module_id = "dev.kante.escape";
  runner.module_file = "escape.so";
  runner.module_bytes = sealedBytes(std::string(KANTE_ESCAPE_MODULES) + "/" + order.module + ".so");
  runner.tier = order.tier;
  runner.memory_mb = order.memory_mb;
  runner.pids_max = order.pids_max;
  runner.data_mb = order.data_mb;
  auto channel = RunnerChannel::make(order.module, runner.ring_bytes);
  EXPECT_TRUE(channel.has_value());
  channel_ = *channel;
  sleep_.emplace(channel_->files.runnerPage().end);
  ring_.emplace(channel_->files.ringToRunner(), runner.ring_bytes, channel_->files.page().end,
                channel_->files.runnerPage().end, *sleep_);
  writer_.emplace(*ring_);
  source_ = std::make_unique<Watched>(rig.source(), seen_);
  process_ = std::make_shared<RunnerProcess>(rig.control(), *source_, runner, channel_);
  RunnerProcess::Callbacks callbacks;
  callbacks.loaded = [this](LoadedRunner loaded) { loaded_ = std::move(loaded); };
  callbacks.log = [this](std::string_view line) { lines_.emplace_back(line); };
  callbacks.ended = [this](const Exited& exited, const std::string& killed_for) {
    exited_ = exited;
    killed_for_ = killed_for.empty() ? exited.text : killed_for;
  };
  process_->start(std::move(callbacks));
}

EscapeRunner::~EscapeRunner() {
  if (!ended()) {
    process_->kill("the test is over");
    EXPECT_TRUE(waitForEnd()) << "a runner survived SIGKILL";
  }
}

void EscapeRunner::write(Frame kind, const std::string& body) {
  const std::vector<std::uint64_t> words = messageOf(body);
  FrameOut frame;
  frame.kind = kind;
  if (kind == Frame::kInput) frame.text = "test";
  frame.words = words.data();
  frame.word_count = static_cast<std::uint32_t>(words.size());
  EXPECT_EQ(writer_->write(frame), FrameWriter::Wrote::kAll);
  ring_->publish();
  std::atomic<std::uint32_t>& wakes = channel_->files.runnerWakes();
  wakes.fetch_add(1);
  ::syscall(SYS_futex, &wakes, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

bool EscapeRunner::create() {
  EXPECT_TRUE(rig_.until([this] { return loaded_ || exited_; }));
  if (!loaded_ || exited_) return false;
  write(Frame::kCreate, "{}");
  return line("escape created").has_value();
}

void EscapeRunner::send(const std::string& body) { write(Frame::kInput, body); }

std::optional<std::string> EscapeRunner::line(const std::string& begin) {
  const auto find = [&]() -> std::optional<std::string> {
    for (const std::string& each : lines_)
      if (each.compare(0, begin.size(), begin) == 0) return each.substr(begin.size());
    return std::nullopt;
  };
  rig_.until([&] { return find() || exited_; });
  return find();
}

bool EscapeRunner::waitForEnd() {
  return rig_.until([this] { return exited_.has_value(); });
}

std::string EscapeRunner::text() const {
  std::string all;
  for (const std::string& each : lines_) all += each + "\n";
  if (exited_)
    all += "exit " + std::to_string(exited_->exit_code) + ", signal " +
           std::to_string(exited_->signal) + ", " + killed_for_ + "\n";
  return all;
}

}  // namespace kante::testing
