#include "host/cli/gateway_sandbox.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/bundle/bundle_store.h"
#include "host/hub/twins.h"
#include "host/placement/module_spec.h"
#include "host/sandbox/launcher_client.h"
#include "host/sandbox/runner_link.h"
#include "host/sandbox/runner_source.h"
#include "host/sandbox/tier.h"

namespace kante::cli {

namespace json = boost::json;

namespace {
static_assert(ModuleLimits::kRingKbMin << 10 == kRingBytesMin &&
              ModuleLimits::kRingKbDefault << 10 == kRingBytesDefault &&
              ModuleLimits::kRingKbMax << 10 == kRingBytesMax);

// "sha256:HEX" as a name of at most 63 bytes.
std::string moduleFile(const std::string& digest) {
  return digest.substr(digest.find(':') + 1, 32) + ".so";
}
}  // namespace

GatewaySandbox::GatewaySandbox(boost::asio::io_context& control, Log& log,
                               std::uint32_t minimum_tier)
    : log_(log), control_(control) {
  status_.minimum_tier = minimum_tier;
  LauncherClient::Options options;
  options.log = &log;
  auto begun = LauncherClient::begin(control, std::move(options));
  if (begun) launcher_ = std::move(*begun);
  if (!begun) refuse("there is no sandbox: " + begun.error().text);
}

void GatewaySandbox::refuse(const std::string& why) {
  missing_ = status_.missing = why;
  log_.warn("sandbox", why);
}

void GatewaySandbox::settle(Twins& twins) {
  if (launcher_) {
    if (const Status settled = launcher_->settle(); !settled) {
      launcher_.reset();
      refuse("there is no sandbox: " + settled.error().text);
    }
  }
  if (launcher_) {
    runners_ = std::make_unique<LaunchedRunners>(*launcher_);
    const Can& can = launcher_->can();
    status_.tier = can.tier;
    status_.limits = name(can.limits);
    status_.better = can.better;
    const auto tier = tierToUse(can, status_.minimum_tier);
    if (tier) tier_ = *tier;
    if (!tier) refuse(tier.error().text);
  }
  report(twins);
}

GatewaySandbox::~GatewaySandbox() = default;

// The bytes are compared and linted at every start, as those of a module in this process are.
GatewaySandbox::Lives GatewaySandbox::lives(const BundleStore& bundles) {
  if (tier_ == 0) return nullptr;
  return [this, &bundles](const ModuleSpec& spec,
                          Shard& shard) -> Result<std::shared_ptr<ModuleLife>> {
    KANTE_TRY(bytes, bundles.load(spec.digest, LoadFor::kSandbox));
    RunnerOrder order;
    order.name = spec.name;
    order.defer_max_s = spec.defer_max_s;
    order.module_id = spec.id;
    order.module_file = moduleFile(spec.digest);
    order.module_bytes = std::make_shared<const FileDescriptor>(std::move(bytes.sealed));
    order.tier = tier_;
    order.memory_mb = spec.limits.memory_mb;
    order.cpu_percent = spec.limits.cpu_percent;
    order.pids_max = spec.limits.threads;
    order.data_mb = spec.limits.data_mb;
    order.writes_files = spec.writesFiles();
    if (spec.limits.ring_kb != 0) order.ring_bytes = spec.limits.ring_kb << 10;
    KANTE_TRY(link, RunnerLink::make({control_, *runners_, shard.shared_from_this(), order}));
    return std::shared_ptr<ModuleLife>(std::move(link));
  };
}

void GatewaySandbox::reportViolation(Twins& twins, const std::string& module,
                                     const std::string& text) {
  constexpr std::int64_t kPauseNs = 10'000'000'000;
  const std::int64_t now_ns = SystemClock().bootNs();
  const auto told = told_ns_.find(module);
  if (told != told_ns_.end() && now_ns - told->second < kPauseNs) return;
  told_ns_[module] = now_ns;
  const json::object violations{
      {module, {{"what", text}, {"at", formatUtc(SystemClock().wallNs())}}}};
  const auto patched =
      twins.patchReported("gateway", json::serialize(json::object{{"violations", violations}}));
  if (!patched) log_.warn("sandbox", "a violation is not reported: " + patched.error().text);
}

// Only when it has changed: each patch is a write to the store.
void GatewaySandbox::report(Twins& twins) const {
  const json::object now{{"tier", status_.tier}, {"limits", status_.limits}};
  boost::system::error_code broken;
  const json::value before = json::parse(twins.reported("gateway").json, broken);
  const json::value* known =
      !broken && before.is_object() ? before.as_object().if_contains("sandbox") : nullptr;
  if (known != nullptr && *known == json::value(now)) return;
  const auto patched =
      twins.patchReported("gateway", json::serialize(json::object{{"sandbox", now}}));
  if (!patched) log_.warn("sandbox", "its tier is not reported: " + patched.error().text);
}

}  // namespace kante::cli
