#include "host/uplink/budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <utility>

#include "host/base/clock.h"
#include "host/base/trusted_clock.h"

namespace kante {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

Budget::Spent operator+(Budget::Spent a, Budget::Spent b) {
  return {a.messages + b.messages, a.bytes + b.bytes};
}

std::uint64_t less(std::uint64_t from, std::uint64_t what) { return from - std::min(from, what); }

}  // namespace

Budget::Budget(BudgetLimits limits, Host host) : limits_(limits), host_(std::move(host)) {
  began_ns_ = saved_ns_ = host_.clock.bootNs();
  day_ = today();
}

Status Budget::load(std::string_view saved) {
  const std::lock_guard lock(mutex_);
  long long day = 0, elapsed = 0;
  unsigned long long messages = 0, bytes = 0;
  const std::string text(saved);
  if (std::sscanf(text.c_str(), "1 %lld %llu %llu %lld", &day, &messages, &bytes, &elapsed) != 4 ||
      elapsed < 0) {
    spent_ = reserved_ = limitSpent();
    reached_ = true;
    return fail(Errc::kCorrupt, "what was spent of the day's budget cannot be read: all of it");
  }
  day_ = day;
  elapsed_s_ = std::min<std::int64_t>(elapsed, kDaySeconds);
  spent_ = reserved_ = {messages, bytes};
  return {};
}

Budget::Spent Budget::limitSpent() const {
  return {limits_.messages_per_day == 0 ? kNoLimit : limits_.messages_per_day,
          limits_.bytes_per_day == 0 ? kNoLimit : limits_.bytes_per_day};
}

Budget::Spent Budget::costOf(std::uint64_t metered_bytes) const {
  const std::uint64_t blocks = (metered_bytes + limits_.meter_bytes - 1) / limits_.meter_bytes;
  return {std::max<std::uint64_t>(1, blocks), metered_bytes};
}

bool Budget::within(Spent sum, Spent bound) const {
  return (limits_.messages_per_day == 0 || sum.messages <= bound.messages) &&
         (limits_.bytes_per_day == 0 || sum.bytes <= bound.bytes);
}

bool Budget::overADay(Spent cost) const { return !within(cost, limitSpent()); }

void Budget::begin() {
  const std::lock_guard lock(mutex_);
  pending_ = {};
}

bool Budget::admit(Spent more) {
  const std::lock_guard lock(mutex_);
  if (!limited() || overADay(more)) return true;
  const Spent sum = spent_ + pending_ + more;
  if (!within(sum, limitSpent())) {
    reached_ = true;
    return false;
  }
  if (!within(sum, reserved_)) {
    wanted_ = sum;
    return false;
  }
  pending_ = pending_ + more;
  return true;
}

void Budget::handedOut() {
  const std::lock_guard lock(mutex_);
  spent_ = spent_ + std::exchange(pending_, {});
}

void Budget::spend(Spent more) {
  const std::lock_guard lock(mutex_);
  spent_ = spent_ + more;
}

void Budget::giveBack(Spent back) {
  const std::lock_guard lock(mutex_);
  spent_ = {less(spent_.messages, back.messages), less(spent_.bytes, back.bytes)};
}

std::int64_t Budget::today() const {
  if (host_.wall != nullptr && !host_.wall->trusted()) return kUnknown;
  return host_.clock.wallNs() / 1'000'000'000 / kDaySeconds;
}

std::int64_t Budget::elapsedS() const {
  return elapsed_s_ + (host_.clock.bootNs() - began_ns_) / 1'000'000'000;
}

bool Budget::newDay() {
  const std::int64_t now = today();
  if (day_ == kUnknown && now != kUnknown) {
    day_ = now;  // Which day it is became known; what was spent of it was spent.
    return false;
  }
  const bool later = now != kUnknown && now > day_;
  const bool counted = now == kUnknown || now < day_;
  if (!later && !(counted && elapsedS() >= kDaySeconds)) return false;
  if (now != kUnknown) {
    day_ = now;
  } else if (day_ != kUnknown) {
    ++day_;  // Or the true one would begin once more as soon as it is known.
  }
  began_ns_ = host_.clock.bootNs();
  elapsed_s_ = 0;
  spent_ = reserved_ = wanted_ = {};
  reached_ = false;
  fresh_ = true;
  return true;
}

bool Budget::turn() {
  if (!limited()) return false;
  bool began = false;
  {
    const std::lock_guard lock(mutex_);
    began = newDay();
  }
  reserve();
  return began;
}

bool Budget::open() const {
  const std::lock_guard lock(mutex_);
  return !reached_ && within(wanted_, reserved_);
}

void Budget::reserve() {
  Spent next;
  std::string save;
  {
    const std::lock_guard lock(mutex_);
    const Spent limit = limitSpent();
    const Spent part = {std::max<std::uint64_t>(1, limit.messages / 100),
                        std::max<std::uint64_t>(1, limit.bytes / 100)};
    const Spent half = {(part.messages + 1) / 2, (part.bytes + 1) / 2};
    const bool low = !within(spent_ + half, reserved_) || !within(wanted_, reserved_);
    const bool room = !within(limit, reserved_);
    const bool hourly = host_.clock.bootNs() - saved_ns_ > kSaveNs;
    if (saving_ || closed_ || !((low && room) || fresh_ || hourly)) return;
    const auto up = [](std::uint64_t spent, std::uint64_t more, std::uint64_t want,
                       std::uint64_t reserved, std::uint64_t most) {
      if (most == kNoLimit) return spent;
      return std::min(std::max({spent + more, want, reserved}), most);
    };
    next = {
        up(spent_.messages, part.messages, wanted_.messages, reserved_.messages, limit.messages),
        up(spent_.bytes, part.bytes, wanted_.bytes, reserved_.bytes, limit.bytes)};
    saving_ = true;
    fresh_ = false;
    saved_ns_ = host_.clock.bootNs();
    save = text(next);
  }
  host_.save(std::move(save), [self = shared_from_this(), next, day = day_](const Status& status) {
    {
      const std::lock_guard lock(self->mutex_);
      self->saving_ = false;
      if (status.has_error() || self->closed_ || self->day_ != day) return;
      self->reserved_ = next;
      if (self->host_.more) self->host_.more();
    }
  });
}

std::string Budget::text(Spent spent) const {
  return fmt::format("1 {} {} {} {}", day_, spent.messages, spent.bytes, elapsedS());
}

void Budget::close() {
  std::string save;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true) || !limited()) return;
    save = text(spent_ + pending_);
  }
  host_.save(std::move(save), [](const Status&) {});
}

BudgetStatus Budget::status() const {
  const std::lock_guard lock(mutex_);
  BudgetStatus status{limits_, spent_.messages, spent_.bytes, 0, reached_};
  const std::int64_t now = today();
  status.resets_in_s = now != kUnknown && now == day_
                           ? (day_ + 1) * kDaySeconds - host_.clock.wallNs() / 1'000'000'000
                           : std::max<std::int64_t>(0, kDaySeconds - elapsedS());
  return status;
}

}  // namespace kante
