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
                               std::uint32_t minimum_tier) {
  status_.minimum_tier = minimum_tier;
  LauncherClient::Options options;
  options.log = &log;
  auto opened = LauncherClient::open(control, std::move(options));
  if (!opened) {
    missing_ = status_.missing = opened.error().text;
    log.warn("sandbox", "there is no sandbox: " + missing_);
    return;
  }
  launcher_ = std::move(*opened);
  const Can& can = launcher_->can();
  status_.tier = can.tier;
  status_.limits = name(can.limits);
  status_.better = can.better;
  const auto tier = tierToUse(can, minimum_tier);
  if (tier) {
    tier_ = *tier;
  } else {
    missing_ = status_.missing = tier.error().text;
    log.warn("sandbox", missing_);
  }
}

GatewaySandbox::~GatewaySandbox() = default;

// Only when it has changed: each patch is a write to the store.
void GatewaySandbox::report(Twins& twins, Log& log) const {
  const json::object now{{"tier", status_.tier}, {"limits", status_.limits}};
  boost::system::error_code broken;
  const json::value before = json::parse(twins.reported("gateway").json, broken);
  const json::value* known =
      !broken && before.is_object() ? before.as_object().if_contains("sandbox") : nullptr;
  if (known != nullptr && *known == json::value(now)) return;
  const auto patched =
      twins.patchReported("gateway", json::serialize(json::object{{"sandbox", now}}));
  if (!patched) log.warn("sandbox", "its tier is not reported: " + patched.error().text);
}

}  // namespace kante::cli
