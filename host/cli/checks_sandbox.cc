#include <fmt/format.h>

#include <boost/asio/io_context.hpp>

#include "host/cli/checks.h"
#include "host/config/config.h"
#include "host/sandbox/launcher_client.h"
#include "host/sandbox/tier.h"

namespace kante::cli {
namespace {

void add(CheckResults& out, const char* name, bool good, std::string text, std::string hint) {
  out.push_back({name, good ? Verdict::kOk : Verdict::kWarn, std::move(text),
                 good ? std::string() : std::move(hint)});
}

void addLayers(const Can& can, CheckResults& out) {
  const bool landlock = can.landlock_abi != 0;
  add(out, "landlock", landlock,
      landlock ? fmt::format("version {}", can.landlock_abi)
               : "not in this kernel, or switched off",
      "add landlock to the lsm= kernel parameter (kernel 5.13 or later)");
  const bool seccomp = can.seccomp != 0;
  add(out, "seccomp", seccomp, seccomp ? "available" : "not in this kernel",
      "use a kernel with CONFIG_SECCOMP_FILTER");
  const bool spaces = can.namespaces != 0;
  add(out, "user-ns", spaces,
      spaces ? "namespaces and a root of their own may be made" : "namespaces may not be made here",
      can.better);
  const bool groups = can.limits != LimitKind::kRlimit;
  add(out, "cgroup", groups,
      can.limits == LimitKind::kCgroup2   ? "version 2"
      : can.limits == LimitKind::kCgroup1 ? "version 1"
                                          : "cannot be made from here, so limits of modules "
                                            "that are started from here are weaker",
      fmt::format("{}; what a gateway has that runs already is in kante status", can.better));
}

}  // namespace

void checkSandbox(const Config& config, CheckResults& out) {
  boost::asio::io_context control;
  const auto launcher = LauncherClient::open(control, {});
  if (!launcher) {
    return add(out, "sandbox", false, launcher.error().text,
               "install kante-launcher and kante-runner beside kante");
  }
  const Can& can = (*launcher)->can();
  addLayers(can, out);
  const auto tier = tierToUse(can, config.sandbox.minimum_tier);
  add(out, "sandbox", tier.has_value(),
      tier ? fmt::format("tier {}, limits by {}", *tier, name(can.limits))
           : "sandboxed modules are refused",
      tier ? "" : tier.error().text);
}

}  // namespace kante::cli
