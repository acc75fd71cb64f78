// A container engine that speaks Docker's API: dockerd, or Podman's socket.
//
// Asynchronous, on the control thread; a connection a call.  Every call returns a handle: dropping
// it cancels the call, and neither its callback nor its stream is called any more.  Calls belong to
// those who hold their handles; the engine may go before them.  Errors begin with the call and what
// it was for, and end with what the engine said.  What bounds a call is in EngineOrder.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/container/engine_facts.h"
#include "host/container/log_frames.h"

namespace boost::asio {
class io_context;
}

namespace kante {

struct EngineOrder;

struct RegistryLogin {
  std::string server;
  std::string username;
  std::string password;  // Never logged, and in no error.
};

// "registry:5000/factory/opc:3" comes from "registry:5000", "factory/opc" from "docker.io".
std::string registryOf(const std::string& image);

// How to log in for that image, asked at each pull, which fails as this does; nothing: without.
using LoginFor = std::function<Result<std::optional<RegistryLogin>>(const std::string& image)>;
Result<std::optional<RegistryLogin>> loginFor(const LoginFor& asked, const std::string& image);

class Engine {
 public:
  struct Times {
    std::chrono::milliseconds answer{60'000};
    std::chrono::milliseconds pull_silence{300'000};  // A pull without a byte of progress.
  };

  using Call = std::shared_ptr<void>;
  template <typename T>
  using Then = std::function<void(Result<T>)>;

  Engine(boost::asio::io_context& control, std::string socket);
  Engine(boost::asio::io_context& control, std::string socket, Times times);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const std::string& socket() const { return socket_; }

  // Agrees on a version of the API, which calls after it use: 1.41, or the engine's oldest if that
  // is newer.  kUnsupported: an engine from before 1.41.
  [[nodiscard]] Call connect(Then<EngineFacts> then);

  // Whether containers run on while the engine is away (live-restore; Podman's always do).
  [[nodiscard]] Call runsOn(Then<bool> then);

  // ---- images: "repository", "repository:tag", "repository@sha256:…" or an id ----
  [[nodiscard]] Call inspectImage(const std::string& image, Then<ImageFacts> then);
  using OnProgress = std::function<void(const PullProgress&)>;
  // No tag means "latest".  `login` may be null.
  [[nodiscard]] Call pullImage(const std::string& image, const RegistryLogin* login,
                               OnProgress progress, Then<void> then);
  [[nodiscard]] Call removeImage(const std::string& image, Then<void> then);
  // `label`: "name" or "name=value"; empty: all.
  [[nodiscard]] Call listImages(const std::string& label, Then<std::vector<ImageFacts>> then);

  // ---- containers, by name or id ----
  [[nodiscard]] Call listContainers(const std::string& label,
                                    Then<std::vector<ContainerEntry>> then);
  [[nodiscard]] Call inspect(const std::string& container, Then<ContainerFacts> then);
  [[nodiscard]] Call create(const std::string& name, std::string body, Then<std::string> then);
  // The address by which containers in that network reach this machine; empty: there is none.
  [[nodiscard]] Call gatewayOf(const std::string& network, Then<std::string> then);
  // Done, too, when it runs or does not run already.
  [[nodiscard]] Call start(const std::string& container, Then<void> then);
  [[nodiscard]] Call stop(const std::string& container, std::uint32_t seconds, Then<void> then);
  [[nodiscard]] Call kill(const std::string& container, const std::string& signal, Then<void> then);
  [[nodiscard]] Call restart(const std::string& container, std::uint32_t seconds, Then<void> then);
  // Kills it if it runs, and removes the volumes that have no name.
  [[nodiscard]] Call remove(const std::string& container, Then<void> then);
  [[nodiscard]] Call wait(const std::string& container, Then<std::int64_t> then);  // Its exit code.

  // ---- streams ----
  struct LogOrder {
    LogFrames::Framing framing = LogFrames::Framing::kFrames;
    std::int64_t since_ns = 0;  // Wall time; 0: all that there is.
    enum class Until { kNow, kEnd } until = Until::kNow;
  };
  [[nodiscard]] Call logs(const std::string& container, const LogOrder& order,
                          LogFrames::OnLine on_line, Then<void> then);
  using OnEvent = std::function<void(const EngineEvent&)>;
  // Of containers with that label, from now on.  `opened`: nothing is missed from here.  It ends
  // only with an error, or when the engine does.
  [[nodiscard]] Call events(const std::string& label, std::function<void()> opened,
                            OnEvent on_event, Then<void> then);

 private:
  EngineOrder order(const char* what, const std::string& subject, const char* method,
                    const std::string& path) const;
  Call ask(EngineOrder order, Then<void> then);
  template <typename T>
  Call ask(EngineOrder order, Result<T> (*read)(std::string_view), Then<T> then);

  boost::asio::io_context& control_;
  const std::string socket_;
  const Times times_;
  std::shared_ptr<ApiVersion> version_;  // Shared with connect()'s call, which sets it.
};

}  // namespace kante
