// The extensions: what a module asks for, handed to the control thread, answered by DONE.
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>

#include "host/base/clock.h"
#include "host/placement/instance.h"

namespace kante {

void Instance::done(std::uint64_t token, kante_status status) {
  onShard([this, token, status] {
    Event event;
    event.open = &open_dones_;
    event.event.type = KANTE_EVENT_DONE;
    event.event.token = token;
    event.event.status = status;
    postEvent(std::move(event));
  });
}

// Bounded: answers must be delivered before much more may be asked.
bool Instance::takeRequest(std::uint64_t bytes) {
  if (requests_.fetch_add(1, std::memory_order_relaxed) < kRequestsMax &&
      takeBytes(request_bytes_, bytes))
    return true;
  requests_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

bool Instance::takeBytes(std::atomic<std::uint64_t>& of, std::uint64_t bytes) {
  if (of.fetch_add(bytes, std::memory_order_relaxed) + bytes <= kRequestBytesMax) return true;
  of.fetch_sub(bytes, std::memory_order_relaxed);
  return false;
}

// `message` is what goes along with it.
kante_status Instance::request(std::uint64_t token, const MessageRef& message,
                               std::function<void(ModuleServices::Answer)> ask) {
  const std::uint64_t bytes = message ? message.bytes() : 0;
  if (!takeRequest(bytes)) return KANTE_E_AGAIN;
  parts_.control([self = shared_from_this(), token, bytes, ask = std::move(ask)] {
    ask([self, token, bytes](kante_status status, MessageRef result, std::uint64_t arg) {
      self->request_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
      if (token != 0) return self->answered(token, status, std::move(result), arg, {});
      self->requests_.fetch_sub(1, std::memory_order_relaxed);
    });
  });
  return KANTE_OK;
}

// Control thread.  A result for which there is no room is left out.  A descriptor whose event is
// never handed over closes with it.
void Instance::answered(std::uint64_t token, kante_status status, MessageRef result,
                        std::uint64_t arg, FileDescriptor descriptor) {
  if (result && !takeBytes(result_bytes_, result.bytes())) {
    result = MessageRef();
    status = KANTE_E_LIMIT;
  }
  auto shared = descriptor ? std::make_shared<FileDescriptor>(std::move(descriptor)) : nullptr;
  onShard(
      [this, token, status, arg, result = std::move(result), shared = std::move(shared)]() mutable {
        Event event;
        event.open = &requests_;
        event.event.type = KANTE_EVENT_DONE;
        event.event.token = token;
        event.event.status = status;
        event.event.arg = arg;
        event.message = std::move(result);
        event.descriptor = std::move(shared);
        postEvent(std::move(event));
      });
}

kante_status Instance::report(kante_msg* patch, std::uint64_t token) {
  const MessageRef message = MessageRef::retain(patch);
  return request(token, message, [this, message](ModuleServices::Answer answer) {
    parts_.services.report(parts_.spec.name, message, std::move(answer));
  });
}

kante_status Instance::reply(std::uint64_t token, std::int32_t code, kante_msg* result) {
  std::uint64_t call_id = 0;
  {
    const std::lock_guard lock(calls_mutex_);
    const auto at = calls_.find(token);
    if (at == calls_.end()) return KANTE_E_CANCELED;
    call_id = at->second;
    calls_.erase(at);
  }
  parts_.control([self = shared_from_this(), call_id, code, message = MessageRef::retain(result)] {
    self->parts_.services.reply(call_id, code, message);
  });
  return KANTE_OK;
}

kante_status Instance::storageGet(std::string_view key, std::uint64_t token) {
  return request(token, {}, [this, name = std::string(key)](ModuleServices::Answer answer) {
    parts_.services.storageGet(parts_.spec.name, name, std::move(answer));
  });
}

kante_status Instance::storagePut(std::string_view key, kante_msg* value, std::uint64_t token) {
  const MessageRef message = MessageRef::retain(value);
  return request(token, message,
                 [this, name = std::string(key), message](ModuleServices::Answer answer) {
                   parts_.services.storagePut(parts_.spec.name, name, message, std::move(answer));
                 });
}

kante_status Instance::storageErase(std::string_view key, std::uint64_t token) {
  return request(token, {}, [this, name = std::string(key)](ModuleServices::Answer answer) {
    parts_.services.storageErase(parts_.spec.name, name, std::move(answer));
  });
}

kante_status Instance::invoke(std::string_view target, std::string_view name, kante_msg* arguments,
                              std::uint32_t timeout_ms, std::uint64_t token) {
  const MessageRef message = MessageRef::retain(arguments);
  return request(token, message,
                 [this, to = std::string(target), method_name = std::string(name), timeout_ms,
                  message](ModuleServices::Answer answer) {
                   if (!parts_.granted(to, method_name))
                     return answer(KANTE_E_DENIED, MessageRef(), 0);
                   parts_.services.invoke(parts_.spec.name, to, method_name, message, timeout_ms,
                                          std::move(answer));
                 });
}

kante_status Instance::open(std::string_view what, std::uint64_t token) {
  if (!parts_.open) return KANTE_E_UNSUPPORTED;
  if (!takeRequest(0)) return KANTE_E_AGAIN;
  parts_.control([self = shared_from_this(), token, wanted = std::string(what)] {
    // An answer may be long in coming, and what waits for it belongs to the instance.
    self->parts_.open(
        wanted, [weak = self->weak_from_this(), token](
                    kante_status status, DeviceOpener::Opened what_opened, const std::string& why) {
          if (const auto alive = weak.lock())
            alive->opened(token, status, std::move(what_opened), why);
        });
  });
  return KANTE_OK;
}

void Instance::opened(std::uint64_t token, kante_status status, DeviceOpener::Opened what,
                      const std::string& why) {
  boost::json::value body = nullptr;
  if (status < KANTE_OK) {
    body = boost::json::object{{"error", why}};
  } else if (what.space) {
    body = boost::json::object{{"total_bytes", what.space->total_bytes},
                               {"free_bytes", what.space->free_bytes},
                               {"available_bytes", what.space->available_bytes}};
  } else if (!what.fd) {
    body = boost::json::value_from(what.names);
  }
  MessageRef message;
  if (!body.is_null()) {
    if (auto text = jsonMessage(boost::json::serialize(body))) message = std::move(*text);
  }
  answered(token, status, std::move(message), 0, std::move(what.fd));
}

kante_status Instance::defer(std::uint32_t ms) {
  if (ms > parts_.spec.defer_max_s * std::uint64_t{1000}) return KANTE_E_LIMIT;
  deferred_until_ns_ = SystemClock().bootNs() + std::int64_t{ms} * 1'000'000;
  return KANTE_OK;
}

void Instance::log(std::uint32_t level, std::string_view text) {
  constexpr std::size_t kTextMax = 4096;
  std::uint64_t suppressed = 0;
  if (!log_limit_.take(SystemClock().bootNs(), &suppressed)) return;
  if (suppressed > 0) {
    parts_.log.warn(who_, "left out " + std::to_string(suppressed) + " lines: too many a second");
  }
  parts_.log.write(static_cast<LogLevel>(level > 4 ? 4 : level), who_, text.substr(0, kTextMax));
}

void Instance::explain(kante_status code, std::string_view text) {
  constexpr std::size_t kTextMax = 512;
  if (code >= 0 || !onStrand()) return;
  explanation_ = text.substr(0, kTextMax);
}

kante_status Instance::defineMetric(std::string_view name, std::uint32_t kind, std::uint32_t* id) {
  return metrics_.define(name, kind, id);
}
void Instance::addMetric(std::uint32_t id, std::int64_t delta) { metrics_.add(id, delta); }
void Instance::recordMetric(std::uint32_t id, double value) { metrics_.record(id, value); }

// ---- timers
// ------------------------------------------------------------------------------------------

std::uint64_t Instance::nowNs() { return static_cast<std::uint64_t>(SystemClock().bootNs()); }

kante_status Instance::setTimer(std::uint32_t id, std::uint64_t first_ns, std::uint64_t period_ns) {
  constexpr std::uint64_t kFarthestNs = 366ull * 86'400 * 1'000'000'000;
  if (id >= kTimers || first_ns > kFarthestNs || period_ns > kFarthestNs) return KANTE_E_INVALID;
  const std::int64_t due = SystemClock().bootNs() + static_cast<std::int64_t>(first_ns);
  const auto set = [this, id, due, period_ns] {
    if (phase_ == Phase::kEnded) return;
    auto& slot = timers_[id];
    if (!slot) slot = std::make_unique<ModuleTimer>(shard().reactor());
    slot->next_ns = due;
    slot->period_ns = period_ns;
    slot->serial = ++timer_serial_;
    slot->pending = false;  // An event of the earlier setting that still waits is dropped.
    armTimer(id);
  };
  if (onStrand()) {
    set();
  } else {
    onShard(set);
  }
  return KANTE_OK;
}

kante_status Instance::cancelTimer(std::uint32_t id) {
  if (id >= kTimers) return KANTE_E_INVALID;
  if (onStrand()) {
    timers_.erase(id);
  } else {
    onShard([this, id] { timers_.erase(id); });
  }
  return KANTE_OK;
}

// A shard's timers stand still while the machine sleeps; `next_ns` does not.  So a long wait is one
// of shorter ones, and after a sleep the timer is late by no more than that.
constexpr std::int64_t kTimerWaitNs = 60'000'000'000;

void Instance::armTimer(std::uint32_t id) {
  ModuleTimer& timer = *timers_[id];
  const std::int64_t wait_ns = timer.next_ns - SystemClock().bootNs();
  timer.timer.set(
      std::chrono::nanoseconds(std::clamp<std::int64_t>(wait_ns, 0, kTimerWaitNs)),
      [weak = weak_from_this(), id, serial = timer.serial] {
        const auto self = weak.lock();
        if (!self || self->phase_ == Phase::kEnded) return;
        const auto at = self->timers_.find(id);
        if (at == self->timers_.end() || at->second->serial != serial || at->second->pending)
          return;
        if (SystemClock().bootNs() < at->second->next_ns) return self->armTimer(id);
        at->second->pending = true;
        Event event;
        event.event.type = KANTE_EVENT_TIMER;
        event.event.id = id;
        event.event.arg = 1;
        self->postEvent(std::move(event));
      });
}

// Just before the TIMER event is handed over: how often it expired (0: cancelled), and when next.
std::uint64_t Instance::timerExpired(std::uint32_t id) {
  const auto at = timers_.find(id);
  if (at == timers_.end() || !at->second->pending) return 0;
  ModuleTimer& timer = *at->second;
  timer.pending = false;
  if (timer.period_ns == 0) return 1;
  const std::int64_t late_ns = SystemClock().bootNs() - timer.next_ns;
  const std::uint64_t times =
      1 + (late_ns > 0 ? static_cast<std::uint64_t>(late_ns) / timer.period_ns : 0);
  timer.next_ns += static_cast<std::int64_t>(timer.period_ns * times);
  armTimer(id);
  return times;
}

}  // namespace kante
