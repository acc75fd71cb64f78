#include "host/uplink/forwarder.h"

#include <algorithm>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/base/trusted_clock.h"
#include "host/uplink/reason.h"

namespace kante {

Forwarder::Forwarder(Host host, TelemetryWriter writer, ForwarderOptions options)
    : host_(std::move(host)),
      writer_(std::move(writer)),
      options_(options),
      gate_(std::make_shared<Gate>()),
      backlog_(options.backlog_per_s) {
  gate_->client = &host_.client;
}

Forwarder::~Forwarder() { close(); }

void Forwarder::close() {
  {
    const std::lock_guard lock(gate_->mutex);
    if (gate_->client == nullptr) return;
    gate_->client = nullptr;
  }
  host_.queue.cancelTake();
  flush();
}

void Forwarder::linkUp() {
  up_ = true;
  flight_.linkUp();
  // The client repeats them: how long that takes says nothing of the way.
  for (auto& [number, flight] : in_flight_) flight.sent.at_ns = 0;
  host_.queue.markBacklog();
  pump();
}

void Forwarder::linkDown() { up_ = false; }

void Forwarder::forgotten() {
  putBackWaiting();
  for (const auto& [number, flight] : in_flight_) {
    flight_.gone(flight.sent);
    again_.push_back(flight.token);
  }
  in_flight_.clear();
  in_flight_count_.store(0, std::memory_order_relaxed);
  return_through_ = takes_;
  flush();
}

void Forwarder::turn() {
  // Few acknowledgements wait for company: each flush is a transaction.
  if (done_.size() > options_.window / 2 || in_flight_.empty() || !again_.empty() ||
      host_.clock.bootNs() - flushed_ns_ > kFlushNs) {
    flush();
  }
  pump();
}

std::string Forwarder::alarm() const {
  const std::lock_guard lock(alarm_mutex_);
  return alarm_;
}

void Forwarder::pump() {
  if (paused_until_ns_ != 0) {
    if (host_.clock.bootNs() < paused_until_ns_) return;
    paused_until_ns_ = 0;
  }
  send();
  takeMore();
}

// Half a window at a time: each take is a transaction.
bool Forwarder::mayTake() {
  if (!up_ || paused_until_ns_ != 0 || waiting_ > 0) return false;
  if (in_flight_.size() > options_.window / 2) return false;
  return in_flight_.empty() || flight_.room() >= std::max(mean_bytes_, flight_.window() / 2);
}

void Forwarder::takeMore() {
  const std::uint32_t backlog = backlog_.available(host_.clock.bootNs());
  if (taking_ && !(starved_ && backlog > 0)) return;
  if (!mayTake()) return;
  flush();  // Into the same group: one transaction numbers the next and removes the last.
  const std::uint64_t room = std::max(flight_.room(), mean_bytes_);
  TakeRequest request;
  request.messages_max = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(options_.window - in_flight_.size(), room / mean_bytes_));
  request.bytes_max = static_cast<std::uint32_t>(std::min<std::uint64_t>(room, kTakeBytesMax));
  request.numbering = Numbering::kNumbers;
  request.backlog_max = backlog;
  taking_ = true;
  starved_ = backlog == 0;
  host_.queue.take(request, [gate = gate_, this, take = ++takes_](Result<TakenBatch> batch) {
    const auto shared = std::make_shared<Result<TakenBatch>>(std::move(batch));
    const std::lock_guard lock(gate->mutex);
    if (gate->client == nullptr) return;
    gate->client->post([this, shared, take] { taken(take, std::move(*shared)); });
  });
}

void Forwarder::taken(std::uint64_t take, Result<TakenBatch> batch) {
  if (take == takes_) taking_ = false;
  if (batch.has_error()) return;  // The store closed.
  backlog_.spend(batch->backlog);
  for (const TakenBatch::Lost& lost : batch->lost) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    host_.on_lost(lost.number, "damaged on disk",
                  [this, token = lost.token] { done_.push_back(token); });
  }
  if (take <= return_through_) {  // Their numbers are later than that of what is to come again.
    for (const TakenMessage& message : batch->messages) again_.push_back(message.token);
    return;
  }
  waiting_ += batch->messages.size();
  batches_.push_back(std::move(*batch));
  pump();
}

