#include "tests/sandbox/runner/test_host.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <ctime>

#include "host/base/clock.h"

namespace kante {

namespace {

constexpr std::int64_t kDeadlineNs = 20'000'000'000;

std::int64_t nowNs() { return SystemClock().bootNs(); }

FileDescriptor sealedModule(const std::string& library) {
  const std::string path = std::string(KANTE_KIT_MODULES) + "/" + library + ".so";
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  KANTE_ASSERT(file.get() >= 0);
  struct stat facts {};
  KANTE_ASSERT(::fstat(file.get(), &facts) == 0);
  FileDescriptor memory(::memfd_create("module", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  for (off_t left = facts.st_size; left > 0;) {
    const ssize_t n = ::sendfile(memory.get(), file.get(), nullptr, static_cast<std::size_t>(left));
    KANTE_ASSERT(n > 0);
    left -= n;
  }
  KANTE_ASSERT(::fcntl(memory.get(), F_ADD_SEALS,
                       F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
  return memory;
}

}  // namespace

MessageRef bodyMessage(const std::string& body) { return jsonMessage(body).value(); }

std::string TestHost::Said::body() const {
  return message ? std::string(message.view().body()) : std::string();
}

TestHost::TestHost(const std::string& library, const Options& options) : routes_(options.routes) {
  files_ = std::move(HostFiles::make("test", options.ring_bytes)).value();
  HostPage& page = files_->page();
  const RunnerPage& peer = files_->runnerPage();
  for (auto& routed : page.routed) routed.store(0u - kOutputCredit);
  runner_sleep_ = std::make_unique<PeerSleep>(peer.end);
  own_sleep_ = std::make_unique<OwnSleep>(page.end);
  out_ = std::make_unique<RingWriter>(files_->ringToRunner(), options.ring_bytes, page.end,
                                      peer.end, *runner_sleep_);
  in_ = std::make_unique<RingReader>(files_->ringFromRunner(), options.ring_bytes, page.end,
                                     peer.end, *runner_sleep_);
  writer_ = std::make_unique<FrameWriter>(*out_);
  reader_ = std::make_unique<FrameReader>(*in_, FrameReader::From::kRunner);
  const FileDescriptor module = sealedModule(library);
  spawn(options.program.empty() ? KANTE_RUNNER : options.program, module.get(),
        files_->hostFileFd(), files_->runnerFileFd());
  files_->closeFiles();
  greet(options, options.module_id.empty() ? "dev.kante." + library : options.module_id);
}

TestHost::~TestHost() {
  if (exit_code_) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  ::waitpid(pid_, &status, 0);
}

void TestHost::spawn(const std::string& program, int module_fd, int read_only_fd, int runner_fd) {
  int sockets[2];
  KANTE_ASSERT(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
  control_ = FileDescriptor(sockets[0]);
  const FileDescriptor theirs(sockets[1]);
  doorbell_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  output_ = FileDescriptor(::memfd_create("output", MFD_CLOEXEC));
  const FileDescriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const int wanted[] = {null.get(),   output_.get(), output_.get(),   theirs.get(),
                        read_only_fd, runner_fd,     doorbell_.get(), module_fd};
  std::vector<int> high;  // So that no dup2() closes what is still to be placed.
  for (const int fd : wanted) high.push_back(::fcntl(fd, F_DUPFD_CLOEXEC, 64));
  pid_ = ::fork();
  KANTE_ASSERT(pid_ >= 0);
  if (pid_ == 0) {
    for (std::size_t i = 0; i < high.size(); ++i) ::dup2(high[i], static_cast<int>(i));
    const char* const arguments[] = {program.c_str(), nullptr};
    ::execv(program.c_str(), const_cast<char* const*>(arguments));
    ::_exit(127);
  }
  for (const int fd : high) ::close(fd);
}

template <typename Struct>
bool TestHost::hear(Struct& heard) {
  union {
    Struct wanted;
    Refused refused;
  } any{};
  pollfd ready{control_.get(), POLLIN, 0};
  if (::poll(&ready, 1, static_cast<int>(kDeadlineNs / 1'000'000)) != 1) {
    refused_ = "said nothing";
    return false;
  }
  const ssize_t n = ::recv(control_.get(), static_cast<void*>(&any), sizeof any, 0);
  if (n == sizeof(Struct) && any.wanted.kind == heard.kind) {
    heard = any.wanted;
    return true;
  }
  refused_ = n == sizeof(Refused) && any.refused.kind == StartKind::kRefused ? any.refused.text
                                                                             : "went away";
  return false;
}

void TestHost::greet(const Options& options, const std::string& id) {
  Hello hello;
  if (!hear(hello)) return;
  Start start;
  start.tier = options.tier;
  start.ring_bytes = options.ring_bytes;
  id.copy(start.module_id, sizeof start.module_id - 1);
  std::string("/proc/self/fd/7").copy(start.module_path, sizeof start.module_path - 1);
  (void)::send(control_.get(), &start, sizeof start, MSG_NOSIGNAL);
  if (!hear(facts_)) return;
  const Load load;
  (void)::send(control_.get(), &load, sizeof load, MSG_NOSIGNAL);
  (void)hear(loaded_);
}

std::vector<std::string> TestHost::names() const {
  std::vector<std::string> names;
  const char* at = loaded_.names;
  for (std::uint32_t i = 0; i < loaded_.inputs + loaded_.outputs; ++i) {
    names.emplace_back(at);
    at += names.back().size() + 1;
  }
  return names;
}

// ---- to the runner

void TestHost::wake(std::uint64_t wants) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (runner_sleep_->wakeFor(wants) == Wake::kNo) return;
  std::atomic<std::uint32_t>& wakes = files_->runnerWakes();
  wakes.fetch_add(1);
  ::syscall(SYS_futex, &wakes, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void TestHost::publish() {
  if (out_->publish() == Wake::kNo) return;
  std::atomic<std::uint32_t>& wakes = files_->runnerWakes();
  wakes.fetch_add(1);
  ::syscall(SYS_futex, &wakes, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void TestHost::send(const FrameOut& frame) {
  const std::int64_t end_ns = nowNs() + kDeadlineNs;
  FrameWriter::Wrote wrote = writer_->write(frame);
  while (wrote != FrameWriter::Wrote::kAll && nowNs() < end_ns && !out_->broken()) {
    publish();
    if (!pump() && out_->isFull()) (void)waitForBell(end_ns, For::kRoom);
    wrote = writer_->unfinished() ? writer_->resume() : writer_->write(frame);
  }
  publish();
}

void TestHost::send(Frame kind, const std::string& json) {
  const MessageRef message = bodyMessage(json);
  send({.kind = kind, .words = message.words(), .word_count = message.wordCount()});
}

void TestHost::input(const std::string& body, std::uint64_t token, int hops) {
  const MessageRef message = bodyMessage(body);
  send({.kind = Frame::kInput,
        .status = hops,
        .token = token,
        .text = "module/s/out",
        .words = message.words(),
        .word_count = message.wordCount()});
}

void TestHost::method(const std::string& name, std::uint64_t token, const std::string& arguments) {
  const MessageRef message = bodyMessage(arguments);
  send({.kind = Frame::kMethod,
        .token = token,
        .text = name,
        .words = message.words(),
        .word_count = message.wordCount()});
}

void TestHost::giveCredit(std::uint32_t output, std::uint32_t count) {
  files_->page().routed[output].fetch_add(count);
  wake(kWantsCredit);
}

void TestHost::activate() {
  is_active_ = true;
  for (auto& routed : files_->page().routed) routed.fetch_add(kOutputCredit);
  wake(kWantsCredit);
}

// ---- from the runner

bool TestHost::pump() {
  bool any = false;
  FrameIn frame;
  while (reader_->next(frame) == FrameReader::Got::kFrame) {
    any = true;
    if (frame.message) frame.message.get()->words = frame.head.message_words;
    if (frame.kind == Frame::kEmit && frame.head.id < kWireOutputsMax) {
      ++emitted_[frame.head.id];
      if (routes_ && is_active_) giveCredit(frame.head.id, 1);
    }
    said_.push_back({frame.kind, frame.head, std::string(frame.text), frame.message, frame.state});
    taken_.push_back(false);
    if (in_->giveBack(RingReader::Returning::kEighth) == Wake::kYes) {
      files_->runnerWakes().fetch_add(1);
      ::syscall(SYS_futex, &files_->runnerWakes(), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
    }
  }
  return any;
}

bool TestHost::waitForBell(std::int64_t until_ns, For waits) {
  if (in_->giveBack(RingReader::Returning::kEverything) == Wake::kYes) {
    files_->runnerWakes().fetch_add(1);
    ::syscall(SYS_futex, &files_->runnerWakes(), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }
  const std::uint64_t handled_before = handled();
  own_sleep_->announce(kWantsData | kWantsSpace);
  bool rang = true;
  if (in_->isEmpty() && handled() == handled_before && (waits == For::kNews || out_->isFull())) {
    // In slices: a runner that died rings no more.
    pollfd ready{doorbell_.get(), POLLIN, 0};
    const std::int64_t left_ms = std::max<std::int64_t>(0, (until_ns - nowNs()) / 1'000'000);
    rang = ::poll(&ready, 1, static_cast<int>(std::min<std::int64_t>(left_ms, 50))) == 1;
    std::uint64_t count = 0;
    (void)!::read(doorbell_.get(), &count, sizeof count);
  }
  own_sleep_->awake();
  return rang;
}

bool TestHost::until(const std::function<bool()>& condition) {
  const std::int64_t end_ns = nowNs() + kDeadlineNs;
  while (!condition()) {
    if (pump()) continue;
    if (nowNs() >= end_ns) return false;
    (void)waitForBell(end_ns, For::kNews);
  }
  return true;
}

std::optional<TestHost::Said> TestHost::next(Frame kind) {
  std::optional<Said> found;
  until([&] {
    for (std::size_t i = 0; i < said_.size() && !found; ++i) {
      if (taken_[i] || said_[i].kind != kind) continue;
      taken_[i] = true;
      found = said_[i];
    }
    return found.has_value();
  });
  return found;
}

std::size_t TestHost::countLogged(const std::string& text) const {
  return static_cast<std::size_t>(std::count_if(said_.begin(), said_.end(), [&](const Said& one) {
    return one.kind == Frame::kLog && one.text.find(text) != std::string::npos;
  }));
}

bool TestHost::logged(const std::string& text) {
  return until([&] { return countLogged(text) > 0; });
}

std::vector<std::string> TestHost::bodies() const {
  std::vector<std::string> bodies;
  for (const Said& one : said_) {
    if (one.kind == Frame::kEmit) bodies.push_back(one.body());
  }
  return bodies;
}

int TestHost::exitCode() {
  if (exit_code_) return *exit_code_;
  int status = 0;
  if (!until([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; })) return kStillRuns;
  (void)pump();
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return *exit_code_;
}

std::string TestHost::output() const {
  std::string text(1 << 16, '\0');
  const ssize_t n = ::pread(output_.get(), text.data(), text.size(), 0);
  text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return text;
}

}  // namespace kante
