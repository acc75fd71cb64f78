#include "tests/durability/checker.h"

#include <algorithm>
#include <functional>

namespace kante::durability {
namespace {

constexpr std::size_t kSamplesMax = 20;
constexpr std::uint64_t kNumberMax = 1u << 28;  // Beyond it a number is noise, not memory.

std::uint64_t digestOf(std::string_view a, std::string_view b) {
  const std::uint64_t digest =
      std::hash<std::string_view>()(a) * 31 + std::hash<std::string_view>()(b);
  return digest == 0 ? 1 : digest;
}

std::string numberText(std::string_view epoch, std::uint64_t seq) {
  return "epoch " + std::string(epoch.substr(0, 8)) + " seq " + std::to_string(seq);
}

template <typename Vector>
void growTo(Vector& vector, std::uint64_t index) {
  if (vector.size() <= index) vector.resize(index + 1);
}

}  // namespace

void Checker::violation(std::string text) {
  if (verdict_.samples.size() < kSamplesMax) verdict_.samples.push_back(std::move(text));
}

void Checker::arrived(const Arrival& arrival) {
  const std::lock_guard lock(mutex_);
  ++verdict_.arrivals;
  if (arrival.seq == 0 || arrival.seq > kNumberMax || arrival.epoch.empty()) {
    ++verdict_.foreign;
    return violation("a message without a number");
  }
  auto found = epochs_.find(arrival.epoch);
  if (found == epochs_.end()) found = epochs_.emplace(arrival.epoch, Epoch()).first;
  Epoch& epoch = found->second;
  epoch.dropped = std::max(epoch.dropped, arrival.dropped);
  growTo(epoch.digests, arrival.seq);
  const std::uint64_t digest = digestOf(arrival.id, arrival.body);
  std::uint64_t& known = epoch.digests[arrival.seq];
  if (known != 0) {
    ++verdict_.duplicates;
    ++duplicates_of_cut_;
    verdict_.duplicates_max_per_cut = std::max(verdict_.duplicates_max_per_cut, duplicates_of_cut_);
    const std::uint64_t reach = epoch.highest - arrival.seq + 1;
    verdict_.duplicates_reach_max = std::max(verdict_.duplicates_reach_max, reach);
    if (reach > reach_max_) {
      ++verdict_.duplicates_beyond_window;
      violation(numberText(arrival.epoch, arrival.seq) + " again, " + std::to_string(reach) +
                " behind the highest");
    }
    if (known != digest) {
      ++verdict_.changed;
      violation(numberText(arrival.epoch, arrival.seq) + " is another message the second time");
    }
    return;
  }
  known = digest;
  ++epoch.there;
  if (arrival.seq < epoch.highest) {
    ++verdict_.out_of_order;
    violation(numberText(arrival.epoch, arrival.seq) + " first after " +
              std::to_string(epoch.highest));
  }
  epoch.highest = std::max(epoch.highest, arrival.seq);
  arrivedFirst(arrival, digestOf(arrival.epoch, std::to_string(arrival.seq)));
}

void Checker::arrivedFirst(const Arrival& arrival, std::uint64_t place) {
  BodyName name;
  if (!parseBody(arrival.body, name) || name.number == 0 || name.number > kNumberMax) {
    ++verdict_.changed;
    return violation(numberText(arrival.epoch, arrival.seq) + " has a body that nobody wrote");
  }
  Source& from = source(name.run, name.source);
  growTo(from.place, name.number);
  if (from.place[name.number] != 0 && from.place[name.number] != place) {
    ++verdict_.renumbered;
    violation(numberText(arrival.epoch, arrival.seq) + " is a message that had another number");
  }
  const bool awaited = name.number < from.acknowledged.size() && from.acknowledged[name.number];
  if (from.place[name.number] == 0 && awaited) --acknowledged_missing_;
  from.place[name.number] = place;
  if (order_ == SourceOrder::kFifo && name.number < from.highest) {
    ++verdict_.source_out_of_order;
    violation(numberText(arrival.epoch, arrival.seq) + " overtook an earlier one of its source");
  }
  from.highest = std::max(from.highest, name.number);
}

void Checker::lost(std::string_view epoch, std::uint64_t seq, std::string_view reason) {
  const std::lock_guard lock(mutex_);
  ++verdict_.lost;
  violation(numberText(epoch, seq) + " is reported lost: " + std::string(reason));
}

void Checker::acknowledged(const LedgerRecord& record) {
  const std::lock_guard lock(mutex_);
  Source& from = source(record.run, record.source);
  growTo(from.acknowledged, record.number);
  if (from.acknowledged[record.number]) return;
  growTo(from.awaited, record.number);
  growTo(from.delivered, record.number);
  if (record.source == delivered_source_ && !from.delivered[record.number]) {
    from.awaited[record.number] = true;
    ++delivery_missing_;
  }
  from.acknowledged[record.number] = true;
  ++verdict_.acknowledged;
  if (record.number >= from.place.size() || from.place[record.number] == 0) ++acknowledged_missing_;
}

void Checker::delivered(const LedgerRecord& record) {
  const std::lock_guard lock(mutex_);
  Source& from = source(record.run, record.source);
  growTo(from.delivered, record.number);
  growTo(from.awaited, record.number);
  if (from.delivered[record.number]) {
    ++verdict_.redelivered;
    return;
  }
  from.delivered[record.number] = true;
  ++verdict_.delivered;
  if (from.awaited[record.number]) --delivery_missing_;
  if (record.number < from.delivered_highest) {
    ++verdict_.delivered_out_of_order;
    violation("a module got " + std::to_string(record.number) + " first after " +
              std::to_string(from.delivered_highest) + " of its source");
  }
  from.delivered_highest = std::max(from.delivered_highest, record.number);
}

void Checker::expectDelivery(std::uint32_t source) {
  const std::lock_guard lock(mutex_);
  delivered_source_ = source;
}

void Checker::expect(std::uint64_t reach, SourceOrder order) {
  const std::lock_guard lock(mutex_);
  reach_max_ = reach;
  order_ = order;
}

void Checker::cut() {
  const std::lock_guard lock(mutex_);
  duplicates_of_cut_ = 0;
}

std::uint64_t Checker::highest(const std::string& epoch) const {
  const std::lock_guard lock(mutex_);
  const auto found = epochs_.find(epoch);
  return found == epochs_.end() ? 0 : found->second.highest;
}

std::uint64_t Checker::arrivals() const {
  const std::lock_guard lock(mutex_);
  return verdict_.arrivals;
}

std::uint64_t Checker::acknowledgedMissing() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_missing_;
}