void Forwarder::send() {
  while (up_ && paused_until_ns_ == 0 && !batches_.empty()) {
    TakenBatch& batch = batches_.front();
    if (next_ == batch.messages.size()) {
      batches_.pop_front();
      next_ = 0;
      continue;
    }
    if (in_flight_.size() >= options_.window || !flight_.mayFollow(mean_bytes_)) return;
    if (host_.client.state() != LinkState::kConnected) return;
    --waiting_;
    sendOne(batch.messages[next_++]);
  }
  if (batches_.empty() && host_.queue.messages() <= in_flight_.size()) flight_.idle();
}

// What was stamped before the clock was set stays doubtful when it is right again.
WallTime Forwarder::wallTimeOf(const TakenMessage& message) const {
  if (host_.wall == nullptr) return WallTime::kTrusted;
  return host_.wall->trusted() && host_.wall->plausible(message.record.arrived_ns)
             ? WallTime::kTrusted
             : WallTime::kUntrusted;
}

void Forwarder::sendOne(const TakenMessage& message) {
  const Result<Publication> publication =
      writer_.write(message, host_.clock.wallNs(), wallTimeOf(message));
  if (publication.has_error()) {
    return giveUp(message.token, message.number, publication.error().text);
  }
  const std::uint64_t bytes = wireBytes(*publication);
  mean_bytes_ = (mean_bytes_ * 7 + bytes) / 8;
  // Before publish(): an answer must find it.
  const FlightControl::Sent sent = flight_.sent(bytes, host_.clock.bootNs());
  in_flight_[message.number] = {message.token, sent};
  const Status status = host_.client.publish(*publication, message.number);
  if (status.has_error()) {
    in_flight_.erase(message.number);
    flight_.gone(sent);
    if (status.error().code == Errc::kUnavailable) {
      again_.push_back(message.token);
      return pause(status.error().text);
    }
    return giveUp(message.token, message.number, status.error().text);
  }
  in_flight_count_.store(in_flight_.size(), std::memory_order_relaxed);
}

void Forwarder::answered(std::uint64_t number, std::uint8_t reason_code) {
  const auto it = in_flight_.find(number);
  if (it == in_flight_.end()) return;
  const InFlight flight = it->second;
  in_flight_.erase(it);
  flight_.acknowledged(flight.sent, host_.clock.bootNs());
  window_bytes_.store(flight_.window(), std::memory_order_relaxed);
  in_flight_count_.store(in_flight_.size(), std::memory_order_relaxed);
  switch (judge(reason_code)) {
    case Verdict::kDone:
      acknowledged_.fetch_add(1, std::memory_order_relaxed);
      if (pause_ms_ != kPauseFirstMs && paused_until_ns_ == 0) {
        pause_ms_ = kPauseFirstMs;
        const std::lock_guard lock(alarm_mutex_);
        alarm_.clear();
      }
      done_.push_back(flight.token);
      if (host_.on_arrived) host_.on_arrived(number);
      break;
    case Verdict::kNever: giveUp(flight.token, number, reasonText(reason_code)); break;
    case Verdict::kLater:
      again_.push_back(flight.token);
      pause("the broker refuses a message: " + reasonText(reason_code));
      break;
  }
}

void Forwarder::giveUp(QueueToken token, std::uint64_t number, const std::string& reason) {
  refused_.fetch_add(1, std::memory_order_relaxed);
  host_.log.warn("uplink", "a message is given up",
                 {{"seq", std::to_string(number)}, {"reason", reason}});
  host_.on_lost(number, reason, [this, token, reason] { host_.queue.quarantine(token, reason); });
}

void Forwarder::putBackWaiting() {
  for (; !batches_.empty(); batches_.pop_front(), next_ = 0) {
    for (; next_ < batches_.front().messages.size(); ++next_) {
      again_.push_back(batches_.front().messages[next_].token);
    }
  }
  waiting_ = 0;
}

void Forwarder::pause(const std::string& why) {
  if (paused_until_ns_ == 0) {
    host_.log.warn("uplink", "sending pauses",
                   {{"reason", why}, {"ms", std::to_string(pause_ms_)}});
    paused_until_ns_ = host_.clock.bootNs() + pause_ms_ * 1'000'000;
    pause_ms_ = std::min(pause_ms_ * 2, kPauseMaxMs);
    // What was taken and not sent has later numbers than what was refused: it waits behind it.
    putBackWaiting();
    return_through_ = takes_;
  }
  const std::lock_guard lock(alarm_mutex_);
  alarm_ = why;
}

void Forwarder::flush() {
  flushed_ns_ = host_.clock.bootNs();
  if (!done_.empty()) host_.queue.acknowledge(std::exchange(done_, {}));
  if (!again_.empty()) host_.queue.giveBack(std::exchange(again_, {}));
}

}  // namespace kante
