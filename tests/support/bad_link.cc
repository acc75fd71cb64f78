#include "tests/support/bad_link.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>

namespace kante::testing {
namespace {

using Clock = std::chrono::steady_clock;

void check(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::abort();
}

ifreq request(const char* name) {
  ifreq one{};
  std::snprintf(one.ifr_name, sizeof one.ifr_name, "%s", name);
  return one;
}

void inside(int ns_fd, const std::function<void()>& work) {
  std::thread([&] {
    check(::setns(ns_fd, CLONE_NEWNET) == 0, "setns");
    work();
  }).join();
}

// Up with this address, or down without one.
void configure(const char* device, const char* address) {
  const FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq one = request(device);
  if (address != nullptr) {
    auto* own = reinterpret_cast<sockaddr_in*>(&one.ifr_addr);
    own->sin_family = AF_INET;
    ::inet_pton(AF_INET, address, &own->sin_addr);
    check(::ioctl(socket.get(), SIOCSIFADDR, &one) == 0, "SIOCSIFADDR");
    ::inet_pton(AF_INET, "255.255.255.0", &own->sin_addr);
    check(::ioctl(socket.get(), SIOCSIFNETMASK, &one) == 0, "SIOCSIFNETMASK");
  }
  one = request(device);
  one.ifr_flags = address != nullptr ? IFF_UP | IFF_RUNNING : 0;
  check(::ioctl(socket.get(), SIOCSIFFLAGS, &one) == 0, "SIOCSIFFLAGS");
}

void dropAddress(const char* device) {
  const FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq one = request(device);
  reinterpret_cast<sockaddr_in*>(&one.ifr_addr)->sin_family = AF_INET;
  check(::ioctl(socket.get(), SIOCSIFADDR, &one) == 0, "SIOCSIFADDR");
}

struct End {
  FileDescriptor ns, tun;

  // Makes a namespace with loopback and one device.
  void make(const char* address) {
    std::thread([&] {
      check(::unshare(CLONE_NEWNET) == 0, "unshare");
      ns = FileDescriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
      check(static_cast<bool>(ns), "ns/net");
      configure("lo", "127.0.0.1");
      tun = FileDescriptor(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
      check(static_cast<bool>(tun), "/dev/net/tun");
      ifreq one = request("kante0");
      one.ifr_flags = IFF_TUN | IFF_NO_PI;
      check(::ioctl(tun.get(), TUNSETIFF, &one) == 0, "TUNSETIFF");
      configure("kante0", address);
    }).join();
  }
};

struct Packet {
  Clock::time_point due;
  std::string bytes;
};

}  // namespace

struct BadLink::State {
  std::array<End, 2> ends;
  FileDescriptor woken;
  std::mutex mutex;  // Around the next two.
  LinkQuality quality;
  bool stopping = false;

  // The carrier's.
  struct Way {
    std::deque<Packet> packets;
    std::size_t bytes = 0;
    Clock::time_point free_at{};
  };
  std::array<Way, 2> ways;  // From ends[i].
  std::minstd_rand dice{42};

  void take(std::size_t from, const LinkQuality& now);
  int deliver();
};

void BadLink::State::take(std::size_t from, const LinkQuality& now) {
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::read(ends[from].tun.get(), buffer, sizeof buffer);
    if (got <= 0) return;
    const auto size = static_cast<std::size_t>(got);
    Way& way = ways[from];
    if (now.silent || std::uniform_real_distribution<>(0, 1)(dice) < now.loss) continue;
    if (way.bytes + size > kQueueBytesMax && now.bytes_per_s != 0) continue;
    Clock::time_point leaves = Clock::now();
    if (now.bytes_per_s != 0) {
      leaves = std::max(leaves, way.free_at) +
               std::chrono::microseconds(size * 1'000'000 / now.bytes_per_s);
      way.free_at = leaves;
    }
    way.bytes += size;
    way.packets.push_back(
        {leaves + std::chrono::milliseconds(now.delay_ms), std::string(buffer, size)});
  }
}

// How long until the next one is due, in ms; -1: there is none.
int BadLink::State::deliver() {
  int wait_ms = -1;
  for (std::size_t from = 0; from < 2; ++from) {
    Way& way = ways[from];
    while (!way.packets.empty() && way.packets.front().due <= Clock::now()) {
      const std::string& bytes = way.packets.front().bytes;
      // A device that is down takes none.
      if (::write(ends[1 - from].tun.get(), bytes.data(), bytes.size()) < 0) errno = 0;
      way.bytes -= bytes.size();
      way.packets.pop_front();
    }
    if (way.packets.empty()) continue;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(way.packets.front().due - Clock::now());
    const int ms = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1000));
    wait_ms = wait_ms < 0 ? ms : std::min(wait_ms, ms);
  }
  return wait_ms;
}

bool BadLink::possible() {
  if (::geteuid() != 0 || ::access("/dev/net/tun", R_OK | W_OK) != 0) return false;
  bool ok = false;
  std::thread([&] { ok = ::unshare(CLONE_NEWNET) == 0; }).join();
  return ok;
}

BadLink::BadLink() : state_(std::make_unique<State>()) {
  state_->woken = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  state_->ends[0].make(kGateway);
  state_->ends[1].make(kBroker);
  thread_ = std::thread([this] { carry(); });
}

BadLink::~BadLink() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  const std::uint64_t one = 1;
  if (::write(state_->woken.get(), &one, sizeof one) < 0) std::abort();
  thread_.join();
}

void BadLink::carry() {
  State& state = *state_;
  int wait_ms = -1;
  for (;;) {
    pollfd fds[3] = {{state.ends[0].tun.get(), POLLIN, 0},
                     {state.ends[1].tun.get(), POLLIN, 0},
                     {state.woken.get(), POLLIN, 0}};
    ::poll(fds, 3, wait_ms);
    LinkQuality now;
    {
      const std::lock_guard lock(state.mutex);
      if (state.stopping) return;
      now = state.quality;
    }
    state.take(0, now);
    state.take(1, now);
    wait_ms = state.deliver();
  }
}

void BadLink::set(LinkQuality quality) {
  const std::lock_guard lock(state_->mutex);
  state_->quality = quality;
}

void BadLink::atGateway(const std::function<void()>& work) {
  inside(state_->ends[0].ns.get(), work);
}
void BadLink::atBroker(const std::function<void()>& work) {
  inside(state_->ends[1].ns.get(), work);
}

void BadLink::takeAddress() {
  atGateway([] { dropAddress("kante0"); });
}
void BadLink::giveAddress() {
  atGateway([] { configure("kante0", kGateway); });
}

}  // namespace kante::testing
