#include "tests/bench/mqtt_load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <vector>

namespace kante::bench {

namespace {

constexpr std::size_t kClientsMax = 16;
constexpr std::size_t kSamplesMax = 100'000;
constexpr std::size_t kBatch = 64;
constexpr std::uint32_t kUnackedMax = 1000;
constexpr std::int64_t kPatienceNs = 60'000'000'000;

struct alignas(64) Counter {
  std::atomic<std::uint64_t> value{0};
};
// Between the bench and its load processes.
struct Board {
  Counter published;
  Counter acked;
  Counter received[kClientsMax];
  std::atomic<std::uint32_t> ready{0};
  std::atomic<bool> go{false};
  std::atomic<std::uint32_t> samples{0};
  double sample_us[kSamplesMax];
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::_Exit(1);
}

std::int64_t nowNs(clockid_t id = CLOCK_MONOTONIC) {
  timespec at{};
  ::clock_gettime(id, &at);
  return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}
void pauseUs(std::uint32_t us) {
  const timespec pause{0, std::int64_t{us} * 1000};
  ::nanosleep(&pause, nullptr);
}

// ---- a minimal client of 3.1.1

class Client {
 public:
  // `name`: of a session that outlives it; empty: of none.
  enum class Start { kAgain, kClean };
  explicit Client(std::uint16_t port, const std::string& name = "", Start start = Start::kAgain)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) die("connect");
    const int on = 1;
    (void)::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::string hello("\x10\x0c\0\4MQTT\4\2\0\0\0\0", 14);
    if (!name.empty() && start == Start::kAgain) hello[9] = '\0';
    hello[1] = static_cast<char>(12 + name.size());
    hello[13] = static_cast<char>(name.size());
    hello += name;
    write(hello);
    readExactly(4);
  }
  ~Client() { ::close(socket_); }

  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) die("send");
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  void readExactly(std::size_t bytes) {
    char buffer[64];
    if (::recv(socket_, buffer, bytes, MSG_WAITALL) != static_cast<ssize_t>(bytes)) die("recv");
  }
  // What has come; blocks for something unless told not to.
  std::size_t read(char* into, std::size_t size, int flags = 0) {
    const ssize_t count = ::recv(socket_, into, size, flags);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
    if (count <= 0) die("recv");
    return static_cast<std::size_t>(count);
  }
  void subscribe(unsigned qos) {
    std::string packet("\x82\x0a\0\1\0\5bench", 11);
    packet += static_cast<char>(qos);
    write(packet);
    readExactly(5);
  }

 private:
  int socket_;
};

std::string publishPacket(unsigned qos, std::uint16_t id, std::int64_t stamp) {
  std::string packet(1, static_cast<char>(0x30 | qos << 1));
  const std::size_t body = 2 + 5 + (qos == 0 ? 0 : 2) + kLoadBodyBytes;
  packet += static_cast<char>((body & 127) | 128);
  packet += static_cast<char>(body >> 7);
  packet += std::string("\0\5bench", 7);
  if (qos != 0) packet += {static_cast<char>(id >> 8), static_cast<char>(id & 255)};
  std::string payload(kLoadBodyBytes, 'x');
  std::memcpy(payload.data(), &stamp, sizeof stamp);
  return packet + payload;
}

// ---- roles, each in a process of its own

std::uint64_t slowest(const Board& board, const Load& load) {
  if (load.away) return board.acked.value.load(std::memory_order_acquire);
  std::uint64_t least = UINT64_MAX;
  for (std::uint32_t i = 0; i < load.subscribers; ++i)
    least = std::min(least, board.received[i].value.load(std::memory_order_acquire));
  return least;
}

void awaitGo(Board& board) {
  board.ready.fetch_add(1);
  while (!board.go.load(std::memory_order_acquire)) pauseUs(500);
}

