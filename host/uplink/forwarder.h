// Drains a durable queue through a client: takes numbered messages, keeps a window of them in
// flight, acknowledges what the broker acknowledged, and nothing else.
//
// What has a number goes before all that has none, so no more is taken than is sent at once: at
// most `window` messages, and at most the bytes that the way carries without queueing
// (flight_control.h).  Backlog may be held to a number a second, and all of it to a day's budget.
// Small neighbours may share one MQTT message, which is then acknowledged for all of them.
//
// Lives on the client's thread; the figures are atomics for everybody.  What a client
// forgets with its connection, or the broker refused, is given back to the queue and taken again
// with the number that it has, before anything later.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "host/store/durable_queue.h"
#include "host/uplink/budget.h"
#include "host/uplink/budget_gate.h"
#include "host/uplink/client.h"
#include "host/uplink/flight_control.h"
#include "host/uplink/pack.h"
#include "host/uplink/telemetry.h"
#include "host/uplink/token_bucket.h"
#include "host/uplink/traffic.h"

namespace kante {

class Clock;
class Log;
class TrustedClock;

struct ForwarderOptions {
  std::uint32_t window = 64;
  std::uint32_t backlog_per_s = 0;  // 0: no limit.
  PackRules pack;
  // What happens to that for which the day's budget has no room.
  enum class AtBudget { kHold, kDropLowest } at_budget = AtBudget::kHold;
  // What happens to a message that is refused as not authorized: it is tried again, or it alone is
  // given up, because the other side judges each by its sender.
  enum class Unauthorized { kTriedAgain, kGivenUp } unauthorized = Unauthorized::kTriedAgain;
};

class Forwarder {
 public:
  // How long an acknowledgement may wait for others.
  static constexpr std::int64_t kFlushNs = 50'000'000;
  static constexpr std::int64_t kPauseFirstMs = 1'000;
  static constexpr std::int64_t kPauseMaxMs = 60'000;
  // Company that is worth a pack before its time is over.
  static constexpr std::uint64_t kPackWaitingBytes = 65'536;

  // A number whose message will never arrive.  The message leaves the queue when `kept` is called:
  // the report is on disk then.
  using OnLost = std::function<void(std::uint64_t number, const std::string& reason,
                                    std::function<void()> kept)>;
  struct Host {
    UplinkClient& client;
    DurableQueue& queue;
    const Clock& clock;
    Log& log;
    OnLost on_lost;
    std::function<void(std::uint64_t number)> on_arrived = {};
    const TrustedClock* wall = nullptr;  // Null: the wall clock is believed.
    // Shared with the store's thread; null: no limit.
    std::shared_ptr<Budget> budget = nullptr;
    Traffic* traffic = nullptr;  // Null: nobody wants to know.
  };

  Forwarder(Host host, TelemetryWriter writer, ForwarderOptions options);
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  // The client has stopped: says what is still to be said to the store.  Any thread, once.
  void close();
  // Of the connection that comes up.
  void setForm(MqttForm form) {
    writer_.setForm(form == MqttForm::k5 ? TelemetryForm::kMqtt5 : TelemetryForm::kMqtt311);
  }
  void linkUp();
  void linkDown();
  // The client does not repeat what it was given: all of it is taken again, with the same numbers.
  void forgotten();
  // The broker's answer to the message with this number.
  void answered(std::uint64_t number, std::uint8_t reason_code);
  void turn();
  // When turn() has something to do next though nothing happens, in ms; at most 1,000.
  std::int64_t patienceMs() const;
  // The budget has more to spend: on the client's thread.
  void unhold();
  // Tells the traffic what arrived and was acknowledged.  Any thread.
  void count() const;

  std::uint64_t inFlight() const { return in_flight_count_.load(std::memory_order_relaxed); }
  std::uint64_t acknowledged() const { return acknowledged_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  std::uint64_t flightWindow() const { return window_bytes_.load(std::memory_order_relaxed); }
  std::string alarm() const;

 private:
  // One MQTT message: one of ours, or several with the numbers that follow.
  struct InFlight {
    std::vector<QueueToken> tokens;
    FlightControl::Sent sent;
    std::uint64_t metered = 0;
  };
  // Between the store's thread and the client's, which may be gone when the store answers.
  struct Gate {
    std::mutex mutex;
    UplinkClient* client = nullptr;
  };

  void pump();
  void takeMore();
  bool mayTake() const;
  void taken(std::uint64_t take, Result<TakenBatch> batch);
  void send();
  WallTime wallTimeOf(const TakenMessage& message) const;
  std::size_t sendNext(std::span<const TakenMessage> messages);
  Result<Publication> compose(std::span<const TakenMessage> messages);
  Status handOver(std::span<const TakenMessage> messages, const Publication& publication);
  void sizeUp(std::span<const TakenMessage> messages, const Publication& publication);
  void dropOverBudget();
  bool worthAPack() const;
  void flush();
  void giveUp(QueueToken token, std::uint64_t number, const std::string& reason);
  void pause(const std::string& why);
  void putBackWaiting();

  const Host host_;
  TelemetryWriter writer_;
  const ForwarderOptions options_;
  const std::shared_ptr<Gate> gate_;  // Shared with answers of the store on their way.

  bool up_ = false;
  std::uint64_t takes_ = 0;  // Given to requests; the last one's answer ends waiting for it.
  bool taking_ = false;
  std::uint64_t return_through_ = 0;  // What these took is later than what is to come again.
  bool starved_ = false;              // The request that waits has no allowance for backlog.
  bool held_ = false;                 // By the budget.
  bool dropping_ = false;
  std::int64_t took_ns_ = 0;
  std::shared_ptr<BudgetGate> budget_gate_;  // Shared with requests at the store.
  std::uint64_t alone_through_ = 0;          // Up to this number nothing is packed.
  std::string packed_;
  std::string compressed_;
  std::uint64_t metered_ = 0;  // Of what was composed last.
  double mean_blocks_ = 1;     // A message; follows what is seen, as is the next.
  double mean_metered_ = 512;
  FlightControl flight_;
  TokenBucket backlog_;
  std::uint64_t mean_bytes_ = 512;    // Of a message as it is sent; follows what is seen.
  std::int64_t flushed_ns_ = 0;       // BOOTTIME, as is the next.
  std::int64_t paused_until_ns_ = 0;  // 0: not paused.
  std::int64_t pause_ms_ = kPauseFirstMs;
  std::deque<TakenBatch> batches_;  // Taken and not yet handed over; of the first, from next_ on.
  std::size_t next_ = 0;
  std::size_t waiting_ = 0;  // Messages in batches_.
  std::map<std::uint64_t, InFlight> in_flight_;
  std::vector<QueueToken> done_;
  std::vector<QueueToken> again_;

  std::atomic<std::uint64_t> in_flight_count_{0};
  std::atomic<std::uint64_t> acknowledged_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> window_bytes_{0};
  mutable std::mutex alarm_mutex_;  // Around alarm_.
  std::string alarm_;
};

}  // namespace kante
