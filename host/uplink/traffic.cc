#include "host/uplink/traffic.h"

#include <algorithm>

namespace kante {
namespace {

constexpr double kDay = 86'400;

double real(std::uint64_t count) { return static_cast<double>(count); }

}  // namespace

double TrafficReport::drainSeconds(std::uint64_t waiting) const {
  if (waiting == 0) return 0;
  const double net = sent_per_s - messages_per_day / kDay;
  return net <= 0 ? -1 : real(waiting) / net;
}

void Traffic::Sum::add(const Sum& more) {
  messages += more.messages;
  blocks += more.blocks;
  free_blocks += more.free_blocks;
  bytes += more.bytes;
  packed_bytes += more.packed_bytes;
}

Traffic::Slice& Traffic::slice(std::int64_t now_ns) {
  if (slices_.empty() || now_ns - slices_.back().from_ns >= kSliceNs) {
    if (slices_.size() == kSlices) slices_.pop_front();
    Slice& made = slices_.emplace_back();
    made.from_ns = now_ns;
    made.arrived_from = arrived_;
    made.acknowledged_from = acknowledged_;
  }
  return slices_.back();
}

void Traffic::sent(const Message& message, std::int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  Slice& now = slice(now_ns);
  auto it = now.sources.find(message.source);
  if (it == now.sources.end()) {
    const bool room = now.sources.size() < kSourcesMax;
    it = now.sources.try_emplace(room ? std::string(message.source) : "others").first;
  }
  it->second.add({1, meteredBlocks(message.alone_bytes, kPaidBlockBytes),
                  meteredBlocks(message.alone_bytes, kFreeBlockBytes), message.alone_bytes,
                  message.packed_bytes});
}

void Traffic::published(std::uint64_t metered_bytes, std::int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  slice(now_ns).published.add({1, meteredBlocks(metered_bytes, kPaidBlockBytes),
                               meteredBlocks(metered_bytes, kFreeBlockBytes), metered_bytes, 0});
}

void Traffic::count(std::uint64_t arrived, std::uint64_t acknowledged, std::int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  if (slices_.empty()) {
    arrived_ = arrived;
    acknowledged_ = acknowledged;
  }
  slice(now_ns);
  // Two threads count, each with figures that are a moment old.
  arrived_ = std::max(arrived_, arrived);
  acknowledged_ = std::max(acknowledged_, acknowledged);
}

Traffic::Totals Traffic::totals() const {
  Totals totals;
  for (const Slice& slice : slices_) {
    totals.published.add(slice.published);
    for (const auto& [source, sum] : slice.sources) {
      totals.sources[source].add(sum);
      totals.all.add(sum);
    }
  }
  return totals;
}

// A pack is sent when it is full or when its time is over, and each source has its own.
BlocksPerDay Traffic::packedPerSecond(const Totals& totals, double rate) {
  constexpr double kFrame = 320;  // As kPackFrameBytes.
  BlocksPerDay packed;
  for (const auto& [source, sum] : totals.sources) {
    // Of those that arrive, this source has the share that it has of those that were sent.
    const double messages = rate * real(sum.messages) / real(totals.all.messages);
    const double bytes = messages * real(sum.packed_bytes) / real(sum.messages);
    const double by_time = std::min(messages, 1 / kPackSeconds);
    const double packs = std::max(by_time, bytes / (kPackBytes - kFrame));
    packed.paid += packs;
    packed.free += std::max(packs, (bytes + packs * kFrame) / kFreeBlockBytes + packs / 2);
  }
  return packed;
}

TrafficReport Traffic::report(std::int64_t now_ns) const {
  const std::lock_guard lock(mutex_);
  TrafficReport report;
  if (slices_.empty()) return report;
  const double basis_s = static_cast<double>(now_ns - slices_.front().from_ns) * 1e-9;
  if (basis_s <= 0) return report;
  report.basis_s = basis_s;
  const double rate = real(arrived_ - slices_.front().arrived_from) / basis_s;
  report.messages_per_day = rate * kDay;
  const Slice& recent = slices_.size() > 1 ? slices_[slices_.size() - 2] : slices_.back();
  const double recent_s = static_cast<double>(now_ns - recent.from_ns) * 1e-9;
  report.sent_per_s = real(acknowledged_ - recent.acknowledged_from) / recent_s;
  const Totals totals = this->totals();
  if (totals.all.messages == 0) return report;
  const double messages = real(totals.all.messages);
  const double scale = report.messages_per_day / messages;  // From those seen to those of a day.
  report.bytes_per_day = real(totals.published.bytes) * scale;
  report.blocks = {real(totals.published.free_blocks) * scale,
                   real(totals.published.blocks) * scale};
  report.alone = {real(totals.all.free_blocks) * scale, real(totals.all.blocks) * scale};
  const BlocksPerDay packed = packedPerSecond(totals, rate);
  report.packed = {packed.free * kDay, packed.paid * kDay};
  for (const auto& [source, sum] : totals.sources) {
    report.top.push_back({source, real(sum.messages) * scale, real(sum.blocks) * scale,
                          real(sum.blocks) / real(totals.all.blocks)});
  }
  std::sort(report.top.begin(), report.top.end(),
            [](const auto& a, const auto& b) { return a.blocks_per_day > b.blocks_per_day; });
  if (report.top.size() > kTopMax) report.top.resize(kTopMax);
  return report;
}

}  // namespace kante
