// How the whole gateway is: what `kante status`, /v1/health and the dashboard show.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace kante {

class Agent;
class Clock;
class Distrust;
class Documents;
class EventLog;
class ModuleHost;
class RegisteredAccess;
class Store;
class TrustedClock;
class Uplink;
class ApiServer;
namespace hub {
class Broker;
class Children;
class Contract;
}  // namespace hub

// What sandboxed modules run in.
struct SandboxStatus {
  std::uint32_t tier = 0;  // 0: none.
  std::string limits;      // "cgroup2", "cgroup1", "rlimit"; empty: none.
  std::uint32_t minimum_tier = 0;
  std::string missing;  // Why they are refused; empty: they are not.
  std::string better;   // What to change for more; empty: nothing.
};

// What containers run in.
struct EngineView {
  bool used = false;  // A module is, or was, a container; nobody looks for an engine before.
  bool connected = false;
  std::string version;
  std::string why;  // It is not connected.
};

// Which version of the host runs, and what became of the last update.
struct HostStatus {
  std::string digest;  // Of its bundle; empty: that of the system.
  struct Update {
    std::string state;  // "trial", "committed", "failed"; empty: there was none in this life.
    std::string digest;
    std::string version;
    std::string reason;
  };
  Update update;
};

// All borrowed.
struct StatusParts {
  std::string gateway;
  const Clock& clock;
  std::int64_t started_boot_ns = 0;
  ModuleHost& modules;
  Agent& agent;
  EventLog& events;
  Store* store = nullptr;    // Null: keeps nothing.
  Uplink* uplink = nullptr;  // Null: kind "none".
  const ApiServer* server = nullptr;
  Distrust* distrust = nullptr;              // Null: signers are not judged again.
  const TrustedClock* wall = nullptr;        // Null: the wall clock is not judged.
  const SandboxStatus* sandbox = nullptr;    // Null: nobody asked for one.
  const RegisteredAccess* access = nullptr;  // Null: no devices.
  const HostStatus* host = nullptr;          // Null: it cannot be updated.
  const hub::Broker* broker = nullptr;       // Null: no device is served.
  const hub::Contract* contract = nullptr;   // The same.
  const hub::Children* children = nullptr;   // The same: of the gateways below.
  const Documents* documents = nullptr;      // Null: none is taken.
  std::string section = "{}";                // What a deployment changed of the configuration.
  std::string config = "{}";                 // [uplink], [hub], [store] and [log] with it, JSON.
  std::function<EngineView()> engine = {};   // Null: no containers.
};

// Messages that were dropped since the start, by reason, wherever that was.
std::map<std::string, std::uint64_t> droppedTotals(const ModuleHost& modules, const Store* store);

enum class Severity { kWarn, kFail };

// Something that is wrong and what a person can do about it.
struct Problem {
  Severity severity = Severity::kWarn;
  std::string about;  // "module/filter", "deployment", "loads", "uplink", "store", "clock",
                      // "sandbox", "host".
  std::string text;
  std::string hint;
};

// Worst first.  kFail: the gateway does not do what it was told to; a link that is down is kWarn,
// because that is what the store is for.
std::vector<Problem> problems(const StatusParts& parts);
// The object of CONTRACTS section 3, with "problems" added.
boost::json::object hostJson(const HostStatus& host);
boost::json::object statusJson(const StatusParts& parts);
// Everything that has metrics, as Prometheus reads it.
std::string metricsText(const StatusParts& parts);

}  // namespace kante
