// The containers of a gateway's modules: makes the engine's be what is wanted, and keeps them so.
//
// Pulls what is missing, adopts what runs already, replaces what changed, removes what is wanted no
// more, and restarts what ends by its rule, with the same waits as sandboxed modules.  Follows the
// engine's events, so that an end is noticed at once; when the engine goes away, it comes back to
// it with growing waits and looks at what is there then.  Containers run on when this object goes:
// the next one finds them.  Lives on the control thread; at most one call a container and one for
// its logs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/container/create_body.h"
#include "host/container/engine.h"

namespace kante {

class Clock;

struct WantedContainer {
  enum class Restart { kAlways, kOnFailure, kNever };
  enum class Pull { kOnCreate, kNever };  // Of an image that is not there.
  enum class Desire { kRunning, kStopped };

  std::string module;
  std::string image;
  CreateBody body;
  Restart restart = Restart::kAlways;
  Pull pull = Pull::kOnCreate;
  Desire desire = Desire::kRunning;
  std::uint32_t stop_s = 10;  // From SIGTERM to SIGKILL.
};

enum class ContainerState {
  kUnknown,  // Not looked at since the engine is there.
  kPulling,
  kStarting,  // Being created or started.
  kRunning,
  kStopping,
  kStopped,  // As wanted, or it ended well and its rule leaves it.
  kBackoff,  // Is tried again.
  kFailed,   // Is left alone until restart() or another body.
};
const char* name(ContainerState state);

struct ContainerStatus {
  std::string module;
  std::string container;  // Its name.
  ContainerState state = ContainerState::kUnknown;
  std::int64_t started_wall_ns = 0;  // Of the life that runs, or of the last one.
  std::uint32_t restarts = 0;        // Since this object is there.
  std::uint32_t deaths = 0;          // Lives that nobody had asked to end.
  std::string reason;                // What ended the last life, or what fails now.
  std::string image;
  std::string image_id;  // Empty: not there yet.
  std::string progress;  // While it is pulled.
  std::string spec;      // Of the container that is there (CreateBody); empty: there is none.
};

// "kante-GATEWAY-MODULE".
std::string containerName(const std::string& gateway, const std::string& module);

class ContainerModules {
 public:
  static constexpr std::size_t kModulesMax = 512;

  struct Options {
    boost::asio::io_context& control;
    Engine& engine;
    const Clock& clock;
    std::string gateway;
    std::function<void()>
        changed;  // Something of modules() or engine(); from the loop, once a turn.
    // Must not call back.  100 lines a second and module at most; what is left out is counted.
    std::function<void(const std::string& module, const ContainerLine& line)> on_line;
    std::chrono::milliseconds look_again{60'000};  // At everything, whatever events say.
    std::function<void(const std::string& image)> on_pulled = nullptr;  // Must not call back.
    LoginFor login = nullptr;                                           // Null: without.
  };

  // All borrowed; they outlive this.
  explicit ContainerModules(Options options);
  ~ContainerModules();
  ContainerModules(const ContainerModules&) = delete;
  ContainerModules& operator=(const ContainerModules&) = delete;

  // All that are wanted from now on.  Those whose body and rules stay are not touched.
  Status want(std::vector<WantedContainer> containers);
  // Ends and begins it, whatever its rule says; one that failed is tried again.
  Status restart(const std::string& module);
  // Ends them all and leaves them there.  kUnavailable: the engine is away, and they run on.
  using Done = std::function<void(Status)>;
  void stopAll(Done done);

  // Removes those of `pulled` that are neither in `kept` nor wanted; one that something else uses
  // stays.  Tells which are gone.  One at a time (kState otherwise).
  using Swept = std::function<void(Result<std::vector<std::string>>)>;
  void sweepImages(const std::set<std::string>& pulled, const std::set<std::string>& kept,
                   Swept swept);

  std::vector<ContainerStatus> modules() const;  // By container name; also those on their way out.
  struct EngineStatus {
    bool connected = false;
    std::string version;
    std::string why;  // It is not connected.
  };
  EngineStatus engine() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared weakly with its timers.
};

}  // namespace kante
