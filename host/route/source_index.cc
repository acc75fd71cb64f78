#include "host/route/source_index.h"

#include <algorithm>
#include <bit>

namespace kante::route_detail {

void ValueIndex::add(std::string_view text, const Hit& hit) { added_.emplace_back(text, hit); }

void ValueIndex::freeze() {
  std::stable_sort(added_.begin(), added_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Entry> entries;
  for (const auto& [text, hit] : added_) {
    const bool same =
        !entries.empty() && text == std::string_view(entries.back().text, entries.back().size);
    if (!same) {
      entries.push_back({hashText(text), text.data(), static_cast<std::uint32_t>(text.size()),
                         static_cast<std::uint32_t>(hits_.size()), 0});
    }
    ++entries.back().count;
    hits_.push_back(hit);
  }
  added_ = {};
  if (entries.size() <= kScanMax) {
    entries_ = std::move(entries);
    return;
  }
  entries_.resize(std::bit_ceil(2 * entries.size()));
  mask_ = entries_.size() - 1;
  for (const Entry& entry : entries) {
    std::uint64_t place = entry.hash & mask_;
    while (entries_[place].count != 0) place = (place + 1) & mask_;
    entries_[place] = entry;
  }
}

std::span<const ValueIndex::Hit> ValueIndex::find(std::string_view text) const {
  const auto is = [&](const Entry& entry) {
    return entry.size == text.size() && std::memcmp(entry.text, text.data(), text.size()) == 0;
  };
  if (mask_ == 0) {
    for (const Entry& entry : entries_) {
      if (is(entry)) return {hits_.data() + entry.first, entry.count};
    }
    return {};
  }
  const std::uint64_t hash = hashText(text);
  for (std::uint64_t place = hash & mask_; entries_[place].count != 0;
       place = (place + 1) & mask_) {
    const Entry& entry = entries_[place];
    if (entry.hash == hash && is(entry)) return {hits_.data() + entry.first, entry.count};
  }
  return {};
}

void SourceIndex::match(Evaluation& evaluation) const {
  std::vector<std::uint32_t>& matched = evaluation.matched();
  matched.clear();
  if (!always.empty()) matched.assign(always.begin(), always.end());
  bool ordered = true;
  const auto take = [&](const ValueIndex::Hit& hit) {
    if (!hit.rest.empty() && !set->programs.isTrue(hit.rest, evaluation)) return;
    ordered = ordered && (matched.empty() || matched.back() < hit.route);
    matched.push_back(hit.route);
  };
  for (const ValueIndex& index : by_value) {
    const Value& value = evaluation.operand(index.operand());
    if (value.kind != ValueKind::kText) continue;
    for (const ValueIndex::Hit& hit : index.find(value.text())) take(hit);
  }
  for (const ValueIndex::Hit& other : others) take(other);
  if (!ordered) std::sort(matched.begin(), matched.end());
}

}  // namespace kante::route_detail
