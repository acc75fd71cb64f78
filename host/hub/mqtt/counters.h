// What one engine has counted.  Written by its shard alone, read by anybody.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace kante::hub {

// Why a message did not reach a session, or a session or connection ended or never began.
enum class Refusal : std::uint8_t {
  kOverflow,        // A session's queue was full, or all of them together were.
  kTtl,             // It expired while it waited.
  kOffline,         // QoS 0, and nobody was connected.
  kTooLarge,        // More than the client takes.
  kDenied,          // Publishing or having it is not granted.
  kRetainedFull,    // It was sent, but not kept for later subscribers.
  kMalformed,       // The connection broke the protocol.
  kAuthentication,  // A CONNECT that was refused.
  kTimeout,         // No CONNECT, or nothing within the keep-alive.
  kTakenOver,       // Another connection of the same client.
  kLimit,           // Connections, sessions, rate.
  kStore,           // It was to be kept on disk, which has no room or fails.
  kStalled,         // A route had no room for what it sent for too long.
};
inline constexpr std::size_t kRefusals = 13;
const char* name(Refusal refusal);

class Count {
 public:
  void add(std::uint64_t more = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct Counters {
  Count connections;  // Now.
  Count sessions;     // Now, connected or not.
  Count subscriptions;
  Count retained;
  Count retained_bytes;
  Count accepted;  // CONNECTs since the start.
  Count received;  // PUBLISH since the start.
  Count received_bytes;
  Count sent;
  Count sent_bytes;
  Count handed_over;  // To other shards.
  std::array<Count, kRefusals> refused;
  Count& of(Refusal refusal) { return refused[static_cast<std::size_t>(refusal)]; }
  const Count& of(Refusal refusal) const { return refused[static_cast<std::size_t>(refusal)]; }
};

}  // namespace kante::hub
