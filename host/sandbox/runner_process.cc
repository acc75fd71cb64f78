#include "host/sandbox/runner_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstring>

#include "host/sandbox/said.h"

namespace kante {

Result<std::shared_ptr<RunnerChannel>> RunnerChannel::make(const std::string& name,
                                                           std::uint32_t ring_bytes) {
  KANTE_TRY(files, HostFiles::make(name, ring_bytes));
  FileDescriptor doorbell(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!doorbell) return failErrno("eventfd");
  return std::make_shared<RunnerChannel>(RunnerChannel{std::move(files), std::move(doorbell), {}});
}

bool RunnerChannel::pass(int fd, std::uint64_t token) const {
  PassedDescriptor said;
  said.token = token;
  iovec place{&said, sizeof said};
  alignas(cmsghdr) char beside[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &place;
  message.msg_iovlen = 1;
  message.msg_control = beside;
  message.msg_controllen = sizeof beside;
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(head), &fd, sizeof fd);
  return ::sendmsg(control.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) ==
         static_cast<ssize_t>(sizeof said);
}

RunnerProcess::RunnerProcess(boost::asio::io_context& control, RunnerSource& source,
                             RunnerOrder order, std::shared_ptr<RunnerChannel> channel)
    : order_(std::move(order)),
      source_(source),
      channel_(std::move(channel)),
      control_(control),
      deadline_(control),
      log_(control, [this](std::string_view line) {
        if (callbacks_.log) callbacks_.log(line);
      }) {}

RunnerProcess::~RunnerProcess() = default;

void RunnerProcess::start(Callbacks callbacks) {
  callbacks_ = std::move(callbacks);
  const Status spawned = spawn();
  if (!spawned.has_error()) return;
  boost::asio::post(control_.get_executor(),
                    [self = shared_from_this(), text = spawned.error().text] {
                      Exited exited;
                      text.copy(exited.text, sizeof exited.text - 1);
                      self->exited(exited);
                    });
}

Status RunnerProcess::spawn() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return failErrno("socketpair");
  const FileDescriptor theirs(ends[1]);
  control_.assign(ends[0]);
  channel_->control = FileDescriptor(::fcntl(ends[0], F_DUPFD_CLOEXEC, 0));
  if (!channel_->control) return failErrno("the control socket");
  if (::pipe2(ends, O_CLOEXEC) != 0) return failErrno("pipe");
  const FileDescriptor log_end(ends[1]);
  log_.open(FileDescriptor(ends[0]));

  SpawnOrder order;
  order.name = order_.name;
  order.module_file = order_.module_file;
  order.tier = order_.tier;
  order.memory_mb = order_.memory_mb;
  order.cpu_percent = order_.cpu_percent;
  order.pids_max = order_.pids_max;
  order.data_mb = order_.data_mb;
  order.writes_files = order_.writes_files;
  order.control_fd = theirs.get();
  order.host_file_fd = channel_->files.hostFileFd();
  order.runner_file_fd = channel_->files.runnerFileFd();
  order.doorbell_fd = channel_->doorbell.get();
  order.log_fd = log_end.get();
  order.module_fd = order_.module_bytes->get();
  stage_ = Stage::kSpawned;
  within(kConfinedWithin, "did not confine itself");
  id_ = source_.spawn(
      order,
      [self = shared_from_this()](SpawnedRunner runner) {
        self->spawned_ = std::move(runner);
        self->compare();
      },
      [self = shared_from_this()](const Exited& exited) { self->exited(exited); });
  listen();
  return {};
}

void RunnerProcess::kill(const std::string& reason) {
  if (stage_ == Stage::kEnded || stage_ == Stage::kNew) return;
  if (killed_for_.empty()) killed_for_ = reason;
  if (id_ != 0) source_.kill(id_);
}

void RunnerProcess::within(std::chrono::seconds time, std::string what) {
  deadline_.expires_after(time);
  deadline_.async_wait([weak = weak_from_this(), time,
                        what = std::move(what)](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!error && self) self->kill(fmt::format("{} within {} s", what, time.count()));
  });
}

// Why it refused may still be unread when its end is known.
void RunnerProcess::hearLastWords() {
  if (!control_.is_open() || stage_ >= Stage::kLoaded) return;
  std::array<char, sizeof(Loaded) + 1> bytes;
  ssize_t size = 0;
  while (killed_for_.empty() &&
         (size = ::recv(control_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT)) > 0) {
    Refused said;
    if (size != sizeof said) continue;
    std::memcpy(&said, bytes.data(), sizeof said);
    if (said.kind == StartKind::kRefused) killed_for_ = saidText(said.text, sizeof said.text);
  }
}

void RunnerProcess::exited(const Exited& exited) {
  hearLastWords();
  if (std::exchange(stage_, Stage::kEnded) == Stage::kEnded) return;
  deadline_.cancel();
  log_.finish();
  boost::system::error_code ignored;
  control_.close(ignored);
  const Callbacks callbacks = std::exchange(callbacks_, {});
  callbacks.ended(exited, killed_for_);
}

