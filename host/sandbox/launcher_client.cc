#include "host/sandbox/launcher_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <list>
#include <map>

#include "host/base/log.h"

namespace kante {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

constexpr int kAnswerMsMax = 10'000;    // For what it can do.
constexpr int kHelperEndMsMax = 5'000;  // For a helper to end its runners and itself.
constexpr std::chrono::seconds kHelperAgainAfter{1};
constexpr std::chrono::milliseconds kSendAgainAfter{100};
constexpr int kHelperSocket = 3;  // In the helper.
constexpr std::size_t kAnswerBytesMax = 4096;
static_assert(sizeof(Can) <= kAnswerBytesMax && sizeof(Exited) <= kAnswerBytesMax);

// The socket that the keeper left for this process; empty when none started it.
FileDescriptor keeperSocket() {
  const char* keeper = std::getenv("KANTE_KEEPER");
  const char* number = std::getenv("KANTE_LAUNCHER_FD");
  if (keeper == nullptr || number == nullptr || std::atoi(keeper) != ::getppid()) return {};
  const int fd = std::atoi(number);
  int type = 0;
  socklen_t size = sizeof type;
  const bool is_socket = ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
  if (!is_socket || type != SOCK_SEQPACKET) return {};
  // The number itself stays open for the next life of this process.
  return FileDescriptor(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

std::string besideSelf(const char* name) {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string self(path, size > 0 ? static_cast<std::size_t>(size) : 0);
  return self.substr(0, self.rfind('/') + 1) + name;
}

template <std::size_t N>
Status put(char (&to)[N], const std::string& text, const char* what) {
  if (text.size() >= N) return fail(Errc::kLimit, std::string(what) + " is too long");
  to[text.copy(to, N - 1)] = '\0';
  return {};
}

Result<FileDescriptor> duplicate(int fd) {
  FileDescriptor out(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!out) return failErrno("a descriptor of the runner");
  return out;
}

// Sent or not; errno says why.
bool sendMessage(int socket, const std::vector<char>& bytes,
                 const std::vector<FileDescriptor>& descriptors) {
  constexpr std::size_t kDescriptorsMax = 6;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptorsMax)] = {};
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors.size());
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
    for (std::size_t n = 0; n < descriptors.size(); ++n) {
      const int fd = descriptors[n].get();
      std::memcpy(CMSG_DATA(head) + n * sizeof(int), &fd, sizeof fd);
    }
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

struct Heard {
  std::vector<char> bytes;
  FileDescriptor descriptor;
};

// Empty bytes: the end, or an error.
Result<Heard> receiveMessage(int socket, int flags) {
  Heard out;
  out.bytes.resize(kAnswerBytesMax);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  iovec part{out.bytes.data(), out.bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) return fail(Errc::kState, "nothing yet");
  out.bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  const cmsghdr* head = CMSG_FIRSTHDR(&message);
  if (got > 0 && head != nullptr && head->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
    out.descriptor = FileDescriptor(fd);
  }
  return out;
}

template <typename T>
bool read(const Heard& heard, LaunchKind kind, T& out) {
  if (heard.bytes.size() != sizeof(T)) return false;
  std::memcpy(&out, heard.bytes.data(), sizeof(T));
  return out.kind == kind;
}

// A helper ends by itself once its socket is closed.
void waitForEnd(pid_t helper) {
  const FileDescriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, helper, 0)));
  pollfd polled{pidfd.get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&polled, 1, kHelperEndMsMax);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) ::kill(helper, SIGKILL);
  while (::waitpid(helper, nullptr, 0) < 0 && errno == EINTR) continue;
}

template <typename T>
std::vector<char> bytesOf(const T& message) {
  const char* from = reinterpret_cast<const char*>(&message);
  return {from, from + sizeof message};
}

std::string otherVersion(const NotUnderstood& said) {
  return fmt::format(
      "it speaks version {} of its protocol and this host version {}: install kante, "
      "kante-launcher "
      "and kante-runner of one release and restart the service",
      said.version, kLaunchVersion);
}

}  // namespace

struct LauncherClient::State : std::enable_shared_from_this<State> {
  State(asio::io_context& control_, Options options_)
      : control(control_),
        options(std::move(options_)),
        stream(control_),
        answer_by(control_),
        send_again(control_) {}

  Status connect();
  Status startHelper(FileDescriptor& ours);
  Status ask();
  Status learn();
  Status settle();
  Result<std::vector<FileDescriptor>> fill(const SpawnOrder& order, Spawn& out) const;
  Status connectAgain();
  void send();
  void sendAgain();
  void giveUpFirst(const std::string& why);
  void listen();
  void hear();
  void take(Heard heard);
  void complain(const Heard& heard);
  void lose(const std::string& why);
  void letHelperEnd();
  void failLater(const OnExited& on_exited, std::uint32_t id, const std::string& why);
  // Into the control thread's next turn, unless the client is gone by then.
  void later(std::function<void()> work) {
    asio::post(control, [self = shared_from_this(), work = std::move(work)] {
      if (!self->closed) work();
    });
  }

