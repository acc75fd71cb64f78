#include "host/uplink/budget_gate.h"

namespace kante {
namespace {

// It has no number yet: none that will be given is longer.
constexpr std::uint64_t kNumberMax = 999'999'999'999;

}  // namespace

void BudgetGate::begin() {
  open_.clear();
  budget_->begin();
}

bool BudgetGate::admit(const TakenMessage& taken) {
  TakenMessage message = taken;
  message.number = message.dropped = kNumberMax;
  if (rules_.on) return admitPacked(message);
  if (writer_.write(message, WallTime::kUntrusted).has_error()) return true;  // Given up later.
  return budget_->admit(budget_->costOf(writer_.metered()));
}

bool BudgetGate::admitPacked(const TakenMessage& message) {
  std::uint64_t& open = open_[{message.token.priority, message.backlog,
                               std::string(message.record.source.telemetry_name)}];
  const std::uint64_t entry = packEntry(message).size() + 1;
  Budget::Spent before;
  std::uint64_t bytes = kPackFrameBytes + 1 + entry;
  if (open != 0 && open + entry <= rules_.bytes_max) {
    before = budget_->costOf(open);
    bytes = open + entry;
  }
  const Budget::Spent after = budget_->costOf(bytes);
  if (!budget_->admit({after.messages - before.messages, after.bytes - before.bytes})) return false;
  open = bytes;
  return true;
}

}  // namespace kante
