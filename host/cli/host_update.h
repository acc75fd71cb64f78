// Another version of the host in a running gateway: taken as a bundle, tried, committed or undone.
//
// The host that takes it admits its bundle, lets modules save their states, notes the trial on disk
// and ends; its keeper starts the new one (sandbox/launcher/keeper.h), which commits itself once
// the deployment runs and has run for a while.  Control thread.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <optional>
#include <string>

#include "host/api/endpoints.h"
#include "host/api/status.h"
#include "host/base/events.h"
#include "host/base/result.h"
#include "host/cli/host_versions.h"

namespace boost::asio {
class io_context;
}

namespace kante {
class Agent;
class BundleStore;
class Log;
class ModuleHost;
}  // namespace kante

namespace kante::cli {

class HostUpdate {
 public:
  // For so long all that ran before has to run.
  static constexpr std::chrono::seconds kSteady{5};

  // All borrowed.
  struct Parts {
    boost::asio::io_context& control;
    Log& log;
    EventLog& events;
    BundleStore& bundles;
    ModuleHost& modules;
    Agent& agent;
    std::function<void(int exit_code)> leave;  // Ends this life; empty: there is no keeper.
  };
  HostUpdate(Parts parts, HostVersions& versions);

  // The deployment runs, or does not.
  void started(const Status& deployment);
  // A signed bundle, which has so many seconds to become healthy.
  void request(int fd, UpdateRequest request, std::function<void(Result<HostStatus>)> done);
  const HostStatus& status() const { return status_; }

 private:
  void say(EventLevel level, const std::string& kind, const std::string& text);
  void look();
  std::string unhealthy() const;
  void raiseFloor();
  void commit();
  void giveUp(const std::string& reason);

  Parts parts_;
  HostVersions& versions_;
  HostStatus status_;
  bool leaving_ = false;  // One is under way: what is noted on disk is its.
  boost::asio::steady_timer timer_;
  std::chrono::steady_clock::time_point steady_at_{};
};

}  // namespace kante::cli
