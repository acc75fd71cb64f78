#include "tests/kits/sandbox_lives.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "host/base/log.h"
#include "host/sandbox/runner_link.h"
#include "tests/kits/module_kit.h"

namespace kante {

namespace {

Result<std::unique_ptr<LauncherClient>> openLauncher(boost::asio::io_context& control, Log& log) {
  LauncherClient::Options options;
  options.log = &log;
  options.launcher = KANTE_LAUNCHER;
  options.runner = KANTE_RUNNER;
  return LauncherClient::open(control, std::move(options));
}

}  // namespace

SandboxLives::SandboxLives(boost::asio::io_context& control, Log& log) : control_(control) {
  auto opened = openLauncher(control, log);
  KANTE_ASSERT(opened.has_value());
  launcher_ = std::move(*opened);
  source_.emplace(*launcher_);
}

Result<std::shared_ptr<ModuleLife>> SandboxLives::make(const Library& library, Shard& shard) {
  RunnerOrder order;
  order.defer_max_s = library.defer_max_s;
  order.name = library.name;
  order.module_id = library.id;
  order.module_file = library.path.substr(library.path.rfind('/') + 1);
  order.module_bytes = std::make_shared<const FileDescriptor>(sealedFile(library.path));
  order.tier = launcher_->can().tier;
  KANTE_TRY(link, RunnerLink::make({control_, *source_, shard.shared_from_this(), order}));
  return std::shared_ptr<ModuleLife>(std::move(link));
}

bool SandboxLives::areThere() {
  const char* must = std::getenv("KANTE_SANDBOX_MUST_WORK");
  if (must != nullptr && std::string_view(must) == "1") return true;
  boost::asio::io_context control;
  Log log(Log::Format::kSilent, LogLevel::kError);
  const auto launcher = openLauncher(control, log);
  return launcher.has_value() && (*launcher)->can().tier > 0;
}

}  // namespace kante
