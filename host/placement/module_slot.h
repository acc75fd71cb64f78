// A module's name in the deployment: its lane and its life, over all instances that run under it.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "host/placement/instance.h"
#include "host/placement/module_host.h"

namespace kante {

// Control thread.
struct ModuleSlot {
  static constexpr std::uint32_t kBackoffFirstMs = 100;
  static constexpr std::uint32_t kBackoffLastMs = 30'000;
  static constexpr std::uint32_t kShortLivesMax = 20;  // In a row; then it is failed, left alone.
  static constexpr std::int64_t kLongLifeNs = 10'000'000'000;  // Is begun again at once.

  ModuleSpec spec;
  std::shared_ptr<Lane> lane;
  std::shared_ptr<Instance> instance;  // Null while none runs.
  // Being started in the place of one whose life ended, while nothing else changes.
  std::shared_ptr<Instance> coming;
  std::unique_ptr<boost::asio::steady_timer> coming_deadline;
  std::shared_ptr<void> desired_subscription;
  std::shared_ptr<void> methods;
  ModuleState state = ModuleState::kStopped;
  std::uint32_t restarts = 0;
  std::uint32_t short_lives = 0;
  std::string override_reason;  // Why it is not run at all; why elsewhere: spec.override_reason.
  std::string last_exit;
  std::uint32_t deaths = 0;  // Lives that nobody had asked to end.
  std::string complaint;     // Of the running instance; empty: it is well.
  std::int64_t started_wall_ns = 0;
  std::int64_t started_boot_ns = 0;
  std::unique_ptr<boost::asio::steady_timer> retry;
  // Of instances that are gone.
  std::uint64_t messages_in = 0;
  std::uint64_t messages_out = 0;

  std::uint32_t backoffMs() const {
    const std::uint32_t shift = short_lives > 10 ? 9 : short_lives > 0 ? short_lives - 1 : 0;
    const std::uint32_t ms = kBackoffFirstMs << shift;
    return ms > kBackoffLastMs ? kBackoffLastMs : ms;
  }
};

// An instance on its way out: draining, then being destroyed.  Control thread.
struct Retiring {
  std::string module;
  std::shared_ptr<Instance> instance;
  std::shared_ptr<void> methods;  // Calls that it has stay its own until it is gone.
  std::unique_ptr<boost::asio::steady_timer> deadline;
  std::function<void()> done;
  bool ending = false;
};

}  // namespace kante
