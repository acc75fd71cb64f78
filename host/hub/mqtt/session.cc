#include "host/hub/mqtt/session.h"

#include <algorithm>

#include "host/hub/mqtt/connection.h"
#include "host/hub/mqtt/engine.h"

namespace kante::hub {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

}  // namespace

Session::Session(Engine& engine, std::string key, std::string client_id, std::uint64_t number,
                 std::uint64_t id)
    : engine_(engine),
      key_(std::move(key)),
      client_id_(std::move(client_id)),
      number_(number),
      id_(id) {}

Session::~Session() = default;

std::string Session::keyOf(std::string_view principal, std::string_view client_id) {
  std::string key(principal);
  key += '\0';  // In neither.
  key += client_id;
  return key;
}

void Session::attach(Connection* connection) {
  connection_ = connection;
  cancel();
  will_ = {};
  recordWill();
  ends_ns_ = will_ns_ = kNone;
  engine_.noteInterests(*this);
}

void Session::leave(WillIs will, std::int64_t now_ns) {
  connection_ = nullptr;
  engine_.noteInterests(*this);
  forgetQos0();
  if (will == WillIs::kGone) will_ = {};
  ends_ns_ = expiry_s_ == kForever ? kNone : now_ns + std::int64_t{expiry_s_} * kSecond;
  if (hasWill()) will_ns_ = now_ns + std::int64_t{will_.delay_s} * kSecond;
  const std::int64_t first = std::min(ends_ns_, will_ns_);
  if (will == WillIs::kDeferred && engine_.journal().isOpen()) return defer();
  recordSelf();
  if (first <= now_ns) return due();
  recordWill();
  if (first != kNone) engine_.timers().set(*this, first);
}

void Session::due() {
  const std::int64_t now = engine_.now();
  if (will_ns_ <= now || ends_ns_ <= now) publishWill();
  if (ends_ns_ <= now) return engine_.endSession(*this);
  if (ends_ns_ != kNone) engine_.timers().set(*this, ends_ns_);
}

void Session::publishWill() {
  will_ns_ = kNone;
  if (!hasWill()) return;
  const Will will = std::exchange(will_, {});
  recordWill();
  // Its grants may be others by now.
  if (!principal_->mayPublish(will.publication->topic()))
    return engine_.counters().of(Refusal::kDenied).add();
  if (!will.expiry_s) {
    engine_.publishFor(*principal_, will.publication);
    return;
  }
  engine_.publishFor(*principal_,
                     will.publication->expiring(engine_.now() + *will.expiry_s * kSecond));
}

bool Session::addFilter(std::string_view text, const SubscriptionOptions& options) {
  const auto at = std::find_if(filters_.begin(), filters_.end(),
                               [&](const Filter& one) { return one.text == text; });
  if (at != filters_.end()) {
    at->options = options;
    return false;
  }
  filters_.push_back({std::string(text), options, ++filter_numbers_});
  return true;
}

bool Session::hasFilter(std::string_view text) const {
  return std::any_of(filters_.begin(), filters_.end(),
                     [&](const Filter& one) { return one.text == text; });
}

void Session::offer(Outgoing&& message) {
  Counters& counters = engine_.counters();
  if (connection_ == nullptr && message.qos == mqtt::Qos::k0)
    return counters.of(Refusal::kOffline).add();
  const Limits& limits = engine_.limits();
  const std::uint32_t size = message.publication->size();
  if (queue_.size() >= limits.queue_messages || bytes_ + size > limits.queue_bytes ||
      engine_.isOverfull())
    return counters.of(Refusal::kOverflow).add();
  bytes_ += size;
  if (message.qos != mqtt::Qos::k0) {
    message.place = places_++;
    recordEntry(message);
  }
  queue_.push(std::move(message));
  if (connection_ != nullptr) engine_.flushLater(*connection_);
}

void Session::forgetQos0() {
  Fifo<Outgoing> kept;
  while (!queue_.empty()) {
    Outgoing message = queue_.pop();
    if (message.qos != mqtt::Qos::k0) {
      kept.push(std::move(message));
      continue;
    }
    bytes_ -= message.publication->size();
    engine_.counters().of(Refusal::kOffline).add();
  }
  queue_ = std::move(kept);
}

}  // namespace kante::hub
