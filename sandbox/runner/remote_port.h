// What a module in a runner can ask of its host: answered at once here, told to the host by frames.
//
// The rules are those of the in-process instance (host/placement), so that a module cannot tell
// where it runs.  Every function of ModulePort may be called from any thread where the ABI says so:
// one lock is held for the length of a call, never across a callback.  The rest belongs to the
// loop, whose thread is the module's strand.
#pragma once

#include <pthread.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "host/message/layout.h"
#include "host/message/seal.h"
#include "host/placement/rate_limit.h"
#include "host/runtime/module_port.h"
#include "sandbox/runner/metric_names.h"
#include "sandbox/runner/outbox.h"
#include "sandbox/runner/timers.h"
#include "sandbox/runner/waker.h"

namespace kante {

class RemotePort final : public ModulePort {
 public:
  static constexpr std::size_t kLogTextMax = 4096;
  static constexpr std::size_t kExplanationMax = 512;
  static constexpr std::size_t kKeptMax = 1024;  // Beyond it log lines and samples are left out.
  static constexpr std::uint32_t kReceiver = 1;  // In Ways: there is one module here.

  // Makes the calling thread the strand.
  RemotePort(const RunnerFiles& files, PeerSleep& host_sleep, int doorbell, Waker& waker,
             std::uint32_t outputs);

  // ---- the loop ----
  // Around a callback: `token` may be settled from now on.
  void beginInput(std::uint64_t token);
  // Ends a durable input as its callback's status says, if nobody has settled it meanwhile.
  // kPutOff: it is to come again.  kFailed: what is behind it goes back to the host.
  enum class Ended : std::uint8_t { kDone, kPutOff, kFailed };
  Ended endInput(std::uint64_t token, kante_status status);
  void beginMethod(std::uint64_t token);
  void endMethod(std::uint64_t token, kante_status status);
  void beginCreate(std::uint64_t defer_max_ms) {
    creating_ = true;
    defer_max_ms_ = defer_max_ms;
  }
  void endCreate(kante_status status);
  void beginSave(std::uint64_t token);
  void endSave(std::uint64_t token, kante_status status);
  void cancelSave();
  void beginDrain();
  // kEventEnded of an event for which nothing else says it.
  void tellEnd(std::uint32_t type, std::uint64_t token, kante_status status, std::string_view text);
  void tellRestored(kante_status status);
  // A DONE of that token is about to be handed over; true: it answers open().
  bool requestDone(std::uint64_t token);

  std::string& explanation() { return explanation_; }
  // An output that said KANTE_E_AGAIN and may be written to again.
  std::optional<std::uint32_t> takeWritable();
  std::optional<Timers::Expired> takeTimer();
  void clearTimers();
  std::int64_t nextTimerNs() const { return next_timer_ns_.load(std::memory_order_relaxed); }

  // Metrics and what was kept go out, and all is shown to the host.
  void endTurn();
  // What it has to be woken for; and whether one of that is there already.  Room for the module's
  // outputs counts only while it is told of it.
  enum class Events : std::uint8_t { kTaken, kHeld };
  std::uint64_t wants(Events events);
  bool hasNews(Events events);
  bool keepsFrames();
  void inputHandled() { outbox_.inputHandled(); }
  void ringHost();
  std::optional<std::string> broken();