  struct Request {
    std::uint32_t spawns;  // The id of a runner; 0: it kills one.
    std::vector<char> bytes;
    std::vector<FileDescriptor> descriptors;
  };
  struct Runner {
    OnSpawned on_spawned;
    OnExited on_exited;
    bool runs = false;
    bool killed = false;
  };

  // A helper that was lost, until it has ended.
  struct Ending {
    Ending(asio::io_context& control, pid_t pid_) : pid(pid_), pidfd(control), patience(control) {
      const auto fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
      if (fd >= 0) pidfd.assign(fd);
    }
    const pid_t pid;
    asio::posix::stream_descriptor pidfd;
    asio::steady_timer patience;
  };

  asio::io_context& control;
  Options options;
  asio::posix::stream_descriptor stream;  // Closed: no launcher.
  bool kept = false;                      // It is the keeper's.
  pid_t helper = 0;
  Clock::time_point started{};
  Can can;
  bool learns = false;           // What a helper can do that was started again …
  asio::steady_timer answer_by;  // … by when.
  asio::steady_timer send_again;
  std::list<std::shared_ptr<Ending>> endings;  // Shared with their waits.
  std::deque<Request> requests;                // At most two for each runner.
  bool waits_for_room = false;
  std::map<std::uint32_t, Runner> runners;
  std::uint32_t last_id = 0;
  bool closed = false;
};

Status LauncherClient::State::connect() {
  FileDescriptor socket = keeperSocket();
  kept = static_cast<bool>(socket);
  if (!kept) KANTE_CHECK(startHelper(socket));
  started = Clock::now();
  stream.assign(socket.release());
  return ask();
}

// After a helper was lost.  What it is asked for waits at its socket until it is up, so nobody has
// to wait here; one that stays silent is lost as well.
Status LauncherClient::State::connectAgain() {
  const Status connected = connect();
  if (!connected) {
    stream.close();
    letHelperEnd();
    return connected;
  }
  learns = true;
  listen();
  answer_by.expires_after(std::chrono::milliseconds(kAnswerMsMax));
  answer_by.async_wait([self = shared_from_this()](const boost::system::error_code& answered) {
    if (!answered && !self->closed && self->stream.is_open())
      self->lose("kante-launcher does not answer");
  });
  return {};
}

Status LauncherClient::State::startHelper(FileDescriptor& ours) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return failErrno("socketpair");
  ours = FileDescriptor(ends[0]);
  const FileDescriptor theirs(ends[1]);
  std::string path = options.launcher.empty() ? besideSelf("kante-launcher") : options.launcher;
  std::string serve = "--serve";
  std::string number = std::to_string(kHelperSocket);
  std::string runner = "--runner";
  std::vector<char*> arguments = {path.data(), serve.data(), number.data()};
  if (!options.runner.empty()) {
    arguments.push_back(runner.data());
    arguments.push_back(options.runner.data());
  }
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_adddup2(&files, theirs.get(), kHelperSocket);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int failed =
      ::posix_spawn(&helper, path.c_str(), &files, &attributes, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  if (failed == 0) return {};
  helper = 0;
  return failErrno(path, failed);
}

Status LauncherClient::State::ask() {
  if (sendMessage(stream.native_handle(), bytesOf(Probe{}), {})) return {};
  return failErrno("asking kante-launcher");
}

// What came for an earlier life of this process is passed over.
Status LauncherClient::State::learn() {
  const auto deadline = Clock::now() + std::chrono::milliseconds(kAnswerMsMax);
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd polled{stream.native_handle(), POLLIN, 0};
    const int ready = ::poll(&polled, 1, std::max(static_cast<int>(left.count()), 0));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail(Errc::kTimeout, "it does not answer");
    KANTE_TRY(heard, receiveMessage(stream.native_handle(), 0));
    if (heard.bytes.empty()) return fail(Errc::kUnavailable, "it ended at once");
    if (read(heard, LaunchKind::kCan, can)) return {};
    NotUnderstood said;
    if (read(heard, LaunchKind::kNotUnderstood, said))
      return fail(Errc::kUnsupported, otherVersion(said));
  }
}

Status LauncherClient::State::settle() {
  const Status learnt = learn();
  if (learnt) {
    listen();
    return {};
  }
  stream.close();
  letHelperEnd();
  return within("kante-launcher", learnt.error());
}

