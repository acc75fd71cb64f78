// What may be sent a day: MQTT messages, counted in blocks as IoT Hub's meter does, and bytes.
//
// It is spent when messages get their numbers, before a byte of them leaves.  What the disk says is
// spent is never less than what was: a part of the day's budget is reserved on disk first and spent
// then, so a crash costs at most that part (a hundredth), and the disk is written a few hundred
// times a day.
//
// The day is UTC's, by a wall clock that is trusted.  A clock that steps back gives nothing back;
// where the clock cannot be believed, or the day that is being counted lies ahead of it, a day is
// 24 hours of BOOTTIME.
//
// Any thread: admit() and what belongs to it on the store's, turn() and spend() on the client's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante {

class Clock;
class TrustedClock;

struct BudgetLimits {
  std::uint64_t messages_per_day = 0;  // Blocks; 0: no limit.
  std::uint64_t bytes_per_day = 0;     // 0: no limit.
  std::uint32_t meter_bytes = 4096;
};

struct BudgetStatus {
  BudgetLimits limits;
  std::uint64_t messages_used = 0;
  std::uint64_t bytes_used = 0;
  std::int64_t resets_in_s = 0;
  bool reached = false;  // Something waits for the next day.
};

class Budget : public std::enable_shared_from_this<Budget> {
 public:
  struct Spent {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
  };
  // Writes the text and says later whether it is on disk; any thread.
  using Save = std::function<void(std::string text, std::function<void(Status)> done)>;
  struct Host {
    const Clock& clock;
    const TrustedClock* wall = nullptr;  // Null: the wall clock is believed.
    Save save;
    // What was held may go on; on the store's thread.
    std::function<void()> more = {};
  };

  Budget(BudgetLimits limits, Host host);

  // What an earlier life saved; kCorrupt: it is as if all of today's were spent.
  Status load(std::string_view text);
  bool limited() const { return limits_.messages_per_day != 0 || limits_.bytes_per_day != 0; }
  const BudgetLimits& limits() const { return limits_; }
  Spent costOf(std::uint64_t metered_bytes) const;

  // ---- a batch that is being taken ----
  void begin();
  // Whether the batch may cost so much more.  What is over a whole day's budget passes free: it can
  // never be sent, and the sender finds that out.
  bool admit(Spent more);
  void handedOut();

  // ---- the sender's ----
  // Sent a second time, or cheaper than was expected.
  void spend(Spent more);
  void giveBack(Spent less);
  bool overADay(Spent cost) const;
  // Begins a new day when it is time, and reserves; true when a day began.
  bool turn();
  // Whether what was held may be tried again: the day has room, and the disk knows of it.
  bool open() const;
  // No answer of the store matters any more; says what was spent in truth.
  void close();

  BudgetStatus status() const;

 private:
  static constexpr std::int64_t kDaySeconds = 86'400;
  static constexpr std::int64_t kUnknown = -1;
  static constexpr std::int64_t kSaveNs = 3'600'000'000'000;  // Of the time that passed.

  bool within(Spent sum, Spent bound) const;
  Spent limitSpent() const;
  std::int64_t today() const;  // Since 1970; kUnknown: not to be believed.
  std::int64_t elapsedS() const;
  bool newDay();
  void reserve();
  std::string text(Spent spent) const;

  const BudgetLimits limits_;
  const Host host_;
  mutable std::mutex mutex_;  // Around all below.
  std::int64_t day_ = kUnknown;
  std::int64_t began_ns_ = 0;  // BOOTTIME, as is the next.
  std::int64_t saved_ns_ = 0;
  std::int64_t elapsed_s_ = 0;  // Of this day, before began_ns_.
  Spent spent_;
  Spent pending_;   // By the batch that is being taken.
  Spent reserved_;  // On disk.
  Spent wanted_;
  bool saving_ = false;
  bool reached_ = false;
  bool fresh_ = false;  // The disk knows nothing of this day yet.
  bool closed_ = false;
};

}  // namespace kante
