#include "host/cli/state_watch.h"

#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <utility>

#include "host/agent/agent.h"
#include "host/api/status.h"
#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/base/trusted_clock.h"
#include "host/placement/module_host.h"
#include "host/store/store.h"
#include "host/uplink/uplink.h"

namespace kante::cli {
namespace {

constexpr std::chrono::seconds kEvery{1};
// What keeps a clock right slews it by less between two looks.
constexpr std::int64_t kStepNs = 1'000'000'000;
constexpr int kDropsEvery = 60;  // Looks.

Event event(EventLevel level, std::string kind, std::string subject, std::string text) {
  Event out;
  out.level = level;
  out.kind = std::move(kind);
  out.subject = std::move(subject);
  out.text = std::move(text);
  return out;
}

}  // namespace

StateWatch::StateWatch(boost::asio::io_context& control, Parts parts)
    : timer_(control), parts_(parts) {}

void StateWatch::wait() {
  timer_.expires_after(kEvery);
  timer_.async_wait([this](const boost::system::error_code& failed) {
    if (failed) return;
    look();
    wait();
  });
}

void StateWatch::look() {
  lookAtDeployment();
  lookAtUplink();
  lookAtClock();
  lookAtStore();
  lookAtDrops();
}

void StateWatch::lookAtUplink() {
  if (parts_.uplink == nullptr) return;
  const UplinkStatus now = parts_.uplink->status();
  lookAtBudget(now);
  const std::string state =
      now.state == "connecting" && !uplink_.empty() ? "disconnected" : now.state;
  if (state == uplink_ || state == "connecting") return;
  uplink_ = state;
  if (state == "connected") {
    Event up = event(EventLevel::kInfo, "uplink.connected", "uplink", "The uplink is connected");
    up.fields = {{"backlog_messages", std::to_string(now.backlog_messages)}};
    parts_.events.add(std::move(up));
  } else {
    parts_.events.add(
        event(EventLevel::kWarn, "uplink." + state, "uplink",
              "The uplink is " + state + (now.reason.empty() ? "" : ": " + now.reason)));
  }
}

void StateWatch::lookAtBudget(const UplinkStatus& uplink) {
  if (uplink.budget.reached == std::exchange(budget_reached_, uplink.budget.reached)) return;
  Event change = uplink.budget.reached ? event(EventLevel::kWarn, "uplink.budget_reached", "uplink",
                                               "The day's budget of the uplink is used up")
                                       : event(EventLevel::kInfo, "uplink.budget_renewed", "uplink",
                                               "A new day's budget of the uplink begins");
  change.fields = {{"messages", std::to_string(uplink.budget.messages_used)},
                   {"bytes", std::to_string(uplink.budget.bytes_used)},
                   {"resets_in_s", std::to_string(uplink.budget.resets_in_s)}};
  parts_.events.add(std::move(change));
}

void StateWatch::lookAtDeployment() {
  const DeploymentStatus now = parts_.agent.status();
  const std::string state = name(now.state);
  const std::string mark =
      state + ' ' + now.id + ' ' + std::to_string(now.version) + ' ' + now.reason;
  if (mark == deployment_ || now.state == DeploymentState::kNone) return;
  deployment_ = mark;
  const bool bad =
      now.state == DeploymentState::kFailed || now.state == DeploymentState::kRolledBack;
  Event change =
      event(bad ? EventLevel::kError : EventLevel::kInfo, "deployment." + state, "deployment",
            "Deployment " + now.id + " version " + std::to_string(now.version) + " is " + state +
                (now.reason.empty() ? "" : ": " + now.reason));
  change.fields = {{"id", now.id}, {"version", std::to_string(now.version)}};
  parts_.events.add(std::move(change));
}

void StateWatch::lookAtStore() {
  if (parts_.store == nullptr) return;
  const StoreStatus now = parts_.store->status();
  if (now.failing == store_failing_) return;
  store_failing_ = now.failing;
  parts_.events.add(now.failing ? event(EventLevel::kError, "store.failing", "store",
                                        "The store cannot be written: " + now.failure)
                                : event(EventLevel::kInfo, "store.recovered", "store",
                                        "The store can be written again"));
}

void StateWatch::lookAtClock() {
  if (parts_.wall == nullptr) return;
  if (const Status saved = parts_.wall->tick(); !saved && parts_.log != nullptr)
    parts_.log->warn("clock", saved.error().text);
  const Clock& clock = parts_.wall->clock();
  const std::int64_t offset_ns = clock.wallNs() - clock.bootNs();
  const std::int64_t step_ns = wall_offset_ns_ == 0 ? 0 : offset_ns - wall_offset_ns_;
  wall_offset_ns_ = offset_ns;
  if (step_ns > kStepNs || step_ns < -kStepNs) {
    parts_.events.add(event(EventLevel::kInfo, "clock.stepped", "clock",
                            "The wall clock was set " +
                                std::string(step_ns > 0 ? "forward" : "back") + " by " +
                                std::to_string(std::abs(step_ns) / 1'000'000'000) + " s"));
  }
  const ClockReading now = parts_.wall->read();
  if (now.trusted == clock_trusted_) return;
  clock_trusted_ = now.trusted;
  parts_.events.add(
      now.trusted ? event(EventLevel::kInfo, "clock.trusted", "clock", "The wall clock is trusted")
                  : event(EventLevel::kWarn, "clock.untrusted", "clock",
                          "The wall clock is not trusted: " + now.reason()));
}

void StateWatch::lookAtDrops() {
  for (const auto& [reason, count] : droppedTotals(parts_.modules, parts_.store)) {
    Dropped& before = dropped_[reason];
    if (before.quiet > 0) --before.quiet;
    if (count <= before.reported || before.quiet > 0) continue;
    const std::uint64_t more = count - before.reported;
    Event drops = event(EventLevel::kWarn, "messages.dropped", reason,
                        std::to_string(more) + (more == 1 ? " message" : " messages") +
                            " dropped, reason " + reason);
    drops.fields = {{"reason", reason}, {"total", std::to_string(count)}};
    parts_.events.add(std::move(drops));
    before = {count, kDropsEvery};
  }
}

}  // namespace kante::cli
