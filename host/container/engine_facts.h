// What the engine says of itself, of images and of containers, read strictly: a member that is
// missing or of another kind is kCorrupt, and the error names it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"

namespace kante {

// Of Docker's API: two numbers with a point.
struct ApiVersion {
  unsigned major = 0;
  unsigned minor = 0;
  auto operator<=>(const ApiVersion&) const = default;
  std::string text() const { return std::to_string(major) + "." + std::to_string(minor); }
};
inline constexpr ApiVersion kApiVersion{1, 41};  // What is spoken, unless the engine is too new.

struct EngineFacts {
  std::string version;  // Of the engine: "20.10.24".
  ApiVersion newest;    // That it speaks.
  ApiVersion oldest;
  // Whether "NAME:host-gateway" in a create body leads to this machine: in Podman since 4.7.
  bool knows_host_gateway = true;
};

struct ImageFacts {
  std::string id;                 // "sha256:…"
  std::vector<std::string> tags;  // "repository:tag"
};

enum class ContainerPhase { kCreated, kRunning, kPaused, kRestarting, kRemoving, kExited, kDead };

// Of a list: enough to know what is there.
struct ContainerEntry {
  std::string id;
  std::string name;
  std::map<std::string, std::string> labels;
  ContainerPhase phase = ContainerPhase::kCreated;
};

struct ContainerFacts : ContainerEntry {
  std::string image_id;
  std::int64_t exit_code = 0;
  bool oom_killed = false;
  bool has_terminal = false;
  std::string error;            // Why it could not be started; empty: it could.
  std::int64_t started_ns = 0;  // Since 1970; 0: never.
  std::int64_t finished_ns = 0;
};

struct EngineEvent {
  std::string action;  // "start", "die", "oom", "destroy", …
  std::string id;
  std::string name;
};

struct PullProgress {
  std::string layer;  // Empty: of the image.
  std::string text;   // "Downloading", …
  std::uint64_t bytes = 0;
  std::uint64_t bytes_total = 0;  // 0: unknown.
};

// RFC 3339 as Go writes it, to nanoseconds since 1970; its zero time is 0.
std::optional<std::int64_t> parseEngineTime(std::string_view text);
std::optional<ApiVersion> parseApiVersion(std::string_view text);

Result<EngineFacts> readEngineFacts(std::string_view json);
Result<bool> readRunsOn(std::string_view json);  // Of /info.
Result<ImageFacts> readImageFacts(std::string_view json);
Result<std::vector<ImageFacts>> readImageList(std::string_view json);
Result<ContainerFacts> readContainerFacts(std::string_view json);
Result<std::vector<ContainerEntry>> readContainerList(std::string_view json);
Result<std::string> readCreated(std::string_view json);        // The id.
Result<std::string> readGateway(std::string_view json);        // Of a network; empty: it has none.
Result<std::int64_t> readWaitEnd(std::string_view json);       // The exit code.
Result<EngineEvent> readEvent(std::string_view line);          // Of a container.
Result<PullProgress> readPullProgress(std::string_view line);  // kIo: the pull failed.
std::string textOf(const PullProgress& progress);              // For people.

}  // namespace kante
