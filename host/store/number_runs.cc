#include "host/store/number_runs.h"

#include <algorithm>
#include <charconv>

#include "host/message/hop.h"

namespace kante {
namespace {

bool readNumber(std::string_view& text, std::uint64_t& out) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), out);
  if (read.ec != std::errc() || out == 0 || out > kOriginNumberMax) return false;
  text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
  return true;
}

}  // namespace

NumberRuns NumberRuns::parse(std::string_view text) {
  NumberRuns out;
  while (!text.empty()) {
    Run run;
    if (!readNumber(text, run.first)) return {};
    run.last = run.first;
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      if (!readNumber(text, run.last) || run.last <= run.first) return {};
    }
    if (!text.empty() && (text.front() != ',' || text.size() == 1)) return {};
    if (!text.empty()) text.remove_prefix(1);
    if (!out.runs_.empty() && run.first <= out.runs_.back().last + 1) return {};
    if (out.runs_.size() == kRunsMax) return {};
    out.runs_.push_back(run);
  }
  return out;
}

std::string NumberRuns::text() const {
  std::string out;
  for (const Run& run : runs_) {
    if (!out.empty()) out += ',';
    out += std::to_string(run.first);
    if (run.last != run.first) out += "-" + std::to_string(run.last);
  }
  return out;
}

bool NumberRuns::contains(std::uint64_t number) const {
  const auto after =
      std::upper_bound(runs_.begin(), runs_.end(), number,
                       [](std::uint64_t wanted, const Run& run) { return wanted < run.first; });
  return after != runs_.begin() && number <= (after - 1)->last;
}

bool NumberRuns::add(std::uint64_t number) {
  const auto next =
      std::upper_bound(runs_.begin(), runs_.end(), number,
                       [](std::uint64_t wanted, const Run& run) { return wanted < run.first; });
  const bool has_before = next != runs_.begin();
  const auto before = has_before ? next - 1 : next;
  if (has_before && number <= before->last) return true;
  const bool joins_before = has_before && before->last + 1 == number;
  const bool joins_next = next != runs_.end() && number + 1 == next->first;
  if (joins_before && joins_next) {
    before->last = next->last;
    runs_.erase(next);
  } else if (joins_before) {
    before->last = number;
  } else if (joins_next) {
    next->first = number;
  } else {
    if (runs_.size() >= kRunsMax && runs_[1].first + kBehind > number) return false;
    runs_.insert(next, {number, number});
    if (runs_.size() > kRunsMax) {
      runs_[1].first = runs_[0].first;
      runs_.erase(runs_.begin());
    }
  }
  return true;
}

}  // namespace kante
