#include "tests/support/toxic_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <list>
#include <vector>

namespace kante::testing {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kBufferMax = 256 << 10;  // Then the sender has to wait.

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void withReset(FileDescriptor& fd) {
  const linger at_once{1, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  fd.reset();
}

// The length of the MQTT packet at the beginning; 0: not yet known.
std::size_t packetSize(const std::string& bytes) {
  std::size_t size = 0;
  for (std::size_t i = 1; i < bytes.size() && i <= 4; ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    size |= static_cast<std::size_t>(byte & 0x7f) << (7 * (i - 1));
    if ((byte & 0x80) == 0) return 1 + i + size;
  }
  return 0;
}

struct Chunk {
  Clock::time_point due;
  std::string bytes;
};

// One way of a connection.
struct Flow {
  std::string in;  // Not yet a whole packet.
  std::deque<Chunk> out;
  std::size_t waiting = 0;
  bool ended = false;  // The sender has said all.
  Clock::time_point free_at{};
};

struct Pair {
  FileDescriptor client, broker;
  Flow up, down;
  bool answered = false;
};

}  // namespace

struct ToxicProxy::State {
  std::uint16_t to_port = 0;
  FileDescriptor listener, woken;
  std::mutex mutex;  // Around everything below.
  bool stopping = false, frozen = false, refusing = false;
  enum class End { kNone, kCut, kReset } end = End::kNone;
  std::size_t bytes_per_s = 0;
  std::string answer;
  Filter from_client, from_broker;
  std::list<Pair> pairs;
  std::size_t taken = 0;

