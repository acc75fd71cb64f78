#include "host/uplink/forwarder.h"

#include <algorithm>
#include <limits>
#include <utility>

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
  if (host_.budget != nullptr && host_.budget->limited())
    budget_gate_ = std::make_shared<BudgetGate>(host_.budget, writer_, options_.pack);
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
  for (auto& [number, flight] : in_flight_) {
    // The client repeats them: how long that takes says nothing of the way, and it is metered
    // again.
    flight.sent.at_ns = 0;
    if (budget_gate_) host_.budget->spend(host_.budget->costOf(flight.metered));
  }
  host_.queue.markBacklog();
  pump();
}

// What arrives while nothing can be sent is given no number.
void Forwarder::linkDown() {
  up_ = false;
  host_.queue.cancelTake();
  ++takes_;
  taking_ = false;
}

void Forwarder::forgotten() {
  putBackWaiting();
  for (const auto& [number, flight] : in_flight_) {
    flight_.gone(flight.sent);
    again_.insert(again_.end(), flight.tokens.begin(), flight.tokens.end());
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
  if (budget_gate_ && host_.budget->turn() && std::exchange(held_, false)) {
    host_.queue.markBacklog();  // What waited for the new day lets go first what comes in it.
  }
  if (held_) dropOverBudget();
  if (held_ && host_.budget->open()) held_ = false;
  count();
  pump();
}

void Forwarder::unhold() {
  held_ = held_ && !host_.budget->open();
  pump();
}

void Forwarder::count() const {
  if (host_.traffic == nullptr) return;
  std::uint64_t arrived = host_.queue.messages() + acknowledged();
  for (std::size_t i = 0; i < kStoreDrops; ++i)
    arrived += host_.queue.dropped(static_cast<StoreDrop>(i));
  host_.traffic->count(arrived, acknowledged(), host_.clock.bootNs());
}

std::int64_t Forwarder::patienceMs() const {
  constexpr std::int64_t kNsPerMs = 1'000'000;
  const std::int64_t now_ns = host_.clock.bootNs();
  std::int64_t patience = 1'000;
  const auto within = [&](std::int64_t ns) {
    patience = std::clamp<std::int64_t>((ns + kNsPerMs - 1) / kNsPerMs, 1, patience);
  };
  if (paused_until_ns_ != 0) within(paused_until_ns_ - now_ns);
  const std::int64_t packs_ns = took_ns_ + options_.pack.wait_ms * kNsPerMs;
  if (options_.pack.on && !taking_ && packs_ns > now_ns && host_.queue.messages() > 0)
    within(packs_ns - now_ns);
  if (starved_ && taking_) within(1'000 * kNsPerMs / options_.backlog_per_s);
  return patience;
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
bool Forwarder::mayTake() const {
  if (!up_ || paused_until_ns_ != 0 || held_ || waiting_ > 0) return false;
  if (in_flight_.size() > options_.window / 2) return false;
  if (options_.pack.on && !worthAPack()) return false;
  return in_flight_.empty() || flight_.room() >= std::max(mean_bytes_, flight_.window() / 2);
}

bool Forwarder::worthAPack() const {
  return host_.clock.bootNs() - took_ns_ >= options_.pack.wait_ms * 1'000'000 ||
         host_.queue.bytes() >= kPackWaitingBytes + flight_.inFlight();
}

void Forwarder::takeMore() {
  const std::uint32_t backlog = backlog_.available(host_.clock.bootNs());
  if (taking_ && !(starved_ && backlog > 0)) return;
  if (!mayTake()) return;
  flush();  // Into the same group: one transaction numbers the next and removes the last.
  const std::uint64_t room = std::max(flight_.room(), mean_bytes_);
  const std::uint64_t most =
      options_.pack.on ? kTakeMessagesMax : options_.window - in_flight_.size();
  TakeRequest request;
  request.messages_max = static_cast<std::uint32_t>(std::min(most, room / mean_bytes_));
  // What is packed or compressed takes less on the way than in the store.
  const bool smaller =
      options_.pack.on || options_.pack.compression != PackRules::Compression::kNone;
  request.bytes_max =
      smaller ? kTakeBytesMax
              : static_cast<std::uint32_t>(std::min<std::uint64_t>(room, kTakeBytesMax));
  request.numbering = Numbering::kNumbers;
  request.backlog_max = backlog;
  if (options_.pack.on) request.grouping = TakeRequest::Grouping::kBySource;
  request.gate = budget_gate_;
  taking_ = true;
  starved_ = backlog == 0;
  host_.queue.take(request, [gate = gate_, budget = budget_gate_, this,
                             take = ++takes_](Result<TakenBatch> batch) {
    if (budget != nullptr && !batch.has_error()) budget->handedOut();
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
  if (!batch->messages.empty()) took_ns_ = host_.clock.bootNs();
  if (batch->held) {
    // What it waited for may have come while the batch was on its way here.
    host_.budget->turn();
    held_ = !host_.budget->open();
  }
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

// Nobody will pay for it: what a whole day's budget could not carry, beside what comes in that day.
void Forwarder::dropOverBudget() {
  if (options_.at_budget != ForwarderOptions::AtBudget::kDropLowest || dropping_) return;
  const BudgetStatus budget = host_.budget->status();
  if (!budget.reached) return;
  double most = std::numeric_limits<double>::max();
  if (budget.limits.messages_per_day != 0)
    most = static_cast<double>(budget.limits.messages_per_day) / mean_blocks_;
  if (budget.limits.bytes_per_day != 0)
    most = std::min(most, static_cast<double>(budget.limits.bytes_per_day) / mean_metered_);
  if (static_cast<double>(host_.queue.messages()) <= most) return;
  dropping_ = true;
  const auto keep = static_cast<std::uint64_t>(most);
  host_.queue.dropBeyond(keep, StoreDrop::kBudget, [gate = gate_, this] {
    const std::lock_guard lock(gate->mutex);
    if (gate->client != nullptr) gate->client->post([this] { dropping_ = false; });
  });
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
    const std::size_t count = sendNext(std::span(batch.messages).subspan(next_));
    if (paused_until_ns_ != 0) return;  // All that waited was put back.
    next_ += count;
    waiting_ -= count;
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

// How many of them are done with; 0: they are tried again one by one.
std::size_t Forwarder::sendNext(std::span<const TakenMessage> messages) {
  std::size_t length = 1;
  if (options_.pack.on && messages[0].number > alone_through_)
    length = packLength(messages, options_.pack, packed_);
  const auto these = messages.first(length);
  const Result<Publication> publication = compose(these);
  std::string why;
  if (publication.has_error()) {
    why = publication.error().text;
  } else if (budget_gate_ && host_.budget->overADay(host_.budget->costOf(metered_))) {
    why = "larger than the budget of a day";
  } else {
    sizeUp(these, *publication);
    const Status status = handOver(these, *publication);
    if (!status.has_error()) return length;
    why = status.error().text;
    if (status.error().code == Errc::kUnavailable) {
      for (const TakenMessage& message : these) again_.push_back(message.token);
      next_ += length;  // Not to be put back twice.
      pause(why);
      return length;
    }
  }
  if (length > 1) {
    alone_through_ = these.back().number;
    return 0;
  }
  giveUp(messages[0].token, messages[0].number, why);
  return 1;
}

Result<Publication> Forwarder::compose(std::span<const TakenMessage> messages) {
  WallTime worth = WallTime::kTrusted;
  for (const TakenMessage& message : messages) {
    if (wallTimeOf(message) == WallTime::kUntrusted) worth = WallTime::kUntrusted;
  }
  KANTE_TRY(publication, messages.size() == 1 ? writer_.write(messages[0], worth)
                                              : writer_.writePack(messages, packed_, worth));
  metered_ = writer_.metered();
  if (options_.pack.compression != PackRules::Compression::kZstd ||
      !compressZstd(publication.payload, compressed_)) {
    return publication;
  }
  Publication smaller = writer_.compressed(std::move(publication), compressed_);
  if (budget_gate_) {
    const Budget::Spent before = host_.budget->costOf(metered_);
    const Budget::Spent after = host_.budget->costOf(writer_.metered());
    host_.budget->giveBack({before.messages - after.messages, before.bytes - after.bytes});
  }
  metered_ = writer_.metered();
  return smaller;
}

// Remembers how large messages are, for the next take and for the price report.
void Forwarder::sizeUp(std::span<const TakenMessage> messages, const Publication& publication) {
  const std::uint64_t wire = wireBytes(publication);
  const auto count = static_cast<double>(messages.size());
  mean_bytes_ = std::max<std::uint64_t>(1, (mean_bytes_ * 7 + wire / messages.size()) / 8);
  mean_metered_ += (static_cast<double>(metered_) / count - mean_metered_) / 8;
  const std::uint32_t meter =
      host_.budget != nullptr ? host_.budget->limits().meter_bytes : kPaidBlockBytes;
  mean_blocks_ += (static_cast<double>(meteredBlocks(metered_, meter)) / count - mean_blocks_) / 8;
  if (host_.traffic == nullptr) return;
  const std::int64_t now_ns = host_.clock.bootNs();
  host_.traffic->published(metered_, now_ns);
  for (const TakenMessage& message : messages) {
    std::uint64_t alone = metered_;
    // As it would be sent by itself; the publication at hand borrows from another writer's memory.
    if (messages.size() > 1) alone = 200 + packEntry(message).size();
    const std::uint64_t frame = kPackFrameBytes / 2;
    host_.traffic->sent(
        {message.record.source.telemetry_name, alone,
         alone > frame ? alone - frame + 6 * message.record.message.propertyCount() : alone},
        now_ns);
  }
}

Status Forwarder::handOver(std::span<const TakenMessage> messages, const Publication& publication) {
  const std::uint64_t number = messages.front().number;
  InFlight flight;
  for (const TakenMessage& message : messages) flight.tokens.push_back(message.token);
  flight.metered = metered_;
  flight.sent = flight_.sent(wireBytes(publication), host_.clock.bootNs());
  const FlightControl::Sent sent = flight.sent;
  in_flight_[number] = std::move(flight);  // Before publish(): an answer must find it.
  Status status = host_.client.publish(publication, number);
  if (status.has_error()) {
    in_flight_.erase(number);
    flight_.gone(sent);
  }
  in_flight_count_.store(in_flight_.size(), std::memory_order_relaxed);
  return status;
}

void Forwarder::answered(std::uint64_t number, std::uint8_t reason_code) {
  const auto it = in_flight_.find(number);
  if (it == in_flight_.end()) return;
  const InFlight flight = std::move(it->second);
  in_flight_.erase(it);
  flight_.acknowledged(flight.sent, host_.clock.bootNs());
  window_bytes_.store(flight_.window(), std::memory_order_relaxed);
  in_flight_count_.store(in_flight_.size(), std::memory_order_relaxed);
  constexpr std::uint8_t kNotAuthorized = 0x87;
  Verdict verdict = judge(reason_code);
  if (reason_code == kNotAuthorized &&
      options_.unauthorized == ForwarderOptions::Unauthorized::kGivenUp)
    verdict = Verdict::kNever;
  switch (verdict) {
    case Verdict::kDone:
      acknowledged_.fetch_add(flight.tokens.size(), std::memory_order_relaxed);
      if (pause_ms_ != kPauseFirstMs && paused_until_ns_ == 0) {
        pause_ms_ = kPauseFirstMs;
        const std::lock_guard lock(alarm_mutex_);
        alarm_.clear();
      }
      done_.insert(done_.end(), flight.tokens.begin(), flight.tokens.end());
      for (std::size_t i = 0; host_.on_arrived && i < flight.tokens.size(); ++i)
        host_.on_arrived(number + i);
      break;
    case Verdict::kNever:
      if (flight.tokens.size() == 1) {
        giveUp(flight.tokens[0], number, reasonText(reason_code));
        break;
      }
      // One of them is to blame, or their company: each is tried alone.
      alone_through_ = std::max(alone_through_, number + flight.tokens.size() - 1);
      again_.insert(again_.end(), flight.tokens.begin(), flight.tokens.end());
      break;
    case Verdict::kLater:
      again_.insert(again_.end(), flight.tokens.begin(), flight.tokens.end());
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
