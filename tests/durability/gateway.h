// One gateway as a process: its folder, configuration and deployment, and how it is started and
// cut.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace kante::durability {

// What the programs are; all of one build.
struct Programs {
  std::string kante;
  std::string shim;
  std::string modules;  // The folder of the *.kmod.
  std::string keys;     // The folder of the development keys.
};

struct GatewaySetting {
  std::string order = "live-first";
  std::uint32_t window = 64;
  std::uint64_t max_bytes = 16u << 20;
  std::string full = "refuse";
  std::string sync = "always";
  std::uint32_t shards = 1;
  std::uint32_t burst = 2;  // Messages an output and tick.
  std::uint32_t period_us = 2'000;
  std::uint32_t bytes = 200;
  std::uint64_t count = 500;          // At most, an output and life.
  std::string placement = "sandbox";  // Of the modules.
  bool into_module = false;           // What a sends to high goes to b, too, by a durable route.
};

struct UplinkState {
  bool answered = false;
  bool modules_run = false;
  bool connected = false;
  std::string epoch;
  std::uint64_t seq = 0;
  std::uint64_t backlog = 0;
};

class Gateway {
 public:
  Gateway(Programs programs, std::string folder, std::string id, std::string broker_url);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Written for the next start.  A setting of the load is a new version of the deployment.
  void configure(const GatewaySetting& setting);
  // `orders` are for the load of this life (modules/load.cc).
  void start(const std::vector<std::string>& environment, const std::string& orders);
  // Deploys again, with the next version, in a process of its own that nobody waits for.
  void switchDeployment();
  // Returns true when it ended by itself within that time.
  bool waitForEnd(std::chrono::microseconds at_most);
  void signal(int number);
  // Kills it if need be and waits; the status of waitpid().
  int reap();
  // Removes all that it keeps: the next start begins a new epoch.
  void forget();
  UplinkState uplink() const;
  std::uint64_t waitingForModule() const;  // By that route.
  // Moves broken stores that it set aside out of its way; how many.
  std::uint64_t takeSetAside();

  const std::string& id() const { return id_; }
  const std::string& folder() const { return folder_; }
  // Where the load keeps its books: "ledger" and "delivered".
  std::string bookFolder() const { return folder_ + "/books"; }
  std::string dataDir() const { return folder_ + "/data"; }
  std::string log() const;

 private:
  void writeDeployment();

  const Programs programs_;
  const std::string folder_;
  const std::string id_;
  const std::string broker_url_;
  GatewaySetting setting_;
  std::uint64_t version_ = 0;
  pid_t pid_ = -1;
  int pidfd_ = -1;
  pid_t switcher_ = -1;
  std::uint64_t set_aside_ = 0;
};

}  // namespace kante::durability