// ---- the conversation
// ------------------------------------------------------------------------------

void RunnerProcess::listen() {
  control_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [weak = weak_from_this()](const boost::system::error_code& error) {
                        const auto self = weak.lock();
                        if (!error && self && self->stage_ != Stage::kEnded) self->receive();
                      });
}

void RunnerProcess::receive() {
  // One more than the largest, so that what is too long is seen to be.
  std::array<char, sizeof(Loaded) + 1> bytes;
  const ssize_t size = ::recv(control_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return listen();
  if (size <= 0) return socketClosed();
  spoke(bytes.data(), static_cast<std::size_t>(size));
  if (stage_ != Stage::kEnded) listen();
}

// The exit follows; where it does not, somebody closed what he should not.
void RunnerProcess::socketClosed() {
  if (expects_end_ || !killed_for_.empty()) return;
  deadline_.expires_after(kEndWithin);
  deadline_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!error && self) self->kill("closed its control socket");
  });
}

void RunnerProcess::spoke(const char* bytes, std::size_t size) {
  StartKind kind{};
  const auto is = [&](StartKind wanted, std::size_t wanted_size, Stage stage) {
    return kind == wanted && size == wanted_size && stage_ == stage;
  };
  if (size >= sizeof kind) std::memcpy(&kind, bytes, sizeof kind);
  if (is(StartKind::kHello, sizeof(Hello), Stage::kSpawned)) {
    Hello said;
    std::memcpy(&said, bytes, sizeof said);
    hello(said);
  } else if (is(StartKind::kFacts, sizeof(Facts), Stage::kStarted) && !facts_) {
    std::memcpy(&facts_.emplace(), bytes, sizeof(Facts));
    compare();
  } else if (is(StartKind::kLoaded, sizeof(Loaded), Stage::kConfined)) {
    const auto said = std::make_unique<Loaded>();
    std::memcpy(static_cast<void*>(said.get()), bytes, sizeof(Loaded));
    loaded(*said);
  } else if (kind == StartKind::kRefused && size == sizeof(Refused) && stage_ < Stage::kLoaded) {
    Refused said;
    std::memcpy(&said, bytes, sizeof said);
    kill(saidText(said.text, sizeof said.text));
  } else {
    kill(fmt::format("spoke out of turn on its control socket ({} bytes)", size));
  }
}

template <typename Struct>
void RunnerProcess::send(const Struct& said) {
  // The first few of a socket that holds more: it never has to wait.
  if (::send(control_.native_handle(), &said, sizeof said, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
      errno != EPIPE && errno != ECONNRESET) {
    kill(failErrno("its control socket").text);
  }
}

void RunnerProcess::hello(const Hello& said) {
  if (said.wire_version != kWireVersion) {
    return kill(
        fmt::format("kante-runner speaks version {} of the wire and this host {}: install "
                    "both from one release",
                    said.wire_version, kWireVersion));
  }
  Start start{};
  start.tier = order_.tier;
  start.ring_bytes = order_.ring_bytes;
  start.data_dir = order_.data_mb != 0 ? 1 : 0;
  order_.module_id.copy(start.module_id, sizeof start.module_id - 1);
  const std::string path = moduleIsFile(order_.tier)
                               ? "/mod/" + order_.module_file
                               : "/proc/self/fd/" + std::to_string(kRunnerModuleFd);
  path.copy(start.module_path, sizeof start.module_path - 1);
  stage_ = Stage::kStarted;
  send(start);
}

// Once both the launcher and the runner have told what they know of it.
void RunnerProcess::compare() {
  if (stage_ != Stage::kStarted || !facts_ || !spawned_) return;
#ifndef KANTE_SANITIZED  // Sanitizers do not bear the filters: there is nothing to compare.
  const auto seen = source_.look(*spawned_);
  if (seen.has_error()) return kill("cannot be looked at: " + seen.error().text);
  const auto own = ownNamespaces();
  if (own.has_error()) return kill("the host cannot look at itself: " + own.error().text);
  if (const Status as_promised = checkFacts(order_.tier, *facts_, *seen, *own);
      as_promised.has_error()) {
    return kill(as_promised.error().text);
  }
#endif
  stage_ = Stage::kConfined;
  within(kLoadedWithin, "did not load its module");
  send(Load{});
}

void RunnerProcess::loaded(const Loaded& said) {
  if (said.has_filter2 != 1)
    return kill("its runner is not confined as promised: it is without the filter after loading");
  LoadedRunner out;
  out.pid = spawned_->pid;
  out.limits = spawned_->limits;
  auto names = namesIn(said);
  if (names.has_error()) return kill(names.error().text);
  out.version = std::move(names->version);
  out.inputs = std::move(names->inputs);
  out.outputs = std::move(names->outputs);
  deadline_.cancel();
  stage_ = Stage::kLoaded;
  channel_->files.closeFiles();
  if (callbacks_.loaded) callbacks_.loaded(std::move(out));
}

}  // namespace kante
