// What should run and how messages should flow: the agent's order to the module host, already
// validated.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/placement/device_grant.h"

namespace kante {

enum class Placement { kInProcess, kSandbox, kContainer };
enum class Execution { kShared, kDedicated };
enum class Restart { kAlways, kOnFailure, kNever };
enum class Desire { kRunning, kStopped };
// What a route does when its sink takes no more.
enum class Overflow { kBlock, kSpill, kDropOldest, kDropNewest };
// What a full queue on disk does.
enum class RouteFull { kDropLowest, kRefuse };

// What a sandboxed module may use.  0: as much as there is; of threads, and of data, the sandbox's
// own default; of its rings kRingKbDefault.
struct ModuleLimits {
  static constexpr std::uint32_t kRingKbMin = 64;
  static constexpr std::uint32_t kRingKbDefault = 256;
  static constexpr std::uint32_t kRingKbMax = 4096;

  std::uint32_t memory_mb = 0;
  std::uint32_t cpu_percent = 0;  // Of one core.
  std::uint32_t threads = 0;
  std::uint32_t data_mb = 0;  // Of its /data.
  std::uint32_t ring_kb = 0;  // Of the way to the module, and of the way back.
  friend bool operator==(const ModuleLimits&, const ModuleLimits&) = default;
};

// What a container module is made of, as its deployment says.
struct ContainerSpec {
  enum class Pull { kOnCreate, kNever };  // Of an image that is not there.

  std::string image;  // Empty: the module is none.
  Pull pull = Pull::kOnCreate;
  std::map<std::string, std::string> env;
  std::string create_options =
      "{}";                         // Docker's create body: JSON text of an object, members sorted.
  std::vector<std::string> grants;  // "bind:/dev/shm": what its options may ask for.
  friend bool operator==(const ContainerSpec&, const ContainerSpec&) = default;
};

struct ModuleSpec {
  std::string name;  // Unique in the deployment.
  std::string
      digest;  // "sha256:…" of an admitted bundle in the bundle store; of a container empty.
  // From its manifest, as are version, inputs, outputs and methods; of a container the image's name
  // and tag, and none of the others, because any name will do.
  std::string id;
  std::string version;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<std::string> methods;
  Placement placement = Placement::kInProcess;
  ModuleLimits limits;
  Execution execution = Execution::kShared;
  Restart restart = Restart::kAlways;
  Desire desire = Desire::kRunning;
  std::string config = "{}";               // JSON text, serialised the same way for the same value.
  std::vector<std::string> start_after;    // Names that must be ready first.
  std::vector<std::string> method_grants;  // "module/sensor/reset": what it may invoke.
  std::vector<DeviceGrant> device_grants;  // Asked for and granted: what it may have opened.
  ContainerSpec container;
  std::uint32_t stop_ms = 5000;
  std::uint32_t defer_max_s = 0;    // How long it may hold up the deployment that replaces it.
  std::uint32_t start_ms = 30'000;  // From create() to ready().
  std::string override_reason;      // Why the placement is not the deployed one; empty: it is.
  std::string barred;               // Why it must not be started, whoever asks; empty: it may.

  // Whether a running instance can stay as it is.
  bool sameInstance(const ModuleSpec& other) const {
    return digest == other.digest && placement == other.placement && execution == other.execution &&
           config == other.config && desire == other.desire && limits == other.limits &&
           container == other.container && writesFiles() == other.writesFiles();
  }
  // Whether its sandbox must let files grow that the host hands it.
  bool writesFiles() const {
    return std::any_of(device_grants.begin(), device_grants.end(),
                       [](const DeviceGrant& grant) { return grant.kind == DeviceKind::kWrite; });
  }
};

struct RouteSpec {
  std::string name;
  std::string text;                  // FROM … WHERE … INTO …
  std::uint8_t priority = 9;         // 0 first, 9 last.
  std::uint32_t ttl_s = 0;           // 0: never expires.
  std::optional<bool> durable;       // Absent: by source and sink.
  std::optional<Overflow> overflow;  // Absent: block for memory, spill for durable routes.
  std::optional<RouteFull> full;     // Of a durable route.  Absent: the store's.
  bool queue_given = false;          // Absent: a durable route's queue has the store's bounds.
  std::uint32_t queue_messages = 1024;
  std::uint32_t queue_bytes = 16u << 20;
  std::uint32_t stall_ms = 1000;  // 0: never stalled.

  // Whether what a module sends by it into a module goes through the store.  ($upstream: always.)
  bool isDurable() const {
    return durable.value_or(overflow.value_or(Overflow::kBlock) == Overflow::kSpill);
  }
  // The same of what a client of the hub sends: unless the route says otherwise.
  bool isDurableForClients() const {
    return durable.value_or(overflow.value_or(Overflow::kSpill) == Overflow::kSpill);
  }
};

// What a module that does not start means: for a new deployment that all of it is refused, for the
// committed one at a start of the host that this module is tried again later while the others run.
enum class OnStartFailure { kRefuse, kBackOff };

// What a module gave to kante.state/1 for whoever runs under its name next.
struct SavedState {
  std::uint64_t format = 0;  // The module's own number.
  std::string bytes;
};
using SavedStates = std::map<std::string, std::shared_ptr<const SavedState>>;  // By module name.

struct RuntimeTarget {
  std::vector<ModuleSpec> modules;
  std::vector<RouteSpec> routes;
  OnStartFailure on_start_failure = OnStartFailure::kRefuse;

  // Of this change alone.  What modules begin with that nothing runs under the name of, or even
  // then (`goes_back`: what runs is not asked for its state); those that may back off whatever
  // on_start_failure says, because they did before; and whether libraries may be loaded beyond the
  // bound, so that a way back is never closed by it.
  SavedStates states;
  bool goes_back = false;
  std::set<std::string> may_back_off;
  bool beyond_loads_max = false;
};

}  // namespace kante
