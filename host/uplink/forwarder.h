// Drains a durable queue through a client: takes numbered messages, keeps at most `window` in
// flight, acknowledges what the broker acknowledged, and nothing else.
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
#include "host/uplink/telemetry.h"

namespace kante {

class Clock;
class Log;
class TrustedClock;

class Forwarder {
 public:
  // Payload bytes in flight: the library keeps a copy of each.
  static constexpr std::uint64_t kInFlightBytesMax = 4u << 20;
  // How long an acknowledgement may wait for others.
  static constexpr std::int64_t kFlushNs = 50'000'000;
  static constexpr std::int64_t kPauseFirstMs = 1'000;
  static constexpr std::int64_t kPauseMaxMs = 60'000;

  // A number whose message will never arrive.
  using OnLost = std::function<void(std::uint64_t number, const std::string& reason)>;
  struct Host {
    UplinkClient& client;
    DurableQueue& queue;
    const Clock& clock;
    Log& log;
    OnLost on_lost;
    const TrustedClock* wall = nullptr;  // Null: the wall clock is believed.
  };

  Forwarder(Host host, TelemetryWriter writer, std::uint32_t window);
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
  std::string alarm() const;

 private:
  struct InFlight {
    QueueToken token;
    std::uint64_t bytes = 0;
  };
  // Between the store's thread and the client's, which may be gone when the store answers.
  struct Gate {
    std::mutex mutex;
    UplinkClient* client = nullptr;
  };

  void pump();
  void takeMore();
  void taken(Result<TakenBatch> batch);
  void send();
  WallTime wallTimeOf(const TakenMessage& message) const;
  void sendOne(const TakenMessage& message);
  void flush();
  void giveUp(const TakenMessage& message, const std::string& reason);
  void pause(const std::string& why);
  void returnTaken();

  const Host host_;
  TelemetryWriter writer_;
  const std::uint32_t window_;
  const std::shared_ptr<Gate> gate_;  // Shared with answers of the store on their way.

  bool up_ = false;
  bool taking_ = false;
  bool return_taken_ = false;         // What is being taken is later than what is to come again.
  std::int64_t flushed_ns_ = 0;       // BOOTTIME, as is the next.
  std::int64_t paused_until_ns_ = 0;  // 0: not paused.
  std::int64_t pause_ms_ = kPauseFirstMs;
  std::deque<TakenBatch> batches_;  // Taken and not yet handed over; of the first, from next_ on.
  std::size_t next_ = 0;
  std::size_t waiting_ = 0;  // Messages in batches_.
  std::map<std::uint64_t, InFlight> in_flight_;
  std::uint64_t in_flight_bytes_ = 0;
  std::vector<QueueToken> done_;
  std::vector<QueueToken> again_;

  std::atomic<std::uint64_t> in_flight_count_{0};
  std::atomic<std::uint64_t> acknowledged_{0};
  std::atomic<std::uint64_t> refused_{0};
  mutable std::mutex alarm_mutex_;  // Around alarm_.
  std::string alarm_;
};

}  // namespace kante