Result<std::vector<FileDescriptor>> LauncherClient::State::fill(const SpawnOrder& order,
                                                                Spawn& out) const {
  out.tier = order.tier;
  out.memory_mb = order.memory_mb;
  out.cpu_percent = order.cpu_percent;
  out.pids_max = order.pids_max;
  out.data_mb = order.data_mb;
  out.writes_files = order.writes_files ? 1 : 0;
  KANTE_CHECK(put(out.name, order.name, "the module's name"));
  KANTE_CHECK(put(out.module_file, order.module_file, "the name of the module's file"));
  const int all[] = {order.control_fd,  order.host_file_fd, order.runner_file_fd,
                     order.doorbell_fd, order.log_fd,       order.module_fd};
  std::vector<FileDescriptor> descriptors;
  for (const int fd : all) {
    KANTE_TRY(copy, duplicate(fd));
    descriptors.push_back(std::move(copy));
  }
  return descriptors;
}

void LauncherClient::State::send() {
  while (stream.is_open() && !requests.empty()) {
    const Request& next = requests.front();
    if (sendMessage(stream.native_handle(), next.bytes, next.descriptors)) {
      requests.pop_front();
      continue;
    }
    const int error = errno;
    if (error == EPIPE || error == ECONNRESET) return;  // The end of the socket is heard as well.
    if (error != EAGAIN && next.spawns != 0) {
      giveUpFirst(std::string("kante-launcher cannot be asked: ") + std::strerror(error));
      continue;
    }
    if (error != EAGAIN) return sendAgain();  // A runner that has to end is not forgotten.
    if (std::exchange(waits_for_room, true)) return;
    stream.async_wait(asio::posix::stream_descriptor::wait_write,
                      [self = shared_from_this()](const boost::system::error_code&) {
                        self->waits_for_room = false;
                        if (!self->closed) self->send();
                      });
    return;
  }
}

void LauncherClient::State::sendAgain() {
  send_again.expires_after(kSendAgainAfter);
  send_again.async_wait([self = shared_from_this()](const boost::system::error_code& stopped) {
    if (!stopped && !self->closed) self->send();
  });
}

void LauncherClient::State::giveUpFirst(const std::string& why) {
  const std::uint32_t id = requests.front().spawns;
  requests.pop_front();
  const auto found = runners.find(id);
  if (found == runners.end()) return;
  failLater(found->second.on_exited, id, why);
  runners.erase(found);
}

void LauncherClient::State::listen() {
  stream.async_wait(asio::posix::stream_descriptor::wait_read,
                    [self = shared_from_this()](const boost::system::error_code& failed) {
                      if (!failed && !self->closed) self->hear();
                    });
}

void LauncherClient::State::hear() {
  while (stream.is_open()) {
    auto heard = receiveMessage(stream.native_handle(), MSG_DONTWAIT);
    if (!heard) return listen();
    if (heard->bytes.empty()) return lose("kante-launcher ended");
    take(std::move(*heard));
    if (closed) return;  // A callback may end the client.
  }
}

void LauncherClient::State::take(Heard heard) {
  Spawned spawned;
  Exited exited;
  if (read(heard, LaunchKind::kSpawned, spawned)) {
    const auto found = runners.find(spawned.id);
    if (found == runners.end()) return;
    found->second.runs = true;
    SpawnedRunner runner{spawned.id, spawned.pid, std::move(heard.descriptor), spawned.limits, {}};
    std::copy(std::begin(spawned.namespaces), std::end(spawned.namespaces),
              runner.namespaces.begin());
    const OnSpawned on_spawned = std::move(found->second.on_spawned);
    if (on_spawned) on_spawned(std::move(runner));
  } else if (read(heard, LaunchKind::kExited, exited)) {
    const auto found = runners.find(exited.id);
    if (found == runners.end()) return;
    const OnExited on_exited = std::move(found->second.on_exited);
    runners.erase(found);
    exited.text[sizeof exited.text - 1] = '\0';
    if (on_exited) on_exited(exited);
  } else if (Can now; read(heard, LaunchKind::kCan, now)) {
    can = now;
    learns = false;
    answer_by.cancel();
  } else if (NotUnderstood said; learns && read(heard, LaunchKind::kNotUnderstood, said)) {
    lose("kante-launcher: " + otherVersion(said));
  } else if (options.log != nullptr) {
    complain(heard);
  }
}

// Nothing that a launcher of the same version says.
void LauncherClient::State::complain(const Heard& heard) {
  NotUnderstood said;
  const std::string what =
      read(heard, LaunchKind::kNotUnderstood, said)
          ? fmt::format("did not understand a message of kind {} and {} bytes", said.of, said.bytes)
          : fmt::format("said {} bytes that are none of its messages", heard.bytes.size());
  options.log->error("sandbox", "kante-launcher " + what);
}

