// What the wall clock is worth.  A gateway may boot in 1970, be set by hand, or be wrong by years:
// whoever judges by wall time (certificates, the budget's day, TTLs over a stop) asks here first.
//
// The clock is trusted when it is not before the floor: the latest of the moment this build was
// made, the time that was saved last and the not-before of any certificate that was accepted.  A
// kernel clock that says it is synchronised is trusted whatever was saved, and lowers the floor to
// itself; only the build's moment stands against that too, because nothing runs before it is built.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "host/base/clock.h"
#include "host/base/fd.h"
#include "host/base/result.h"

namespace kante {

// The moment at which certificates are judged.  When the wall clock is not trusted, the floor is
// that moment, and "not yet valid" is no reason.
struct JudgementTime {
  std::int64_t at_s = 0;  // Since 1970, UTC.
  enum class Clock { kTrusted, kUntrusted } clock = Clock::kTrusted;
};

// Where the floor comes from.
enum class FloorFrom { kBuild, kSaved, kCertificate };
const char* name(FloorFrom from);  // "build", "saved", "certificate"

struct ClockReading {
  std::int64_t wall_ns = 0;
  std::int64_t floor_s = 0;
  FloorFrom floor_from = FloorFrom::kBuild;
  bool trusted = true;
  bool synchronised = false;  // So says the kernel.
  // Why it is not trusted, as a sentence; empty when it is.
  std::string reason() const;
};

// Whether something (chrony, systemd-timesyncd, PTP) keeps the kernel's clock right.
bool kernelSynchronised();

class TrustedClock {
 public:
  using Synchronised = std::function<bool()>;  // Any thread.
  static constexpr std::int64_t kSaveEveryS = 600;
  static constexpr std::int64_t kRetryNs = 60'000'000'000;
  static constexpr const char* kFileName = "clock.json";

  // `clock` outlives it.
  TrustedClock(const Clock& clock, std::int64_t build_s,
               Synchronised synchronised = kernelSynchronised);

  // Reads what was saved in this directory, which stays open as long as this; tick() saves there.
  // kCorrupt: what is there is no saved time; the floor is then what else is known, and the file is
  // replaced.  Before any other thread uses this.
  Status keepIn(int dir_fd);
  // Saves when it is time to; a few times a minute is often enough, more costs nothing.  One
  // thread.  Fails with why the time could not be saved, at most once in kRetryNs.
  Status tick();

  // The rest: any thread.
  bool trusted() const;
  JudgementTime judgement() const;
  ClockReading read() const;
  // A certificate that was found good, so the present is not before it begins.
  void accepted(std::int64_t not_before_s);
  // Whether a time stamp that was made earlier may be believed: not if it is before this build.
  bool plausible(std::int64_t wall_ns) const { return wall_ns / 1'000'000'000 >= build_s_; }
  const Clock& clock() const { return clock_; }

 private:
  std::int64_t floorS() const;
  std::int64_t wallS() const { return clock_.wallNs() / 1'000'000'000; }
  void lower(std::int64_t now_s);

  const Clock& clock_;
  const std::int64_t build_s_;
  const Synchronised synchronised_;
  std::atomic<std::int64_t> saved_s_{0};
  std::atomic<std::int64_t> certificate_s_{0};

  // Of whoever calls tick().
  int dir_fd_ = -1;
  std::int64_t on_disk_saved_s_ = 0;
  std::int64_t on_disk_certificate_s_ = 0;
  bool on_disk_bad_ = false;
  std::int64_t retry_at_ns_ = 0;  // BOOTTIME.
};

}  // namespace kante