  // ---- ModulePort ----
  kante_status sealMessage(void* scratch, std::uint32_t used_words, kante_msg** out) override;
  kante_status emit(std::uint32_t output, kante_msg* message, std::uint64_t token) override;
  kante_status publish(std::uint32_t output, void* scratch, std::uint32_t used_words,
                       std::uint64_t token) override;
  kante_status settle(std::uint64_t token, kante_status status) override;
  void drained() override;
  void log(std::uint32_t level, std::string_view text) override;
  void explain(kante_status code, std::string_view text) override;
  kante_status report(kante_msg* patch, std::uint64_t token) override;
  kante_status reply(std::uint64_t token, std::int32_t code, kante_msg* result) override;
  std::uint64_t nowNs() override;
  kante_status setTimer(std::uint32_t id, std::uint64_t first_ns, std::uint64_t period_ns) override;
  kante_status cancelTimer(std::uint32_t id) override;
  kante_status defineMetric(std::string_view name, std::uint32_t kind, std::uint32_t* id) override;
  void addMetric(std::uint32_t id, std::int64_t delta) override;
  void recordMetric(std::uint32_t id, double value) override;
  kante_status storageGet(std::string_view key, std::uint64_t token) override;
  kante_status storagePut(std::string_view key, kante_msg* value, std::uint64_t token) override;
  kante_status storageErase(std::string_view key, std::uint64_t token) override;
  kante_status saveState(std::uint64_t token, std::uint64_t format, const void* data,
                         std::size_t size) override;
  void ready() override;
  kante_status defer(std::uint32_t ms) override;
  kante_status invoke(std::string_view target, std::string_view name, kante_msg* arguments,
                      std::uint32_t timeout_ms, std::uint64_t token) override;
  kante_status open(std::string_view what, std::uint64_t token) override;
  void promisedReady() override;

 private:
  struct Output {
    Layout layout;
    std::uint32_t emitted = 0;  // Modulo 2^32, as HostPage::routed.
    // Said KANTE_E_AGAIN, and for want of what: WRITABLE is owed.
    enum class Blocked : std::uint8_t { kNo, kByCredit, kByRoom } blocked = Blocked::kNo;
  };
  class Call;  // The lock of one call, which shows the host what a foreign thread wrote.

  bool onStrand() const { return ::pthread_equal(::pthread_self(), strand_) != 0; }
  kante_status seal(kante_msg* block, std::uint32_t used_words, Layout& layout);
  kante_status send(std::uint32_t output, kante_msg* message, std::uint8_t hops,
                    std::uint64_t token);
  std::uint32_t creditUsed(std::uint32_t output) const {
    return outputs_[output].emitted - host_page_.routed[output].load(std::memory_order_acquire);
  }
  bool isWritable(std::uint32_t output) const;
  kante_status request(std::uint64_t token, const FrameOut& frame, kante_msg* message);
  bool claim(std::uint64_t token);
  void tellMetrics();
  void timersChanged() { next_timer_ns_.store(timers_.nextNs(), std::memory_order_relaxed); }

  const HostPage& host_page_;
  Waker& waker_;
  const pthread_t strand_;
  std::string explanation_;  // Strand.
  bool creating_ = false;    // Strand.
  bool promised_ready_ = false;

  std::atomic<bool> any_blocked_{false};
  std::atomic<std::int64_t> next_timer_ns_{Timers::kNever};

  std::mutex mutex_;  // All below.
  Outbox outbox_;
  std::vector<Output> outputs_;
  Layout layout_;  // Of what is sealed without being published.
  Stamp stamp_;
  bool stamp_is_fresh_ = false;  // Its time is that of this turn.
  Timers timers_;
  MetricNames metrics_;
  RateLimit log_limit_;
  std::uint64_t samples_left_out_ = 0;
  std::uint64_t current_token_ = 0;  // Of the input that is being handled; 0: settled, or none.
  std::unordered_set<std::uint64_t> open_tokens_;  // Inputs that were answered KANTE_PENDING.
  std::unordered_set<std::uint64_t> open_calls_;   // Methods without a reply.
  // Unanswered, and the bytes of what they sent along; at most kRequestCredit and
  // kRequestBytesCredit.
  std::unordered_multimap<std::uint64_t, std::size_t> requests_;
  std::size_t request_bytes_ = 0;
  std::unordered_multiset<std::uint64_t> opens_;  // Of these, those of open().
  std::uint64_t save_token_ = 0;
  bool said_ready_ = false;
  std::uint64_t defer_max_ms_ = 0;
  enum class Drain : std::uint8_t { kNo, kSent, kDone } drain_ = Drain::kNo;
};

}  // namespace kante