void LauncherClient::State::lose(const std::string& why) {
  stream.close();
  answer_by.cancel();
  requests.clear();
  letHelperEnd();
  if (options.log != nullptr) options.log->error("sandbox", why + ", and with it all its modules");
  std::map<std::uint32_t, Runner> lost;
  lost.swap(runners);
  for (auto& [id, runner] : lost) {
    Exited exited;
    exited.id = id;
    exited.signal = runner.runs ? SIGKILL : 0;
    (void)put(exited.text, why, "");
    if (runner.on_exited) runner.on_exited(exited);
    if (closed) return;
  }
  if (options.on_lost) options.on_lost(why);
}

// Its socket is closed.
void LauncherClient::State::letHelperEnd() {
  if (helper == 0) return;
  const auto ending = std::make_shared<Ending>(control, std::exchange(helper, 0));
  endings.push_back(ending);
  ending->pidfd.async_wait(
      asio::posix::stream_descriptor::wait_read,
      [self = shared_from_this(), ending](const boost::system::error_code& failed) {
        if (failed || self->closed) return;  // Whoever closed it waits.
        ending->patience.cancel();
        ::waitpid(ending->pid, nullptr, WNOHANG);
        self->endings.remove(ending);
      });
  ending->patience.expires_after(std::chrono::milliseconds(kHelperEndMsMax));
  ending->patience.async_wait(
      [self = shared_from_this(), ending](const boost::system::error_code& ended) {
        if (!ended && !self->closed) ::kill(ending->pid, SIGKILL);
      });
}

void LauncherClient::State::failLater(const OnExited& on_exited, std::uint32_t id,
                                      const std::string& why) {
  Exited exited;
  exited.id = id;
  exited.text[why.copy(exited.text, sizeof exited.text - 1)] = '\0';
  later([on_exited, exited] {
    if (on_exited) on_exited(exited);
  });
}

Result<std::unique_ptr<LauncherClient>> LauncherClient::begin(asio::io_context& control,
                                                              Options options) {
  auto state = std::make_shared<State>(control, std::move(options));
  KANTE_CHECK(state->connect());
  return std::unique_ptr<LauncherClient>(new LauncherClient(std::move(state)));
}

Result<std::unique_ptr<LauncherClient>> LauncherClient::open(asio::io_context& control,
                                                             Options options) {
  KANTE_TRY(out, begin(control, std::move(options)));
  KANTE_CHECK(out->settle());
  return out;
}

Status LauncherClient::settle() { return state_->settle(); }

LauncherClient::LauncherClient(std::shared_ptr<State> state) : state_(std::move(state)) {}

LauncherClient::~LauncherClient() {
  state_->closed = true;
  // A keeper's socket stays open for the next life, so its runners are ended by name.
  for (const auto& [id, runner] : state_->runners) {
    Kill order;
    order.id = id;
    if (state_->stream.is_open())
      (void)sendMessage(state_->stream.native_handle(), bytesOf(order), {});
  }
  boost::system::error_code ignored;
  state_->stream.close(ignored);
  state_->answer_by.cancel();
  state_->send_again.cancel();
  state_->letHelperEnd();
  for (const auto& ending : std::exchange(state_->endings, {})) {
    ending->pidfd.close(ignored);
    ending->patience.cancel();
    waitForEnd(ending->pid);
  }
}

const Can& LauncherClient::can() const { return state_->can; }

std::uint32_t LauncherClient::spawn(const SpawnOrder& order, OnSpawned on_spawned,
                                    OnExited on_exited) {
  State& state = *state_;
  const std::uint32_t id = ++state.last_id;
  const auto refuse = [&](const std::string& why) {
    state.failLater(on_exited, id, why);
    return id;
  };
  if (state.runners.size() >= kRunnersMax)
    return refuse("there are " + std::to_string(kRunnersMax) + " runners already");
  if (!state.stream.is_open()) {
    if (state.kept || Clock::now() - state.started < kHelperAgainAfter)
      return refuse("kante-launcher ended");
    if (const Status again = state.connectAgain(); !again) return refuse(again.error().text);
  }
  Spawn request;
  request.id = id;
  auto descriptors = state.fill(order, request);
  if (!descriptors) return refuse(descriptors.error().text);
  state.runners[id] = {std::move(on_spawned), std::move(on_exited), false, false};
  state.requests.push_back({id, bytesOf(request), std::move(*descriptors)});
  state.send();
  return id;
}

void LauncherClient::kill(std::uint32_t id) {
  const auto found = state_->runners.find(id);
  if (found == state_->runners.end() || std::exchange(found->second.killed, true)) return;
  Kill order;
  order.id = id;
  state_->requests.push_back({0, bytesOf(order), {}});
  state_->send();
}

const char* name(LimitKind limits) {
  switch (limits) {
    case LimitKind::kCgroup2: return "cgroup2";
    case LimitKind::kCgroup1: return "cgroup1";
    case LimitKind::kRlimit: break;
  }
  return "rlimit";
}

}  // namespace kante
