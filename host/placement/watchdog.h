// Looks at what every shard is calling and says so when a callback takes too long.
//
// Samples the shards' slots instead of timing each call: every 10 ms while one is busy, else every
// 100. Over the hard limit on a shared shard it marks the slot and ends the host on purpose,
// because nothing can take a thread back from a module; the next start names it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "host/shard/callback_slot.h"

namespace kante {

class Watchdog {
 public:
  struct Options {
    std::uint32_t warn_ms = 10;
    std::uint32_t limit_ms = 5000;
    // module: index in the crash page.  On the watchdog's thread, once a callback.
    std::function<void(std::uint32_t module, std::uint32_t event, std::int64_t ms)> slow;
    // The process is expected to end in it when `shared`; a dedicated shard is only reported.
    std::function<void(CallbackSlot& slot, std::uint32_t shard, std::int64_t ms)> over_limit;
    std::function<void(std::int64_t boot_ns)> tick;  // About every 100 ms.
  };
  explicit Watchdog(Options options);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void watch(std::uint32_t shard, CallbackSlot* slot);

 private:
  struct Watched {
    std::uint32_t shard;
    CallbackSlot* slot;
    std::uint64_t sequence = 0;  // Last seen.
    std::int64_t since_ns = 0;   // When it was seen first.
    bool warned = false;
    bool limited = false;
  };
  void loop();
  bool look(Watched& watched, std::int64_t now_ns);

  Options options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Watched> watched_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace kante