std::uint64_t Checker::droppedSoFar() const {
  std::uint64_t dropped = 0;
  for (const auto& [name, epoch] : epochs_) dropped += epoch.dropped;
  return dropped;
}

std::uint64_t Checker::unexplained() const {
  const std::lock_guard lock(mutex_);
  const std::uint64_t explained = missing_before_ + droppedSoFar() - dropped_before_;
  return acknowledged_missing_ - std::min(acknowledged_missing_, explained) + delivery_missing_ -
         std::min(delivery_missing_, delivery_missing_before_);
}

std::string Checker::missingInWords(std::size_t count) const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& [key, from] : sources_) {
    for (std::size_t number = 0; number < from.acknowledged.size(); ++number) {
      const bool there = number < from.place.size() && from.place[number] != 0;
      if (!from.acknowledged[number] || there) continue;
      if (count-- == 0) return text;
      text += " run " + std::to_string(key / 64) + " source " + std::to_string(key % 64) +
              " number " + std::to_string(number) + ";";
    }
  }
  return text;
}

void Checker::drained() {
  const std::lock_guard lock(mutex_);
  const std::uint64_t dropped = droppedSoFar();
  // What was missing at the last drain may have arrived since: then it was no loss but a late one.
  const std::uint64_t more =
      acknowledged_missing_ - std::min(acknowledged_missing_, missing_before_);
  const std::uint64_t explained = dropped - std::min(dropped, dropped_before_);
  if (more > explained) {
    verdict_.acknowledged_lost += more - explained;
    violation(std::to_string(more) + " acknowledged messages did not arrive, and " +
              std::to_string(explained) + " were dropped by policy");
  }
  if (delivery_missing_ > delivery_missing_before_) {
    verdict_.delivery_lost += delivery_missing_ - delivery_missing_before_;
    violation(std::to_string(delivery_missing_ - delivery_missing_before_) +
              " acknowledged messages did not come to the module");
  }
  delivery_missing_before_ = delivery_missing_;
  missing_before_ = acknowledged_missing_;
  dropped_before_ = dropped;
}

Verdict Checker::verdict() const {
  const std::lock_guard lock(mutex_);
  Verdict verdict = verdict_;
  verdict.epochs = epochs_.size();
  for (const auto& [name, epoch] : epochs_) {
    verdict.numbers += epoch.there;
    verdict.missing += epoch.highest - epoch.there;
    verdict.dropped_by_policy += epoch.dropped;
    for (std::uint64_t seq = 1; seq <= epoch.highest && verdict.samples.size() < kSamplesMax;
         ++seq) {
      if (epoch.digests[seq] == 0) verdict.samples.push_back(numberText(name, seq) + " is missing");
    }
  }
  verdict.acknowledged_missing = acknowledged_missing_;
  return verdict;
}

}  // namespace kante::durability
