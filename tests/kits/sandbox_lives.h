// Lives in real runners for modules of tests: the launcher and the runner of this build, in the
// best tier that the machine gives.  Control thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>

#include "host/runtime/module_life.h"
#include "host/sandbox/launcher_client.h"
#include "host/sandbox/runner_source.h"
#include "host/shard/shard.h"

namespace kante {

class SandboxLives {
 public:
  SandboxLives(boost::asio::io_context& control, Log& log);
  struct Library {
    std::string name;  // The module's, in its deployment.
    std::string id;
    std::string path;
    std::uint32_t defer_max_s = 0;
  };
  Result<std::shared_ptr<ModuleLife>> make(const Library& library, Shard& shard);

  // Whether this machine has any; KANTE_SANDBOX_MUST_WORK=1 says that it has to.
  static bool areThere();

 private:
  boost::asio::io_context& control_;
  std::unique_ptr<LauncherClient> launcher_;
  std::optional<LaunchedRunners> source_;
};

}  // namespace kante
