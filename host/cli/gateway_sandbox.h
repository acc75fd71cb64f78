// The gateway's part that has to do with sandboxed modules: the launcher, and what it can do here.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "host/api/status.h"
#include "host/base/result.h"

namespace boost::asio {
class io_context;
}

namespace kante {
class BundleStore;
class LauncherClient;
class Log;
class ModuleLife;
class RunnerSource;
class Shard;
class Twins;
struct ModuleSpec;
}  // namespace kante

namespace kante::cli {

class GatewaySandbox {
 public:
  // Never fails: a gateway without a sandbox has modules in process, and says why it has no other.
  // It asks the launcher, which tries things while this process opens its files; settle() hears.
  GatewaySandbox(boost::asio::io_context& control, Log& log, std::uint32_t minimum_tier);
  ~GatewaySandbox();
  GatewaySandbox(const GatewaySandbox&) = delete;
  GatewaySandbox& operator=(const GatewaySandbox&) = delete;

  // Once, before anything below; also reports it.
  void settle(Twins& twins);

  // What a module tried and its sandbox refused, as reported property `violations` of `gateway`, by
  // module: the last, at most one each ten seconds.
  void reportViolation(Twins& twins, const std::string& module, const std::string& text);

  LauncherClient* launcher() { return launcher_.get(); }  // Null: missing() says why.
  using Lives =
      std::function<Result<std::shared_ptr<ModuleLife>>(const ModuleSpec& spec, Shard& shard)>;
  // What gives modules of this store a life in a runner; null where there is no sandbox.
  Lives lives(const BundleStore& bundles);
  // What sandboxed modules run in; 0: nothing, they are refused with missing().
  std::uint32_t tier() const { return tier_; }
  const std::string& missing() const { return missing_; }
  const SandboxStatus& status() const { return status_; }

 private:
  void refuse(const std::string& why);
  // As reported property `sandbox` of the principal `gateway`.
  void report(Twins& twins) const;
  std::map<std::string, std::int64_t> told_ns_;  // By module: its last violation was reported then.

  Log& log_;
  boost::asio::io_context& control_;
  std::unique_ptr<LauncherClient> launcher_;
  std::unique_ptr<RunnerSource> runners_;
  std::uint32_t tier_ = 0;
  std::string missing_;
  SandboxStatus status_;
};

}  // namespace kante::cli
