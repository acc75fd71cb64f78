// The deployment document (kante.deployment/1), parsed and checked as far as it can be alone:
// shape, names, ranges, what contradicts itself, what this build does not do.  What it refers to
// (bundles, inputs, schemas) is checked by resolve.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/agent/device_grants.h"
#include "host/base/result.h"
#include "host/fetch/source.h"
#include "host/placement/module_spec.h"

namespace kante {

inline constexpr std::size_t kDeploymentBytesMax = 4 << 20;
inline constexpr std::size_t kDeploymentDepthMax = 32;
inline constexpr std::size_t kModulesMax = 512;
inline constexpr std::size_t kBundlePathBytesMax = 4096;
inline constexpr std::size_t kMethodGrantsMax = 256;  // Of one module.
inline constexpr std::size_t kFetchSourcesMax = 16;   // Of one module.
inline constexpr std::uint32_t kMemoryMbMin = 8;      // The runner and libc need as much.
inline constexpr std::uint32_t kLimitMbMax = 1u << 20;
inline constexpr std::uint32_t kCpuPercentMax = 6400;
inline constexpr std::uint32_t kThreadsMax = 4096;
inline constexpr std::uint32_t kStopMsMax = 600'000;
inline constexpr std::uint32_t kDeferMaxS = 86'400;
inline constexpr std::uint32_t kWindowMaxS = 86'400;

struct ModuleEntry {
  // As written: a path relative to the document, or "sha256:" and 64 digits.  Of a container empty.
  std::string bundle;
  std::vector<FetchSource> from;  // Where a bundle that is named by digest may be had.
  Placement placement = Placement::kSandbox;
  ModuleLimits limits;
  std::optional<Execution> execution;  // Absent: as the manifest says.
  Restart restart = Restart::kAlways;
  Desire desire = Desire::kRunning;
  std::string config = "{}";   // Canonical JSON text of an object.
  std::string desired = "{}";  // The same: base of the twin.
  std::vector<std::string> method_grants;
  std::vector<PlacedGrant> device_grants;
  ContainerSpec container;
  std::vector<std::string> start_after;
  std::uint32_t stop_ms = 5000;
  std::uint32_t defer_max_s = 0;
};

struct RouteEntry {
  RouteSpec spec;
  std::string text_pointer;  // Of the route's text: "/routes/up" or "/routes/up/route".
  bool stall_given = false;  // It means nothing for some sinks.
};

// How long a deployment must run well before it is committed, and what that takes.
struct HealthRule {
  std::optional<std::uint32_t>
      window_s;        // 0: committed once it runs.  Absent: as whoever asks says.
  bool uplink = true;  // If it was connected before, it must be again.
};

// Holding one proves that the text followed every rule above.
struct Deployment {
  std::string id;
  std::uint64_t version = 0;
  std::map<std::string, ModuleEntry> modules;  // By name.
  std::vector<RouteEntry> routes;              // By name.
  HealthRule health;
  std::string gateway = "{}";  // Merge patch over the gateway's own configuration, canonical.
  bool handover = true;        // Whether the host may begin a new life for it.
  std::string json;            // The whole document, canonical: members sorted, no white space.
};

// kInvalid and kUnsupported begin with the JSON pointer: "/modules/filter/bundle: …".
Result<Deployment> parseDeployment(std::string_view json);

bool isDigest(std::string_view text);  // "sha256:" and 64 lower-case hexadecimal digits.
// The same document with other texts for the bundles of modules.
Deployment withBundles(const Deployment& deployment,
                       const std::map<std::string, std::string>& bundles);

}  // namespace kante
