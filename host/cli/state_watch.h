// Makes events of what changes without telling anybody: the uplink, the deployment, the clock,
// drops; and lets the clock save what it must.
//
// Looks once a second; a drop is reported at most once a minute and reason.  Control thread only.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <map>
#include <string>

#include "host/base/events.h"

namespace kante {
class Agent;
class ModuleHost;
class Log;
class Store;
class TrustedClock;
class Uplink;
struct UplinkStatus;
}  // namespace kante

namespace kante::cli {

class StateWatch {
 public:
  // All borrowed; the last four may be null.
  struct Parts {
    EventLog& events;
    Agent& agent;
    ModuleHost& modules;
    Store* store = nullptr;
    Uplink* uplink = nullptr;
    TrustedClock* wall = nullptr;
    Log* log = nullptr;
  };
  StateWatch(boost::asio::io_context& control, Parts parts);
  void start() { wait(); }
  void stop() { timer_.cancel(); }
  // Looks now.
  void look();

 private:
  void wait();
  void lookAtUplink();
  void lookAtBudget(const UplinkStatus& uplink);
  void lookAtDeployment();
  void lookAtStore();
  void lookAtDrops();
  void lookAtClock();

  struct Dropped {
    std::uint64_t reported = 0;
    int quiet = 0;  // Looks until it may be reported again.
  };
  boost::asio::steady_timer timer_;
  Parts parts_;
  std::string uplink_;
  bool budget_reached_ = false;
  std::string deployment_;
  bool store_failing_ = false;
  bool clock_trusted_ = true;
  std::int64_t wall_offset_ns_ = 0;  // Wall less BOOTTIME at the last look; 0: not yet looked.
  std::map<std::string, Dropped> dropped_;
};

}  // namespace kante::cli
