#include "host/shard/polling.h"

#include <sys/epoll.h>

#include <algorithm>
#include <chrono>

namespace kante {

Status Polling::add(Polled& polled, int doorbell) {
  KANTE_CHECK(reactor_.watch(doorbell, EPOLLIN, polled));
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
  reactor_.forget(doorbell, polled);
}

void Polling::armTick() {
  tick_.set(std::chrono::milliseconds(kTickMs), [this] {
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
