// Where runners come from: the launcher, or what stands for it in tests.
#pragma once

#include <utility>

#include "host/base/result.h"
#include "host/sandbox/facts.h"
#include "host/sandbox/launcher_client.h"

namespace kante {

// Control thread; spawn() and kill() as LauncherClient has them.
class RunnerSource {
 public:
  virtual ~RunnerSource() = default;
  virtual std::uint32_t spawn(const SpawnOrder& order, LauncherClient::OnSpawned on_spawned,
                              LauncherClient::OnExited on_exited) = 0;
  virtual void kill(std::uint32_t id) = 0;
  // What the kernel says of it.
  virtual Result<SeenRunner> look(const SpawnedRunner& runner) = 0;
};

class LaunchedRunners final : public RunnerSource {
 public:
  explicit LaunchedRunners(LauncherClient& launcher) : launcher_(launcher) {}
  std::uint32_t spawn(const SpawnOrder& order, LauncherClient::OnSpawned on_spawned,
                      LauncherClient::OnExited on_exited) override {
    return launcher_.spawn(order, std::move(on_spawned), std::move(on_exited));
  }
  void kill(std::uint32_t id) override { launcher_.kill(id); }
  Result<SeenRunner> look(const SpawnedRunner& runner) override {
    return lookAtRunner(runner.pidfd, runner.pid, runner.namespaces);
  }

 private:
  LauncherClient& launcher_;
};

}  // namespace kante
