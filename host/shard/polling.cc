#include "host/shard/polling.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace kante {

Status Polling::open() {
  const int descriptor = ::epoll_create1(EPOLL_CLOEXEC);
  if (descriptor < 0) return failErrno("epoll_create1");
  bell_.assign(descriptor);
  arm();
  return {};
}

Status Polling::add(Polled& polled, int doorbell) {
  if (!bell_.is_open()) KANTE_CHECK(open());
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = &polled;
  if (::epoll_ctl(bell_.native_handle(), EPOLL_CTL_ADD, doorbell, &event) != 0)
    return failErrno("epoll_ctl for a doorbell");
  all_.push_back(&polled);
  if (all_.size() == 1) armTick();
  return {};
}

void Polling::remove(Polled& polled, int doorbell) {
  std::erase(owing_, &polled);
  const auto at = std::find(all_.begin(), all_.end(), &polled);
  if (at == all_.end()) return;
  all_.erase(at);
  if (all_.empty()) tick_.cancel();
  (void)::epoll_ctl(bell_.native_handle(), EPOLL_CTL_DEL, doorbell, nullptr);
}

// Taking the events is what stops the ringing; all are looked at, whoever rang.
void Polling::arm() {
  bell_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                   [this](const boost::system::error_code& error) {
                     if (error) return;
                     std::array<epoll_event, 64> events;
                     const int count = ::epoll_wait(bell_.native_handle(), events.data(),
                                                    static_cast<int>(events.size()), 0);
                     for (int i = 0; i < count; ++i)
                       static_cast<Polled*>(events[static_cast<std::size_t>(i)].data.ptr)->rang();
                     arm();
                   });
}

void Polling::armTick() {
  tick_.expires_after(std::chrono::milliseconds(kTickMs));
  tick_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    for (Polled* one : all_) one->tick();
    armTick();
  });
}

bool Polling::hasWork() const {
  return std::any_of(all_.begin(), all_.end(), [](const Polled* one) { return one->hasWork(); });
}

void Polling::fallAsleep() {
  for (Polled* one : all_) one->fallAsleep();
  // The other side publishes, makes the same fence and then looks whether we sleep.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  increment(sleeps_);
}

void Polling::wakeUp() {
  for (Polled* one : all_) one->wakeUp();
}

void Polling::turnEnds() {
  if (owing_.empty()) return;
  for (Polled* one : owing_) one->turnEnds();
  owing_.clear();
}

bool Polling::wantsSpin() { return !all_.empty() && (vain_ < kVainMax || ++skipped_ % kSkip == 0); }

void Polling::spun(bool found) {
  vain_ = found ? 0 : vain_ + 1;
  increment(found ? won_ : lost_);
}

}  // namespace kante