void publish(Board& board, const Load& load, std::uint16_t port, std::uint64_t messages) {
  Client client(port);
  awaitGo(board);
  std::vector<char> acks(64u << 10);
  std::uint64_t sent = 0, acked = 0, ack_bytes = 0;
  const std::size_t batch = load.pause_us == 0 ? kBatch : 1;
  std::string bytes;
  while (sent < messages) {
    if (load.qos != 0) {  // 3.1.1: four bytes each.
      ack_bytes +=
          client.read(acks.data(), acks.size(), sent - acked >= kUnackedMax ? 0 : MSG_DONTWAIT);
      board.acked.value.fetch_add(ack_bytes / 4 - acked, std::memory_order_release);
      acked = ack_bytes / 4;
    }
    const std::uint64_t open =
        board.published.value.load(std::memory_order_relaxed) - slowest(board, load);
    std::uint64_t count = open >= load.window ? 0 : load.window - open;
    count = std::min<std::uint64_t>({count, batch, messages - sent});
    if (load.qos != 0) count = std::min(count, kUnackedMax - (sent - acked));
    if (count == 0) {
      pauseUs(20);
      continue;
    }
    bytes.clear();
    for (std::uint64_t i = 0; i < count; ++i)
      bytes +=
          publishPacket(load.qos, static_cast<std::uint16_t>((sent + i) % 65'535 + 1), nowNs());
    board.published.value.fetch_add(count, std::memory_order_release);
    client.write(bytes);
    sent += count;
    if (load.pause_us != 0) pauseUs(load.pause_us);
  }
  while (load.qos != 0 && acked < messages) {
    ack_bytes += client.read(acks.data(), acks.size());
    board.acked.value.fetch_add(ack_bytes / 4 - acked, std::memory_order_release);
    acked = ack_bytes / 4;
  }
}

// Takes whole packets from the front; answers how many bytes they were.
std::size_t takePackets(std::string_view bytes, Board& board, const Load& load, Counter& received,
                        std::string& acks) {
  std::size_t used = 0;
  std::uint64_t count = 0;
  while (bytes.size() - used >= 3) {
    const auto* at = reinterpret_cast<const unsigned char*>(bytes.data()) + used;
    const std::size_t body = (at[1] & 127u) | (at[1] >= 128 ? std::size_t{at[2]} << 7 : 0);
    const std::size_t head = at[1] >= 128 ? 3 : 2;
    if (bytes.size() - used < head + body) break;
    if (at[0] >> 4 == 3) {
      ++count;
      const unsigned qos = at[0] >> 1 & 3;
      if (qos == 1) acks.append("\x40\x02", 2).append(bytes.data() + used + head + 7, 2);
      if (load.pause_us != 0) {
        std::int64_t stamp = 0;
        std::memcpy(&stamp, at + head + 7 + (qos == 0 ? 0 : 2), sizeof stamp);
        const std::uint32_t sample = board.samples.fetch_add(1);
        if (sample < kSamplesMax)
          board.sample_us[sample] = static_cast<double>(nowNs() - stamp) / 1000;
      }
    }
    used += head + body;
  }
  received.value.fetch_add(count, std::memory_order_release);
  return used;
}

void read(Board& board, const Load& load, Client& client, std::uint32_t which) {
  awaitGo(board);
  Counter& received = board.received[which];
  std::vector<char> buffer(256u << 10);
  std::size_t kept = 0;
  std::string acks;
  while (received.value.load(std::memory_order_relaxed) < load.messages) {
    kept += client.read(buffer.data() + kept, buffer.size() - kept);
    acks.clear();
    const std::size_t used = takePackets({buffer.data(), kept}, board, load, received, acks);
    std::memmove(buffer.data(), buffer.data() + used, kept - used);
    kept -= used;
    client.write(acks);
  }
}

std::string sessionOf(const Load& load, std::uint32_t which) {
  return load.lasting ? "lasting-" + std::to_string(which) : "";
}

void subscribe(Board& board, const Load& load, std::uint16_t port, std::uint32_t which) {
  {
    Client client(port, sessionOf(load, which));
    client.subscribe(load.qos);
    if (!load.away) return read(board, load, client, which);
  }
  awaitGo(board);
}
template <typename Role>
void spawn(std::vector<pid_t>& children, Role&& role) {
  const pid_t child = ::fork();
  if (child < 0) die("fork");
  if (child == 0) {
    role();
    std::_Exit(0);
  }
  children.push_back(child);
}

std::int64_t cpuNs(pid_t pid) {
  clockid_t clock{};
  if (::clock_getcpuclockid(pid, &clock) != 0) die("clock_getcpuclockid");
  return nowNs(clock);
}

bool allRead(const Board& board, const Load& load) { return slowest(board, load) >= load.messages; }

}  // namespace

double cpuSeconds(pid_t pid) { return static_cast<double>(cpuNs(pid)) / 1e9; }

LoadResult runLoad(std::uint16_t port, pid_t broker, const Load& load) {
  void* shared =
      ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) die("mmap");
  auto* board = new (shared) Board;
  std::vector<pid_t> children;
  for (std::uint32_t i = 0; i < load.subscribers; ++i)
    spawn(children, [&] { subscribe(*board, load, port, i); });
  for (std::uint32_t i = 0; i < load.publishers; ++i)
    spawn(children, [&] { publish(*board, load, port, load.messages / load.publishers); });
  while (board->ready.load() < children.size()) pauseUs(500);
  pauseUs(50'000);
  const std::int64_t cpu = cpuNs(broker);
  const std::int64_t began = nowNs();
  board->go.store(true, std::memory_order_release);
  while (!allRead(*board, load) && nowNs() - began < kPatienceNs) pauseUs(500);
  const double seconds = static_cast<double>(nowNs() - began) / 1e9;
  LoadResult out;
  out.cpu_us = static_cast<double>(cpuNs(broker) - cpu) / 1000 / static_cast<double>(load.messages);
  out.per_second = static_cast<double>(load.messages) / seconds;
  out.lost = load.messages - std::min(load.messages, slowest(*board, load));
  for (const pid_t child : children) {
    if (out.lost != 0) ::kill(child, SIGKILL);
    (void)::waitpid(child, nullptr, 0);
  }
  for (std::uint32_t i = 0; load.away && i < load.subscribers; ++i)  // What waits there goes.
    (void)Client(port, sessionOf(load, i), Client::Start::kClean);
  std::vector<double> us(board->sample_us,
                         board->sample_us + std::min<std::size_t>(board->samples, kSamplesMax));
  std::sort(us.begin(), us.end());
  if (!us.empty()) {
    out.p50_us = us[us.size() / 2];
    out.p99_us = us[us.size() * 99 / 100];
  }
  ::munmap(shared, sizeof(Board));
  return out;
}

}  // namespace kante::bench
