// What is different where the module's code runs elsewhere: inputs that are on their way, events
// that end later, and a life that dies alone.
#include <algorithm>

#include "host/placement/instance.h"
#include "host/runtime/event_name.h"

namespace kante {

// ---- inputs

Consumer::Outcome Instance::keep(Delivery& delivery, kante_status status) {
  if (status == KANTE_E_AGAIN) {
    no_room_ = true;
    return Outcome::kAgain;
  }
  messages_in_.store(messages_in_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (status != KANTE_PENDING) return Outcome::kDone;  // It will never be heard of again.
  Sent& sent = sent_.add();
  sent.delivery = std::move(delivery);
  sent.token = 0;
  noteUnderWay(1);
  return Outcome::kKept;
}

void Instance::inputsHandled(std::uint32_t count) {
  for (; count > 0 && !sent_.empty(); --count) {
    const Sent handled = sent_.pop();
    // It was sent a while ago, so its head may have left the caches.
    if (!sent_.empty() && sent_.front().token == 0)
      __builtin_prefetch(sent_.front().delivery.message.get());
    if (handled.token != 0) continue;
    noteUnderWay(-1);
    const Delivery& delivery = handled.delivery;
    delivery.link->taken(static_cast<std::uint32_t>(delivery.message.bytes()));
  }
  if (sent_.empty() && (drain_ == Drain::kWanted || leave_ != Leave::kNo)) shard().runLater(*this);
}

// In their order: memory inputs to the front of the lane, durable ones to their queue.
void Instance::takeBackInputs() {
  std::vector<Delivery> back;
  while (!sent_.empty()) {
    Sent sent = sent_.pop();
    if (sent.token == 0) {
      back.push_back(std::move(sent.delivery));
      noteUnderWay(-1);
      continue;
    }
    Intake* intake = intakes_[TokenTable::inputOf(sent.token)].get();
    if (intake != nullptr && intake->claim(sent.token)) intake->notDelivered(sent.token);
  }
  if (!back.empty()) parts_.lane->giveBack(std::move(back));
}

void Instance::roomAgain() {
  if (phase_ == Phase::kEnded || !std::exchange(no_room_, false)) return;
  tellWritable();
  dispatchUnsent();
  if (no_room_ || phase_ == Phase::kEnded) return;
  if (ownsLane()) parts_.lane->resume();
  for (const auto& intake : intakes_) {
    if (intake) intake->wake();
  }
  shard().runLater(*this);
}

// ---- events

void Instance::tellWritable() {
  for (const std::uint32_t output : std::exchange(writable_, {})) {
    kante_event event{};
    event.struct_size = sizeof event;
    event.type = KANTE_EVENT_WRITABLE;
    event.id = output;
    if (parts_.life->onEvent(event) != KANTE_E_AGAIN) continue;
    no_room_ = true;
    writable_.push_back(output);
  }
}

// Its time is over: what it has emitted and found no room goes out now.
void Instance::flushEmitted() {
  ends_now_ = true;
  for (std::uint32_t i = 0; i < outputs_.size(); ++i) {
    if (std::exchange(outputs_[i].blocked, false)) writable_.push_back(i);
  }
  tellWritable();
}

void Instance::letOut() {
  onShard([this] {
    if (phase_ != Phase::kActive || !table_) return;
    flushEmitted();
    ends_now_ = false;
  });
}

void Instance::dispatchUnsent() {
  for (Event& event : std::exchange(unsent_, {})) dispatch(event);
}

bool Instance::isOwed(std::uint32_t type) const {
  return type == KANTE_EVENT_METHOD || type == KANTE_EVENT_HEALTH || type == KANTE_EVENT_SAVE ||
         type == KANTE_EVENT_RESTORE;
}

void Instance::eventEnded(std::uint32_t type, std::uint64_t token, kante_status status,
                          const std::string& text) {
  if (isOwed(type)) {
    const auto at = std::find_if(owed_.begin(), owed_.end(), [&](const Owed& owed) {
      return owed.type == type && owed.token == token;
    });
    if (at == owed_.end()) return;
    const auto after = std::move(at->after);
    owed_.erase(at);
    if (after) after(status, text);
    return;
  }
  if (status >= KANTE_OK) return;
  errors_.fetch_add(1, std::memory_order_relaxed);
  const std::size_t line = type == KANTE_EVENT_INPUT ? text.find('\n') : std::string::npos;
  const std::string why = line == std::string::npos ? text : text.substr(line + 1);
  const std::string what =
      line == std::string::npos ? eventName(type) : "an input from " + text.substr(0, line);
  log(3, what + " answered " + statusName(status) + (why.empty() ? "" : ": " + why));
}

kante_status Instance::emitted(std::uint32_t output, MessageRef& message, std::uint8_t hops,
                               std::uint64_t token) {
  if (output >= outputs_.size()) return KANTE_E_NOT_FOUND;
  if (foreign_closed_) {  // Its state is saved, and nothing may follow it.  Only the strand writes
                          // it.
    outputs_[output].blocked = true;
    return KANTE_E_AGAIN;
  }
  if (phase_ == Phase::kEnded) dropped_no_route_.fetch_add(1, std::memory_order_relaxed);
  return route(output, message, hops, token, ends_now_ ? Credit::kIgnored : Credit::kNeeded);
}

// Counted where it would have been counted as delivered.
void Instance::lost(std::uint32_t output, const MessageRef& message) {
  ++lost_;
  const OutputRoutes* routes = output < outputs_.size() ? outputs_[output].routes : nullptr;
  if (routes == nullptr) {
    dropped_no_route_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const std::vector<Target>& targets =
      routes->unconditional ? routes->always : conditionalTargets(outputs_[output], message);
  for (const Target& target : targets)
    count(table_->counts(target.route).dropped, DropReason::kEnded);
}

void Instance::violated(const std::string& what) {
  log(3, what);
  parts_.control(
      [self = shared_from_this(), what] { self->parts_.event("module.violation", what); });
}

void Instance::together(const std::function<void()>& work) {
  const StoreDoor::Scope scope(door_);
  work();
}

// ---- the end that nobody asked for

// The input that it was handling: one failed attempt where it is durable.  A memory route delivers
// at most once, so there it goes to quarantine, where people find it.
void Instance::blameInput(const LifeEnd& end) {
  if (!end.in_input || sent_.empty()) return;
  const Sent sent = sent_.pop();
  const std::string why = who_ + " ended while it handled it: " + end.reason;
  if (sent.token != 0) {
    Intake* intake = intakes_[TokenTable::inputOf(sent.token)].get();
    if (intake != nullptr && intake->claim(sent.token))
      intake->settled(sent.token, KANTE_E_INTERNAL, why);
    return;
  }
  const Delivery& delivery = sent.delivery;
  noteUnderWay(-1);
  count(delivery.link->dropped, DropReason::kQuarantine);
  parts_.control([self = shared_from_this(), message = delivery.message, hop = delivery.hop, why] {
    if (self->parts_.set_aside) self->parts_.set_aside(message, hop, why);
  });
  delivery.link->taken(static_cast<std::uint32_t>(delivery.message.bytes()));
}

void Instance::answerOpenCalls(const std::string& why) {
  std::map<std::uint64_t, std::uint64_t> open;
  {
    const std::lock_guard lock(calls_mutex_);
    open.swap(calls_);
  }
  for (const auto& [token, call_id] : open) refuseCall(call_id, 503, why);
}

void Instance::died(const LifeEnd& end) {
  if (phase_ == Phase::kEnded) return;
  if (phase_ != Phase::kActive) return fail({Errc::kState, end.reason});
  if (lost_ > 0) {
    parts_.log.warn(who_, std::to_string(lost_) +
                              " messages that it sent waited for room when it "
                              "ended, and are lost (dropped, reason ended)");
  }
  if (ownsLane()) parts_.lane->release(*this);
  died_ = true;
  blameInput(end);
  answerOpenCalls("the module ended before it answered: " + end.reason);
  endSave(nullptr);
  close();
  if (drain_ == Drain::kWanted || drain_ == Drain::kSent) {
    drain_ = Drain::kSent;
    drained();
  }
  parts_.control([self = shared_from_this(), end] {
    if (self->callbacks_.died) self->callbacks_.died(self.get(), end);
  });
}

}  // namespace kante
