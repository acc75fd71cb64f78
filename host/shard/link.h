// One route into one sink, with the credit and the counts that belong to it.
//
// A link is made with a route table and lives until nothing queued refers to it.  Senders and the
// sink may be on different shards: then its counts are atomic additions; on one shard they are
// plain.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace kante {

class Lane;
class Shard;

enum class DropReason : std::uint8_t {
  kTtl,
  kOverflow,
  kStalled,
  kStoreFull,
  kBudget,
  kDenied,
  kNoRoute,
  kLoop,
  kQuarantine
};
inline constexpr std::size_t kDropReasons = 9;
const char* name(DropReason reason);

using DropCounters = std::array<std::atomic<std::uint64_t>, kDropReasons>;
inline void count(DropCounters& counters, DropReason reason) {
  counters[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
}

// What a full link does with the next message.
enum class WhenFull : std::uint8_t { kBlock, kDropOldest, kDropNewest };

struct LinkLimits {
  std::uint32_t messages = 1024;
  std::uint32_t bytes = 16u << 20;
  std::uint32_t stall_ms = 1000;  // 0: never stalled.
  std::uint32_t ttl_s = 0;        // 0: does not expire.
};

struct LinkPlan {
  std::uint32_t route = 0;
  Lane* lane = nullptr;
  std::uint16_t input = 0;
  std::uint8_t priority = 9;
  WhenFull when_full = WhenFull::kBlock;
  LinkLimits limits;
};

class Link {
 public:
  // crossing: whether a sender may be on another shard than the lane.
  enum class Crossing : std::uint8_t { kNo, kYes };

  Link(const LinkPlan& plan, Crossing crossing)
      : route(plan.route),
        lane(plan.lane),
        input(plan.input),
        priority(plan.priority),
        when_full(plan.when_full),
        limits(plan.limits),
        crossing_(crossing) {}

  const std::uint32_t route;  // Index in its table.
  Lane* const lane;
  const std::uint16_t input;    // The lane's index of the input's name.
  const std::uint8_t priority;  // 0 first, 9 last.
  const WhenFull when_full;
  const LinkLimits limits;

  bool hasCredit(std::uint32_t bytes) const {
    return messages_.load(std::memory_order_relaxed) < limits.messages &&
           bytes_.load(std::memory_order_relaxed) + bytes <= limits.bytes;
  }
  // By the sender, after hasCredit() or when dropping the oldest.
  void queued(std::uint32_t bytes) {
    add(messages_, 1);
    add(bytes_, bytes);
  }
  // By the lane, when a delivery leaves it.  Wakes senders once half of the credit is back.
  void taken(std::uint32_t bytes) {
    add(messages_, static_cast<std::uint32_t>(-1));
    add(bytes_, static_cast<std::uint32_t>(-static_cast<std::int32_t>(bytes)));
    taken_.store(taken_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (waiting_.load(std::memory_order_relaxed)) [[unlikely]]
      wakeIfRoom();
  }

  // A blocked sender asks to be called, from whatever thread, once there is room again or the sink
  // is found stalled.  Called at once if there is room by now.
  using Waker = std::function<void()>;
  void wait(std::uint32_t bytes, std::int64_t boot_ns, Waker waker);
  // For whoever keeps time: marks the sink as stalled when it took nothing for stall_ms while
  // somebody waited, and wakes those who wait.
  void checkStall(std::int64_t boot_ns);
  bool stalled() const { return stalled_.load(std::memory_order_relaxed); }

  std::uint32_t queuedMessages() const { return messages_.load(std::memory_order_relaxed); }
  std::uint64_t takenCount() const { return taken_.load(std::memory_order_relaxed); }

  std::atomic<std::uint64_t> delivered{0};
  DropCounters dropped{};

 private:
  void add(std::atomic<std::uint32_t>& counter, std::uint32_t delta) {
    if (crossing_ == Crossing::kYes) {
      counter.fetch_add(delta, std::memory_order_relaxed);
    } else {
      counter.store(counter.load(std::memory_order_relaxed) + delta, std::memory_order_relaxed);
    }
  }
  void wakeIfRoom();
  void wakeAll();

  const Crossing crossing_;
  std::atomic<std::uint32_t> messages_{0};
  std::atomic<std::uint32_t> bytes_{0};
  std::atomic<std::uint64_t> taken_{0};
  std::atomic<bool> waiting_{false};
  std::atomic<bool> stalled_{false};
  std::mutex wait_mutex_;  // Only when a sender is blocked.
  std::vector<Waker> wakers_;
  std::uint64_t taken_at_wait_ = 0;  // taken_ when somebody began to wait, and when that was.
  std::int64_t waiting_since_ns_ = 0;
};

}  // namespace kante
