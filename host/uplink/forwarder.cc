#include "host/uplink/forwarder.h"

#include <algorithm>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/base/trusted_clock.h"
#include "host/uplink/reason.h"

namespace kante {

Forwarder::Forwarder(Host host, TelemetryWriter writer, std::uint32_t window)
    : host_(std::move(host)),
      writer_(std::move(writer)),
      window_(window),
      gate_(std::make_shared<Gate>()) {
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
  host_.queue.markBacklog();
  pump();
}

void Forwarder::linkDown() { up_ = false; }

void Forwarder::forgotten() {
  for (const auto& [number, flight] : in_flight_) again_.push_back(flight.token);
  in_flight_.clear();
  in_flight_bytes_ = 0;
  in_flight_count_.store(0, std::memory_order_relaxed);
  returnTaken();
  return_taken_ = taking_;
  flush();
}

// What was taken and not sent has later numbers than what comes again: it waits behind it.
void Forwarder::returnTaken() {
  for (; !batches_.empty(); batches_.pop_front(), next_ = 0) {
    for (; next_ < batches_.front().messages.size(); ++next_) {
      again_.push_back(batches_.front().messages[next_].token);
    }
  }
  waiting_ = 0;
}

void Forwarder::turn() {
  // Few acknowledgements wait for company: each flush is a transaction.
  if (done_.size() > window_ / 2 || in_flight_.empty() || !again_.empty() ||
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
void Forwarder::takeMore() {
  const std::size_t busy = in_flight_.size() + waiting_;
  if (!up_ || taking_ || paused_until_ns_ != 0 || busy > window_ / 2 ||
      in_flight_bytes_ > kInFlightBytesMax / 2) {
    return;
  }
  taking_ = true;
  flush();  // Into the same group: one transaction numbers the next and removes the last.
  TakeRequest request;
  request.messages_max = window_ - static_cast<std::uint32_t>(busy);
  request.numbering = Numbering::kNumbers;
  host_.queue.take(request, [gate = gate_, this](Result<TakenBatch> batch) {
    const auto shared = std::make_shared<Result<TakenBatch>>(std::move(batch));
    const std::lock_guard lock(gate->mutex);
    if (gate->client == nullptr) return;
    gate->client->post([this, shared] { taken(std::move(*shared)); });
  });
}

void Forwarder::taken(Result<TakenBatch> batch) {
  taking_ = false;
  if (batch.has_error()) return;  // The store closed.
  for (const std::uint64_t number : batch->lost) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    host_.on_lost(number, "damaged on disk");
  }
  if (std::exchange(return_taken_, false)) {
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
    if (in_flight_.size() >= window_) return;
    if (!in_flight_.empty() && in_flight_bytes_ > kInFlightBytesMax) return;
    if (host_.client.state() != LinkState::kConnected) return;
    --waiting_;
    sendOne(batch.messages[next_++]);
  }
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
  if (publication.has_error()) return giveUp(message, publication.error().text);
  const std::uint64_t bytes = message.record.message.wordCount() * std::uint64_t{8};
  // Before publish(): an answer must find it.
  in_flight_[message.number] = {message.token, bytes};
  in_flight_bytes_ += bytes;
  const Status status = host_.client.publish(*publication, message.number);
  if (status.has_error()) {
    in_flight_.erase(message.number);
    in_flight_bytes_ -= bytes;
    if (status.error().code == Errc::kUnavailable) {
      again_.push_back(message.token);
      return pause(status.error().text);
    }
    return giveUp(message, status.error().text);
  }
  in_flight_count_.store(in_flight_.size(), std::memory_order_relaxed);
}

void Forwarder::answered(std::uint64_t number, std::uint8_t reason_code) {
  const auto it = in_flight_.find(number);
  if (it == in_flight_.end()) return;
  const InFlight flight = it->second;
  in_flight_.erase(it);
  in_flight_bytes_ -= flight.bytes;
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
      break;
    case Verdict::kNever:
      refused_.fetch_add(1, std::memory_order_relaxed);
      host_.queue.quarantine(flight.token, reasonText(reason_code));
      host_.on_lost(number, reasonText(reason_code));
      break;
    case Verdict::kLater:
      again_.push_back(flight.token);
      pause("the broker refuses a message: " + reasonText(reason_code));
      break;
  }
}

void Forwarder::giveUp(const TakenMessage& message, const std::string& reason) {
  refused_.fetch_add(1, std::memory_order_relaxed);
  host_.log.warn("uplink", "a message is given up",
                 {{"seq", std::to_string(message.number)}, {"reason", reason}});
  host_.queue.quarantine(message.token, reason);
  host_.on_lost(message.number, reason);
}

void Forwarder::pause(const std::string& why) {
  if (paused_until_ns_ == 0) {
    host_.log.warn("uplink", "sending pauses",
                   {{"reason", why}, {"ms", std::to_string(pause_ms_)}});
    paused_until_ns_ = host_.clock.bootNs() + pause_ms_ * 1'000'000;
    pause_ms_ = std::min(pause_ms_ * 2, kPauseMaxMs);
    returnTaken();
    return_taken_ = taking_;
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
