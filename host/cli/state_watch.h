// Makes events of what changes without telling anybody: the uplink, the deployment, drops.
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
class Store;
class Uplink;
}  // namespace kante

namespace kante::cli {

class StateWatch {
 public:
  // All borrowed; store and uplink may be null.
  struct Parts {
    EventLog& events;
    Agent& agent;
    ModuleHost& modules;
    Store* store = nullptr;
    Uplink* uplink = nullptr;
  };
  StateWatch(boost::asio::io_context& control, Parts parts);
  void start() { wait(); }
  void stop() { timer_.cancel(); }
  // Looks now.
  void look();

 private:
  void wait();
  void lookAtUplink();
  void lookAtDeployment();
  void lookAtStore();
  void lookAtDrops();

  struct Dropped {
    std::uint64_t reported = 0;
    int quiet = 0;  // Looks until it may be reported again.
  };
  boost::asio::steady_timer timer_;
  Parts parts_;
  std::string uplink_;
  std::string deployment_;
  bool store_failing_ = false;
  std::map<std::string, Dropped> dropped_;
};

}  // namespace kante::cli
