#include "host/placement/watchdog.h"

#include <pthread.h>

#include <chrono>

#include "host/base/clock.h"

namespace kante {

namespace {
constexpr std::chrono::milliseconds kBusy{10};
constexpr std::chrono::milliseconds kIdle{100};
}  // namespace

Watchdog::Watchdog(Options options) : options_(std::move(options)), thread_([this] { loop(); }) {
  ::pthread_setname_np(thread_.native_handle(), "kante-watchdog");
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Watchdog::watch(std::uint32_t shard, CallbackSlot* slot) {
  const std::lock_guard lock(mutex_);
  watched_.push_back({shard, slot});
}

bool Watchdog::look(Watched& watched, std::int64_t now_ns) {
  const std::uint64_t sequence = watched.slot->sequence.load(std::memory_order_acquire);
  const bool calling = (sequence & 1) != 0;
  if (!calling || sequence != watched.sequence) {
    watched.sequence = sequence;
    watched.since_ns = now_ns;
    watched.warned = false;
    watched.limited = false;
    return calling;
  }
  const std::int64_t ms = (now_ns - watched.since_ns) / 1'000'000;
  if (!watched.warned && ms >= options_.warn_ms) {
    watched.warned = true;
    options_.slow(watched.slot->module.load(std::memory_order_relaxed),
                  watched.slot->event.load(std::memory_order_relaxed), ms);
  }
  if (!watched.limited && ms >= options_.limit_ms) {
    watched.limited = true;
    options_.over_limit(*watched.slot, watched.shard, ms);
  }
  return true;
}

void Watchdog::loop() {
  const SystemClock clock;
  std::int64_t last_tick_ns = 0;
  std::unique_lock lock(mutex_);
  bool busy = false;
  while (!stopping_) {
    wake_.wait_for(lock, busy ? kBusy : kIdle);
    if (stopping_) return;
    const std::int64_t now_ns = clock.bootNs();
    busy = false;
    for (Watched& watched : watched_) busy = look(watched, now_ns) || busy;
    if (now_ns - last_tick_ns < 100'000'000) continue;
    last_tick_ns = now_ns;
    lock.unlock();
    if (options_.tick) options_.tick(now_ns);
    lock.lock();
  }
}

}  // namespace kante
