#include "host/uplink/lost_reports.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "host/base/log.h"
#include "host/store/key_value.h"

namespace kante {
namespace {

// Of equal length, so that the store has them in order.
std::string keyOf(std::uint64_t number) { return fmt::format("{:020}", number); }

}  // namespace

LostReports::LostReports(Host host) : host_(std::move(host)), gate_(std::make_shared<Gate>()) {
  gate_->self = this;
}

LostReports::~LostReports() { close(); }

void LostReports::close() {
  const std::lock_guard lock(gate_->mutex);
  gate_->self = nullptr;
}

Status LostReports::load() {
  KANTE_TRY(pairs, host_.store.scan(kArea));
  for (auto& [key, text] : pairs) {
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(key.data(), key.data() + key.size(), number);
    if (parsed.ec != std::errc()) continue;
    Report& report = reports_[number];
    report.text = std::move(text);
    report.kept = true;
  }
  return {};
}

void LostReports::add(std::uint64_t number, std::string text, std::function<void()> then) {
  if (reports_.size() >= kReportsMax && !reports_.contains(number)) {
    host_.log.error("uplink", "too many reports of lost numbers wait: the oldest is given up",
                    {{"seq", std::to_string(reports_.begin()->first)}});
    erase(reports_.begin()->first);
  }
  Report& report = reports_[number];
  report.text = std::move(text);
  report.then = std::move(then);
  keep(number, report);
}

void LostReports::keep(std::uint64_t number, Report& report) {
  report.keeping = true;
  host_.store.apply({{kArea, keyOf(number), report.text}}, [gate = gate_, number](Status status) {
    const std::lock_guard lock(gate->mutex);
    LostReports* self = gate->self;
    if (self == nullptr) return;
    self->host_.post([self, number, status] { self->wasKept(number, status); });
  });
}

void LostReports::wasKept(std::uint64_t number, const Status& status) {
  const auto it = reports_.find(number);
  if (it == reports_.end()) return;
  it->second.keeping = false;
  if (status.has_error()) {
    failed_ = true;
    return;
  }
  it->second.kept = true;
  if (const auto then = std::exchange(it->second.then, nullptr)) then();
  send();
}

void LostReports::turn() {
  if (!std::exchange(failed_, false)) return;
  for (auto& [number, report] : reports_) {
    if (!report.kept && !report.keeping) keep(number, report);
  }
}

void LostReports::withdraw(std::uint64_t number) {
  const auto it = reports_.find(number);
  if (it != reports_.end() && !it->second.sent) erase(number);
}

void LostReports::linkUp() {
  for (auto& [number, report] : reports_) report.refused = false;
  send();
}

void LostReports::forgotten() {
  for (auto& [number, report] : reports_) report.sent = false;
  sent_ = 0;
}

void LostReports::send() {
  for (auto& [number, report] : reports_) {
    if (sent_ >= kInFlightMax) return;
    if (!report.kept || report.sent || report.refused) continue;
    const Status status = host_.publish(number, report.text);
    if (status.has_error()) return;  // Not connected: linkUp() comes here again.
    report.sent = true;
    ++sent_;
  }
}

void LostReports::answered(std::uint64_t number, std::uint8_t reason_code) {
  const auto it = reports_.find(number);
  if (it == reports_.end() || !it->second.sent) return;
  if (reason_code < 0x80) {
    erase(number);
  } else {
    host_.log.warn("uplink", "the broker refuses the report of a lost number; it is kept",
                   {{"seq", std::to_string(number)}, {"reason", std::to_string(reason_code)}});
    it->second.sent = false;
    it->second.refused = true;
    --sent_;
  }
  send();
}

void LostReports::erase(std::uint64_t number) {
  const auto it = reports_.find(number);
  if (it->second.sent) --sent_;
  const auto then = std::move(it->second.then);
  reports_.erase(it);
  host_.store.apply({{kArea, keyOf(number), std::nullopt}}, [](const Status&) {});
  if (then) then();
}

}  // namespace kante