  void accept();
  void endAll();
  bool move(Pair& pair, short client_events, short broker_events);
  bool read(Pair& pair, bool upwards);
  bool filter(Pair& pair, bool upwards);
  bool write(Flow& flow, const FileDescriptor& to);
  int untilDueMs() const;
  static void push(Flow& flow, std::string bytes, std::chrono::milliseconds delay = {}) {
    flow.waiting += bytes.size();
    flow.out.push_back({Clock::now() + delay, std::move(bytes)});
  }
};

void ToxicProxy::State::accept() {
  FileDescriptor client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!client) return;
  ++taken;
  if (refusing) return withReset(client);
  FileDescriptor broker;  // None where the proxy itself answers.
  const sockaddr_in address = loopback(to_port);
  if (answer.empty()) {
    broker = FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(broker.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      return withReset(client);
  }
  const int on = 1;
  ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(broker.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  Pair& pair = pairs.emplace_back();
  pair.client = std::move(client);
  pair.broker = std::move(broker);
}

void ToxicProxy::State::endAll() {
  if (end == End::kReset) {
    for (Pair& pair : pairs) {
      withReset(pair.client);
      withReset(pair.broker);
    }
  }
  if (end != End::kNone) pairs.clear();
  end = End::kNone;
}

// False when the connection is over.
bool ToxicProxy::State::read(Pair& pair, bool upwards) {
  Flow& flow = upwards ? pair.up : pair.down;
  char buffer[16384];
  const ssize_t got =
      ::recv((upwards ? pair.client : pair.broker).get(), buffer, sizeof buffer, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) {
    flow.ended = true;
    return true;
  }
  if (upwards && !answer.empty()) {
    push(pair.down, answer);
    pair.answered = true;
    return true;
  }
  if (pair.answered) return true;  // It is about to end.
  flow.in.append(buffer, static_cast<std::size_t>(got));
  return filter(pair, upwards);
}

bool ToxicProxy::State::filter(Pair& pair, bool upwards) {
  Flow& flow = upwards ? pair.up : pair.down;
  const Filter& chosen = upwards ? from_client : from_broker;
  if (!chosen) {
    push(flow, std::exchange(flow.in, {}));
    return true;
  }
  for (;;) {
    const std::size_t size = packetSize(flow.in);
    if (size == 0 || size > flow.in.size()) return true;
    const Fate fate = chosen(flow.in.substr(0, size));
    switch (fate.kind) {
      case Fate::Kind::kPass: push(flow, flow.in.substr(0, size), fate.delay); break;
      case Fate::Kind::kDrop: break;
      case Fate::Kind::kReplace: push(flow, fate.bytes, fate.delay); break;
      case Fate::Kind::kAnswer:
        push(upwards ? pair.down : pair.up, fate.bytes);
        pair.answered = true;
        flow.in.clear();  // What came behind it goes nowhere either.
        return true;
    }
    flow.in.erase(0, size);
  }
}

bool ToxicProxy::State::write(Flow& flow, const FileDescriptor& to) {
  while (!flow.out.empty() && flow.out.front().due <= Clock::now() &&
         flow.free_at <= Clock::now()) {
    Chunk& chunk = flow.out.front();
    const std::size_t most =
        bytes_per_s == 0 ? chunk.bytes.size() : std::min(chunk.bytes.size(), bytes_per_s / 20 + 1);
    const ssize_t put = ::send(to.get(), chunk.bytes.data(), most, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0) return errno == EAGAIN || errno == EINTR;
    const auto bytes = static_cast<std::size_t>(put);
    if (bytes_per_s != 0)
      flow.free_at = Clock::now() + std::chrono::microseconds(bytes * 1'000'000 / bytes_per_s);
    flow.waiting -= bytes;
    chunk.bytes.erase(0, bytes);
    if (chunk.bytes.empty()) flow.out.pop_front();
  }
  return true;
}

bool ToxicProxy::State::move(Pair& pair, short client_events, short broker_events) {
  constexpr short kReadable = POLLIN | POLLHUP | POLLERR;
  if ((client_events & kReadable) != 0 && !read(pair, true)) return false;
  if ((broker_events & kReadable) != 0 && !read(pair, false)) return false;
  if (!write(pair.up, pair.broker) || !write(pair.down, pair.client)) return false;
  if (pair.answered && pair.down.out.empty()) return false;
  if (pair.up.ended && pair.up.out.empty()) return false;
  return !(pair.down.ended && pair.down.out.empty());
}

int ToxicProxy::State::untilDueMs() const {
  int wait_ms = -1;
  for (const Pair& pair : pairs) {
    for (const Flow* flow : {&pair.up, &pair.down}) {
      if (flow->out.empty()) continue;
      const auto due = std::max(flow->out.front().due, flow->free_at);
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(due - Clock::now()).count();
      const int ms = static_cast<int>(std::clamp<std::int64_t>(left + 1, 1, 1000));
      wait_ms = wait_ms < 0 ? ms : std::min(wait_ms, ms);
    }
  }
  return wait_ms;
}

ToxicProxy::ToxicProxy(std::uint16_t to_port) : state_(std::make_unique<State>()) {
  state_->to_port = to_port;
  state_->listener = FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  state_->woken = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  // A slow reader is to be felt by the sender.
  const int window = 16 << 10;
  ::setsockopt(state_->listener.get(), SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  ::bind(state_->listener.get(), reinterpret_cast<const sockaddr*>(&address), size);
  ::listen(state_->listener.get(), 16);
  ::getsockname(state_->listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

ToxicProxy::~ToxicProxy() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  wake();
  thread_.join();
}

void ToxicProxy::wake() {
  const std::uint64_t one = 1;
  if (::write(state_->woken.get(), &one, sizeof one) < 0) return;  // Full means awake.
}

void ToxicProxy::run() {
  State& state = *state_;
  std::vector<pollfd> fds;
  for (;;) {
    int wait_ms = -1;
    fds.clear();
    {
      const std::lock_guard lock(state.mutex);
      if (state.stopping) return;
      state.endAll();
      fds.push_back({state.listener.get(), POLLIN, 0});
      fds.push_back({state.woken.get(), POLLIN, 0});
      for (const Pair& pair : state.pairs) {
        const bool up = !state.frozen && !pair.up.ended && pair.up.waiting < kBufferMax;
        const bool down = !state.frozen && !pair.down.ended && pair.down.waiting < kBufferMax;
        fds.push_back({up ? pair.client.get() : -1, POLLIN, 0});
        fds.push_back({down ? pair.broker.get() : -1, POLLIN, 0});
      }
      if (!state.frozen) wait_ms = state.untilDueMs();
    }
    ::poll(fds.data(), fds.size(), wait_ms);
    const std::lock_guard lock(state.mutex);
    std::uint64_t count = 0;
    if (fds[1].revents != 0 && ::read(state.woken.get(), &count, sizeof count) < 0) continue;
    std::size_t at = 2;
    for (auto it = state.pairs.begin(); it != state.pairs.end() && !state.frozen; at += 2) {
      it = state.move(*it, fds[at].revents, fds[at + 1].revents) ? std::next(it)
                                                                 : state.pairs.erase(it);
    }
    if (fds[0].revents != 0) state.accept();
  }
}

std::size_t ToxicProxy::taken() const {
  const std::lock_guard lock(state_->mutex);
  return state_->taken;
}
std::size_t ToxicProxy::open() const {
  const std::lock_guard lock(state_->mutex);
  return state_->pairs.size();
}

#define KANTE_SET(statement)                   \
  {                                            \
    const std::lock_guard lock(state_->mutex); \
    statement;                                 \
  }                                            \
  wake()

void ToxicProxy::freeze(bool frozen) { KANTE_SET(state_->frozen = frozen); }
void ToxicProxy::cut() { KANTE_SET(state_->end = State::End::kCut); }
void ToxicProxy::reset() { KANTE_SET(state_->end = State::End::kReset); }
void ToxicProxy::refuse(bool refusing) { KANTE_SET(state_->refusing = refusing); }
void ToxicProxy::throttle(std::size_t bytes_per_s) { KANTE_SET(state_->bytes_per_s = bytes_per_s); }
void ToxicProxy::answerAll(std::string bytes) { KANTE_SET(state_->answer = std::move(bytes)); }
void ToxicProxy::fromClient(Filter filter) { KANTE_SET(state_->from_client = std::move(filter)); }
void ToxicProxy::fromBroker(Filter filter) { KANTE_SET(state_->from_broker = std::move(filter)); }

}  // namespace kante::testing
