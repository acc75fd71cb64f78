// All modules of a gateway and the routes between them: brings them from what runs now to what
// should.
//
// apply() starts new and changed instances beside the running ones, waits until each is ready,
// switches all routes at once, and only then drains and ends what is no longer wanted.  If a new
// instance fails, everything new is taken back and the old ones never noticed.  Lives on the
// control thread; modules run on shards.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/base/result.h"
#include "host/placement/module_spec.h"

namespace kante {

class MetricWriter;
class Shard;
namespace hub {
class Routing;
class GatewayDesk;
struct DeviceMessage;
}  // namespace hub

enum class ModuleState { kStarting, kRunning, kDraining, kStopped, kBackoff, kFailed };
const char* name(ModuleState state);
const char* name(Placement placement);

struct ModuleStatus {
  std::string name;
  std::string id;
  std::string version;
  std::string digest;
  Placement placement = Placement::kInProcess;
  ModuleState state = ModuleState::kStopped;
  std::uint32_t restarts = 0;
  int pid = 0;                   // The host's own for in-process modules.
  std::size_t shared_bytes = 0;  // Its rings, where it runs in a sandbox.
  std::string override_reason;   // Why it does not run as deployed; empty: it does.
  std::string last_exit;         // What ended the life before this one; empty: nothing did.
  std::uint32_t deaths = 0;      // Lives that nobody had asked to end.
  std::string complaint;         // What the running module says is wrong; empty: nothing.
  std::int64_t started_wall_ns = 0;
  std::uint64_t messages_in = 0;
  std::uint64_t messages_out = 0;
  std::uint64_t queued = 0;  // Waiting in its lane now.
  // Messages of this life that were not like the one before them from the same output, so that more
  // than a comparison had to check them; 1 an output is the least.
  std::uint64_t slow_seals = 0;
};

struct RouteStatus {
  std::string name;
  std::string text;
  std::uint64_t messages = 0;  // Handed to a sink.
  std::uint64_t dropped = 0;
};

struct ApplyReport {
  std::vector<std::string> started, stopped, replaced, untouched;  // Module names.
  SavedStates states;  // What those that were replaced gave to their successors.
};

// Reasons of DESIGN.md: ttl overflow stalled store_full budget denied no_route loop quarantine, and
// ended.
using DropCounts = std::map<std::string, std::uint64_t>;

class ModuleHost {
 public:
  virtual ~ModuleHost() = default;

  using Applied = std::function<void(Result<ApplyReport>)>;
  // One at a time (kState otherwise); `applied` is called on the control thread, once.
  virtual void apply(RuntimeTarget target, Applied applied) = 0;
  // Whether it would take an order now.  kTaken: another change is under way, which ends; kOver: it
  // shuts down.
  enum class Turn { kFree, kTaken, kOver };
  virtual Turn turn() const { return Turn::kFree; }

  // Asks running modules how they are now, besides the times at which they are asked anyway;
  // modules() tells the answers.
  virtual void askHealth() {}

  using Done = std::function<void(Status)>;
  virtual void restart(const std::string& name, Done done) = 0;
  virtual void stop(const std::string& name, Done done) = 0;
  virtual void start(const std::string& name, Done done) = 0;
  // To another placement, its state carried over; `reason` says why it is not the deployed one,
  // empty: it is.
  virtual void move(const std::string& name, Placement placement, const std::string& reason,
                    Done done) = 0;

  // ---- handing over to the next life of this process ----
  // What a target needs of the bound on loads, which count for a process's life.
  enum class Room { kEnough, kNextLife, kNever };
  virtual Room roomFor(const RuntimeTarget& target) const = 0;
  // What apply() would refuse before it loads anything.
  virtual Status check(const RuntimeTarget& target) = 0;
  struct Saved {
    SavedStates states;
    std::set<std::string> down;  // Did not run: had failed, or waited to be tried again.
  };
  using SavedAll = std::function<void(Result<Saved>)>;
  // Brings all modules to rest, senders before receivers: what waits for a module in memory is
  // handled, then it is asked for its state and gets no more events; one without a state is drained
  // and ended.  Then come resume() or shutDown().  On an error all goes on as before.
  virtual void saveAll(SavedAll saved) = 0;
  virtual void resume() = 0;

  // Drains and ends every module; after it nothing runs.  The last call.
  virtual void shutDown(std::function<void()> done) = 0;

  // The shards that are nobody's own, made if there are fewer yet: for sessions, which live there
  // until shutDown() ends them.
  virtual Result<std::vector<std::shared_ptr<Shard>>> shards() {
    return fail(Errc::kUnsupported, "this host has no shards");
  }

  // The ways between the topics of a broker on those shards and the routes, in their order; once.
  // From then on routes may name topics.
  // `below`: for the gateways below; null: there are none.  Outlives shutDown().
  virtual Result<std::vector<hub::Routing*>> serveTopics(hub::GatewayDesk* /*below*/) {
    return fail(Errc::kUnsupported, "this host has no routes for topics");
  }

  // After serveTopics(): telemetry of a device or module that came by no topic.  Done when every
  // queue on disk has it; kUnavailable and kLimit: try again later.
  virtual void sendTelemetry(const std::string& principal, hub::DeviceMessage message,
                             std::function<void(Status)> done);
  // The same for whoever reported a patch of its twin: a message of /twinChangeNotifications.
  virtual void twinChanged(const std::string& /*principal*/, const std::string& /*patch*/) {}

  virtual std::vector<ModuleStatus> modules() const = 0;
  virtual std::vector<RouteStatus> routes() const = 0;
  virtual DropCounts dropped() const = 0;
  virtual std::size_t loadsUsed() const = 0;  // Distinct digests loaded in this process's life.
  virtual std::size_t loadsMax() const = 0;   // Their bound.
  virtual void collect(MetricWriter& out) const = 0;
};

}  // namespace kante
