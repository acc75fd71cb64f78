// Drains a durable queue through a client: takes numbered messages, keeps a window of them in
// flight, acknowledges what the broker acknowledged, and nothing else.
//
// What has a number goes before all that has none, so no more is taken than is sent at once: at
// most `window` messages, and at most the bytes that the way carries without queueing
// (flight_control.h).  Backlog may be held to a number a second.
//
// Lives on the client's thread; the figures are atomics for everybody.  The client repeats what is
// in flight after a reconnect, so each message is handed to it once per life of the process, unless
// the broker refused it.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "host/store/durable_queue.h"
#include "host/uplink/client.h"
#include "host/uplink/flight_control.h"
#include "host/uplink/telemetry.h"
#include "host/uplink/token_bucket.h"

namespace kante {

class Clock;
class Log;
class TrustedClock;

struct ForwarderOptions {
  std::uint32_t window = 64;
  std::uint32_t backlog_per_s = 0;  // 0: no limit.
};

class Forwarder {
 public:
  // How long an acknowledgement may wait for others.
  static constexpr std::int64_t kFlushNs = 50'000'000;
  static constexpr std::int64_t kPauseFirstMs = 1'000;
  static constexpr std::int64_t kPauseMaxMs = 60'000;

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

  std::uint64_t inFlight() const { return in_flight_count_.load(std::memory_order_relaxed); }
  std::uint64_t acknowledged() const { return acknowledged_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  std::uint64_t flightWindow() const { return window_bytes_.load(std::memory_order_relaxed); }
  std::string alarm() const;

 private:
  struct InFlight {
    QueueToken token;
    FlightControl::Sent sent;
  };
  // Between the store's thread and the client's, which may be gone when the store answers.
  struct Gate {
    std::mutex mutex;
    UplinkClient* client = nullptr;
  };

  void pump();
  void takeMore();
  bool mayTake();
  void taken(std::uint64_t take, Result<TakenBatch> batch);
  void send();
  WallTime wallTimeOf(const TakenMessage& message) const;
  void sendOne(const TakenMessage& message);
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
