// What a module asks for: judged by the same bounds as in process, and told to the host.
#include <algorithm>
#include <bit>
#include <cstring>

#include "host/base/clock.h"
#include "sandbox/runner/port_call.h"

namespace kante {

// ---- frame

void RemotePort::drained() {
  const Call call(*this);
  if (drain_ != Drain::kSent) return;
  drain_ = Drain::kDone;
  outbox_.put({.kind = Frame::kDrained});
}

void RemotePort::log(std::uint32_t level, std::string_view text) {
  const Call call(*this);
  std::uint64_t suppressed = 0;
  if (outbox_.kept() >= kKeptMax || !log_limit_.take(SystemClock().bootNs(), &suppressed)) return;
  if (suppressed > 0) {
    const std::string line = "left out " + std::to_string(suppressed) + " lines: too many a second";
    outbox_.put({.kind = Frame::kLog, .id = 3, .text = line});
  }
  outbox_.put(
      {.kind = Frame::kLog, .id = std::min(level, 4u), .text = text.substr(0, kLogTextMax)});
}

void RemotePort::explain(kante_status code, std::string_view text) {
  if (code >= 0 || !onStrand()) return;
  explanation_ = text.substr(0, kExplanationMax);
}

// ---- requests

// Bounded: answers must be delivered before much more may be asked.
kante_status RemotePort::request(std::uint64_t token, const FrameOut& frame, kante_msg* message) {
  const Call call(*this);
  const std::size_t bytes = message == nullptr ? 0 : std::size_t{message->words} * 8;
  if (requests_.size() >= kRequestCredit || request_bytes_ + bytes > kRequestBytesCredit ||
      (token == 0 && outbox_.kept() >= kKeptMax))
    return KANTE_E_AGAIN;
  if (token != 0) {
    requests_.emplace(token, bytes);
    request_bytes_ += bytes;
  }
  FrameOut out = frame;
  out.token = token;
  if (message != nullptr) {
    out.words = message->data();
    out.word_count = message->words;
  }
  outbox_.put(out, message);
  return KANTE_OK;
}

kante_status RemotePort::report(kante_msg* patch, std::uint64_t token) {
  return request(token, {.kind = Frame::kReport}, patch);
}

kante_status RemotePort::reply(std::uint64_t token, std::int32_t code, kante_msg* result) {
  const Call call(*this);
  if (open_calls_.erase(token) == 0) return KANTE_E_CANCELED;
  outbox_.put({.kind = Frame::kReply,
               .status = code,
               .token = token,
               .words = result == nullptr ? nullptr : result->data(),
               .word_count = result == nullptr ? 0 : result->words},
              result);
  return KANTE_OK;
}

kante_status RemotePort::storageGet(std::string_view key, std::uint64_t token) {
  return request(token, {.kind = Frame::kStorageGet, .text = key}, nullptr);
}

kante_status RemotePort::storagePut(std::string_view key, kante_msg* value, std::uint64_t token) {
  return request(token, {.kind = Frame::kStoragePut, .text = key}, value);
}

kante_status RemotePort::storageErase(std::string_view key, std::uint64_t token) {
  return request(token, {.kind = Frame::kStorageErase, .text = key}, nullptr);
}

kante_status RemotePort::invoke(std::string_view target, std::string_view name,
                                kante_msg* arguments, std::uint32_t timeout_ms,
                                std::uint64_t token) {
  if (target.size() + name.size() > kTextMax) return KANTE_E_LIMIT;
  const std::string text = std::string(target) + std::string(name);
  return request(token,
                 {.kind = Frame::kInvoke,
                  .arg = timeout_ms | std::uint64_t{target.size()} << 32,
                  .text = text},
                 arguments);
}

// ---- timers

std::uint64_t RemotePort::nowNs() { return static_cast<std::uint64_t>(SystemClock().bootNs()); }

kante_status RemotePort::setTimer(std::uint32_t id, std::uint64_t first_ns,
                                  std::uint64_t period_ns) {
  constexpr std::uint64_t kFarthestNs = 366ull * 86'400 * 1'000'000'000;
  if (id >= Timers::kTimers || first_ns > kFarthestNs || period_ns > kFarthestNs)
    return KANTE_E_INVALID;
  const std::int64_t due_ns = SystemClock().bootNs() + static_cast<std::int64_t>(first_ns);
  Call call(*this);
  timers_.set(id, due_ns, period_ns);
  timersChanged();
  call.kickLoop();
  return KANTE_OK;
}

kante_status RemotePort::cancelTimer(std::uint32_t id) {
  if (id >= Timers::kTimers) return KANTE_E_INVALID;
  const Call call(*this);
  timers_.cancel(id);
  timersChanged();
  return KANTE_OK;
}

// ---- metrics

kante_status RemotePort::defineMetric(std::string_view name, std::uint32_t kind,
                                      std::uint32_t* id) {
  const Call call(*this);
  bool is_new = false;
  const kante_status status = metrics_.define(name, kind, id, &is_new);
  if (is_new) outbox_.put({.kind = Frame::kDefineMetric, .id = *id, .arg = kind, .text = name});
  return status;
}

void RemotePort::addMetric(std::uint32_t id, std::int64_t delta) {
  const Call call(*this);
  (void)metrics_.add(id, delta);
}

void RemotePort::recordMetric(std::uint32_t id, double value) {
  const Call call(*this);
  if (metrics_.setGauge(id, value) || !metrics_.isKnown(id) ||
      metrics_.kindOf(id) != MetricNames::kHistogram)
    return;
  if (outbox_.kept() >= kKeptMax) {  // The host has not listened for long.
    ++samples_left_out_;
    return;
  }
  if (samples_left_out_ > 0) {
    const std::string line =
        "left out " + std::to_string(std::exchange(samples_left_out_, 0)) + " samples of metrics";
    outbox_.put({.kind = Frame::kLog, .id = 3, .text = line});
  }
  outbox_.put({.kind = Frame::kRecordMetric, .id = id, .arg = std::bit_cast<std::uint64_t>(value)});
}

// What was added since the last time, with the lock held.
void RemotePort::tellMetrics() {
  if (!metrics_.isChanged() || outbox_.kept() >= kKeptMax) return;
  metrics_.takeChanges([this](std::uint32_t id, MetricNames::Change change) {
    if (change.delta != 0) {
      outbox_.put(
          {.kind = Frame::kAddMetric, .id = id, .arg = static_cast<std::uint64_t>(change.delta)});
    } else {
      outbox_.put({.kind = Frame::kRecordMetric,
                   .id = id,
                   .arg = std::bit_cast<std::uint64_t>(change.value)});
    }
  });
}

kante_status RemotePort::open(std::string_view what, std::uint64_t token) {
  {
    const Call call(*this);  // Before the answer can come.
    opens_.insert(token);
  }
  const kante_status status = request(token, {.kind = Frame::kOpen, .text = what}, nullptr);
  if (status == KANTE_OK) return status;
  const Call call(*this);
  opens_.erase(opens_.find(token));
  return status;
}

// ---- state and life

kante_status RemotePort::saveState(std::uint64_t token, std::uint64_t format, const void* data,
                                   std::size_t size) {
  const Call call(*this);
  if (token == 0 || token != save_token_) return KANTE_E_STATE;
  save_token_ = 0;
  // Whole words, the last of them filled up with zeros.
  auto words = std::make_unique<std::uint64_t[]>((size + 7) / 8);
  if (size > 0) std::memcpy(words.get(), data, size);
  const FrameOut frame = stateFrame(Frame::kSaved, token, format, words.get(), size);
  outbox_.put(frame, std::move(words));
  return KANTE_OK;
}

void RemotePort::ready() {
  const Call call(*this);
  if (std::exchange(said_ready_, true)) return;
  outbox_.put({.kind = Frame::kReady});
}

// The host judges again; what it would refuse has to be said at once.
kante_status RemotePort::defer(std::uint32_t ms) {
  const Call call(*this);
  if (ms > defer_max_ms_) return KANTE_E_LIMIT;
  outbox_.put({.kind = Frame::kDefer, .arg = ms});
  return KANTE_OK;
}

// Only in create(): asked for later it promises nothing.
void RemotePort::promisedReady() {
  if (onStrand() && creating_) promised_ready_ = true;
}

}  // namespace kante
