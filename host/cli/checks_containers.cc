#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <optional>

#include "host/cli/checks.h"
#include "host/config/config.h"
#include "host/container/engine.h"

namespace kante::cli {
namespace {

constexpr std::chrono::seconds kDeadline{5};

}  // namespace

// No engine is no fault: only a deployment with containers needs one, and is refused then.
void checkContainers(const Config& config, CheckResults& out) {
  const std::string& socket = config.containers.engine;
  const bool wished = config.set_at.contains("containers.engine");
  if (::access(socket.c_str(), F_OK) != 0) {
    out.push_back(
        {"containers", wished ? Verdict::kWarn : Verdict::kOk,
         "no engine at " + socket + ": modules of bundles run, containers are refused",
         wished ? "start it, or install docker.io or podman; or take [containers] engine away"
                : ""});
    return;
  }
  boost::asio::io_context control;
  Engine engine(control, socket, {kDeadline, kDeadline});
  std::optional<Result<EngineFacts>> facts;
  std::optional<Result<bool>> runs_on;
  Engine::Call asking =
      engine.connect([&](Result<EngineFacts> answer) { facts = std::move(answer); });
  control.run_for(kDeadline);
  control.restart();
  if (!facts || !*facts) {
    out.push_back({"containers", Verdict::kWarn,
                   facts ? facts->error().text : socket + " does not answer",
                   "start the engine, and let this user use its socket (group docker)"});
    return;
  }
  const std::string what = "engine " + (*facts)->version + ", API " + (*facts)->newest.text();
  asking = engine.runsOn([&](Result<bool> answer) { runs_on = std::move(answer); });
  control.run_for(kDeadline);
  if (runs_on && *runs_on && !**runs_on) {
    out.push_back({"containers", Verdict::kWarn,
                   what + ", which ends its containers when it is restarted",
                   "set \"live-restore\": true in /etc/docker/daemon.json"});
    return;
  }
  out.push_back({"containers", Verdict::kOk, what, {}});
}

}  // namespace kante::cli
