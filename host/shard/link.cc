#include "host/shard/link.h"

#include <utility>

namespace kante {

const char* name(DropReason reason) {
  static constexpr const char* kNames[] = {"ttl",    "overflow", "stalled", "store_full", "budget",
                                           "denied", "no_route", "loop",    "quarantine", "ended"};
  return kNames[static_cast<std::size_t>(reason)];
}

std::uint64_t RouteCounts::delivered() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = beside_links.load(std::memory_order_relaxed);
  for (const Link* link : links_) sum += link->delivered();
  return sum;
}

void RouteCounts::join(const Link& link) {
  const std::lock_guard lock(mutex_);
  links_.push_back(&link);
}

void RouteCounts::leave(const Link& link) {
  const std::lock_guard lock(mutex_);
  beside_links.fetch_add(link.delivered(), std::memory_order_relaxed);
  std::erase(links_, &link);
}

bool Link::takesBeyondCredit(std::uint32_t bytes) const {
  switch (when_full) {
    case WhenFull::kBlock: return !stalled();
    case WhenFull::kDropNewest: return false;
    case WhenFull::kDropOldest: break;
  }
  const std::uint64_t waiting = queuedMessages();
  return waiting < std::uint64_t{limits.messages} * 2 &&
         (waiting == 0 || queuedBytes() + bytes <= std::uint64_t{limits.bytes} * 2);
}

bool Link::hasRoom() const {
  return queuedMessages() <= limits.messages / 2 && queuedBytes() <= limits.bytes / 2 &&
         hasCredit(wanted_bytes_.load(std::memory_order_relaxed));
}

void Link::wait(std::uint32_t bytes, std::int64_t boot_ns, Waker waker) {
  {
    const std::lock_guard lock(wait_mutex_);
    if (wakers_.empty()) {
      taken_at_wait_ = taken_.load(std::memory_order_relaxed);
      waiting_since_ns_ = boot_ns;
      wanted_bytes_.store(0, std::memory_order_relaxed);
    }
    wakers_.push_back(std::move(waker));
    if (bytes > wanted_bytes_.load(std::memory_order_relaxed)) {
      wanted_bytes_.store(bytes, std::memory_order_relaxed);
    }
    waiting_.store(true, std::memory_order_seq_cst);
  }
  // The lane may have taken everything between the sender's look and waiting_, or been found
  // stalled.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (stalled() || hasRoom()) wakeAll();
}

void Link::wakeIfRoom() {
  if (stalled()) stalled_.store(false, std::memory_order_relaxed);
  if (hasRoom()) wakeAll();
}

void Link::wakeAll() {
  std::vector<Waker> wakers;
  {
    const std::lock_guard lock(wait_mutex_);
    wakers.swap(wakers_);
    waiting_.store(false, std::memory_order_relaxed);
  }
  for (const Waker& waker : wakers) waker();
}

void Link::checkStall(std::int64_t boot_ns) {
  if (limits.stall_ms == 0) return;
  {
    const std::lock_guard lock(wait_mutex_);
    const std::uint64_t taken_now = taken_.load(std::memory_order_relaxed);
    if (taken_now != taken_at_wait_) {
      taken_at_wait_ = taken_now;
      waiting_since_ns_ = boot_ns;
      stalled_.store(false, std::memory_order_relaxed);
      return;
    }
    if (!waiting_.load(std::memory_order_relaxed)) return;
    if (boot_ns - waiting_since_ns_ < std::int64_t{limits.stall_ms} * 1'000'000) return;
    stalled_.store(true, std::memory_order_seq_cst);
  }
  wakeAll();
}

}  // namespace kante
