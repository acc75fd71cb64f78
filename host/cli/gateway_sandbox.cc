#include "host/cli/gateway_sandbox.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "host/base/log.h"
#include "host/hub/twins.h"
#include "host/sandbox/launcher_client.h"
#include "host/sandbox/tier.h"

namespace kante::cli {

namespace json = boost::json;

GatewaySandbox::GatewaySandbox(boost::asio::io_context& control, Log& log,
                               std::uint32_t minimum_tier)
    : log_(log) {
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
