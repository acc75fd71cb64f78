// Counts what a batch will cost while it is taken, message by message, as it would be sent: alone,
// or packed with its neighbours.  Compression may make it cheaper, nothing makes it dearer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "host/store/durable_queue.h"
#include "host/uplink/budget.h"
#include "host/uplink/pack.h"
#include "host/uplink/telemetry.h"

namespace kante {

class BudgetGate final : public TakeGate {
 public:
  // The budget is shared with its forwarder, which may go while a batch is taken.
  BudgetGate(std::shared_ptr<Budget> budget, TelemetryWriter writer, PackRules rules)
      : budget_(std::move(budget)), writer_(std::move(writer)), rules_(rules) {}

  void begin() override;
  bool admit(const TakenMessage& message) override;
  void handedOut() { budget_->handedOut(); }

 private:
  bool admitPacked(const TakenMessage& message);

  const std::shared_ptr<Budget> budget_;
  TelemetryWriter writer_;
  const PackRules rules_;
  using Group = std::tuple<std::uint8_t, bool, std::string>;  // Priority, age, source.
  std::map<Group, std::uint64_t> open_;  // Bytes of the pack that the next one may go into.
};

}  // namespace kante
