// One route into one sink, with the credit and the counts that belong to it.
//
// A link lives until no route table has it and nothing queued refers to it.  Senders and the sink
// may be on different shards: then its counts are atomic additions; on one shard they are plain.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
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
  kQuarantine,
  kEnded,  // Its module ended before there was room for it.
};
inline constexpr std::size_t kDropReasons = 10;
const char* name(DropReason reason);

using DropCounters = std::array<std::atomic<std::uint64_t>, kDropReasons>;
inline void count(DropCounters& counters, DropReason reason) {
  counters[static_cast<std::size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
}

class Link;

// What became of a route's messages, over all tables that have the route.  Any thread.
class RouteCounts {
 public:
  // Handed to a sink that is no link: each link counts for itself, where one shard alone sends by
  // it without a locked instruction.
  std::atomic<std::uint64_t> beside_links{0};
  DropCounters dropped{};

  // Handed to whatever sink, by links that are gone as well.
  std::uint64_t delivered() const;

 private:
  friend class Link;
  void join(const Link& link);
  void leave(const Link& link);

  mutable std::mutex mutex_;
  std::vector<const Link*> links_;
};

// What a full link does with the next message.
enum class WhenFull : std::uint8_t { kBlock, kDropOldest, kDropNewest };

struct LinkLimits {
  std::uint32_t messages = 1024;
  std::uint32_t bytes = 16u << 20;
  std::uint32_t stall_ms = 1000;  // 0: never stalled.
  std::uint32_t ttl_s = 0;        // 0: does not expire.
  friend bool operator==(const LinkLimits&, const LinkLimits&) = default;
};

struct LinkPlan {
  std::shared_ptr<Lane> lane;
  std::uint16_t input = 0;
  std::uint8_t priority = 9;
  WhenFull when_full = WhenFull::kBlock;
  LinkLimits limits;
  std::shared_ptr<RouteCounts> counts;
  friend bool operator==(const LinkPlan&, const LinkPlan&) = default;
};

// Shared by the route tables that have it: a link goes on, credit and all, when a route stays as it
// is.
class Link {
 public:
  // Whether a sender may be on another shard than the lane.
  enum class Crossing : std::uint8_t { kNo, kYes };

  Link(const LinkPlan& from, Crossing crosses)
      : lane(from.lane.get()),
        input(from.input),
        priority(from.priority),
        when_full(from.when_full),
        limits(from.limits),
        dropped(from.counts->dropped),
        plan(from),
        crossing(crosses) {
    plan.counts->join(*this);
  }
  ~Link() { plan.counts->leave(*this); }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  Lane* const lane;
  const std::uint16_t input;    // The lane's index of the input's name.
  const std::uint8_t priority;  // 0 first, 9 last.
  const WhenFull when_full;
  const LinkLimits limits;
  DropCounters& dropped;  // The route's.
  const LinkPlan plan;    // What it was made from; keeps the lane and the counts.
  const Crossing crossing;

  // A message larger than the whole limit passes when nothing else waits.
  bool hasCredit(std::uint32_t bytes) const {
    const std::uint32_t waiting = messages_.load(std::memory_order_relaxed);
    return waiting < limits.messages &&
           (waiting == 0 || bytes_.load(std::memory_order_relaxed) + bytes <= limits.bytes);
  }
  // Whether a message without credit is queued all the same.  A blocking link: the sender looked,
  // and a sender on another shard was faster; each can be one message over.  kDropOldest: the lane
  // makes room when the message arrives, and what is on its way to another shard may be as much
  // again.
  bool takesBeyondCredit(std::uint32_t bytes) const;
  // Over its limits by what has arrived: the lane of a kDropOldest link drops until it is not.
  bool isOver() const {
    const std::uint32_t waiting = messages_.load(std::memory_order_relaxed);
    return waiting > limits.messages ||
           (waiting > 1 && bytes_.load(std::memory_order_relaxed) > limits.bytes);
  }

  // By the sender, after hasCredit() or takesBeyondCredit().
  void queued(std::uint32_t bytes) {
    add(messages_, 1);
    add(bytes_, bytes);
    add(delivered_, 1);
  }
  // By the lane, when a delivery leaves it.  Wakes senders once half of the credit is back.
  void taken(std::uint32_t bytes) {
    add(messages_, -1);
    add(bytes_, -std::int64_t{bytes});
    taken_.store(taken_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    // In one order with add() and wait(): either the sender sees the room or we see the sender.
    if (waiting_.load(std::memory_order_seq_cst)) [[unlikely]]
      wakeIfRoom();
  }
  // By the lane: what was just taken came back untouched, so nothing was taken.
  void returned(std::uint32_t bytes) {
    add(messages_, 1);
    add(bytes_, bytes);
    taken_.store(taken_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  }

  // A blocked sender asks to be called, from whatever thread, once there is room for `bytes` or the
  // sink is found stalled.  Called at once if that is so by now.
  using Waker = std::function<void()>;
  void wait(std::uint32_t bytes, std::int64_t boot_ns, Waker waker);
  // For whoever keeps time: marks the sink as stalled when it took nothing for stall_ms while
  // somebody waited, and wakes those who wait.
  void checkStall(std::int64_t boot_ns);
  bool stalled() const { return stalled_.load(std::memory_order_relaxed); }

  std::uint32_t queuedMessages() const { return messages_.load(std::memory_order_relaxed); }
  std::uint64_t queuedBytes() const { return bytes_.load(std::memory_order_relaxed); }
  std::uint64_t takenCount() const { return taken_.load(std::memory_order_relaxed); }
  // All that was ever queued.
  std::uint64_t delivered() const { return delivered_.load(std::memory_order_relaxed); }

 private:
  template <typename Number>
  void add(std::atomic<Number>& counter, std::int64_t delta) {
    const auto change = static_cast<Number>(delta);
    if (crossing == Crossing::kYes) {
      counter.fetch_add(change, std::memory_order_seq_cst);
    } else {
      counter.store(counter.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
    }
  }
  bool hasRoom() const;
  void wakeIfRoom();
  void wakeAll();

  std::atomic<std::uint32_t> messages_{0};
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> taken_{0};
  std::atomic<std::uint64_t> delivered_{0};
  std::atomic<bool> waiting_{false};
  std::atomic<bool> stalled_{false};
  std::atomic<std::uint32_t> wanted_bytes_{0};  // The largest that a sender waits to queue.
  std::mutex wait_mutex_;                       // Only when a sender is blocked.
  std::vector<Waker> wakers_;
  std::uint64_t taken_at_wait_ = 0;  // taken_ when somebody began to wait, and when that was.
  std::int64_t waiting_since_ns_ = 0;
};

}  // namespace kante
