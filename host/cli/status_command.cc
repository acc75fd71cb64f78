#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json/value.hpp>
#include <cstdio>

#include "host/cli/host_command.h"
#include "host/cli/json_view.h"
#include "host/cli/output.h"
#include "host/cli/status_text.h"

namespace kante::cli {

namespace json = boost::json;

std::string problemLines(const json::value& status) {
  std::string out;
  const json::value& wrong = member(status, "problems");
  if (!wrong.is_array()) return out;
  for (const json::value& problem : wrong.as_array()) {
    const bool fails = textOf(problem, "severity") == "fail";
    out += paint(fails ? Colour::kRed : Colour::kYellow, fails ? "✗ " : "! ");
    out += printable(textOf(problem, "text")) + "\n";
    out += "  " + paint(Colour::kDim, "→ " + printable(textOf(problem, "hint"))) + "\n";
  }
  return out;
}

// " 3.1 MB of 12 MB from https://…" of a deployment whose bundles still come, or
// " image:NAME 3.1 MB of 12 MB from REGISTRY".
std::string fetchText(const json::value& fetching) {
  if (!fetching.is_object()) return {};
  const std::string source = printable(textOf(fetching, "source"));
  const std::string problem = printable(textOf(fetching, "problem"));
  if (!problem.empty()) return fmt::format(" from {}: {}", source, problem);
  const double instead_of = real(fetching, "instead_of");
  const std::string what = printable(textOf(fetching, "bundle"));
  return fmt::format(
      "{} {} of {} from {}{}", what.starts_with("sha256:") ? "" : " " + what,
      formatBytes(real(fetching, "bytes")), formatBytes(real(fetching, "of")), source,
      instead_of > 0 ? fmt::format(", a delta instead of {}", formatBytes(instead_of)) : "");
}

// What deltas saved of what the deployment needed.
std::string savedText(const json::value& fetched) {
  if (!fetched.is_array()) return {};
  double bytes = 0, saved = 0;
  for (const json::value& one : fetched.get_array()) {
    bytes += real(one, "bytes");
    saved += real(one, "saved");
  }
  if (saved <= 0) return {};
  return fmt::format(", fetched {} instead of {}", formatBytes(bytes), formatBytes(bytes + saved));
}

std::string deploymentLine(const json::value& status) {
  const json::value& deployment = member(status, "deployment");
  const std::string id = textOf(deployment, "id");
  if (id.empty()) return "none yet; kante deploy apply FILE";
  const std::string left = textOf(deployment, "watch_left_s");
  return fmt::format("{} version {}, {}{}{}{}", printable(id), textOf(deployment, "version"),
                     paintState(textOf(deployment, "state")),
                     left.empty() ? "" : fmt::format(" for another {} s", left),
                     fetchText(member(deployment, "fetching")),
                     savedText(member(deployment, "fetched")));
}

std::string uplinkLine(const json::value& status) {
  const json::value& uplink = member(status, "uplink");
  const std::string kind = textOf(uplink, "kind");
  if (kind == "none") return "none";
  return fmt::format("{}, {}, {} sent, backlog {} ({})", kind, paintState(textOf(uplink, "state")),
                     formatCount(real(uplink, "seq")),
                     formatCount(real(uplink, "backlog_messages")),
                     formatBytes(real(uplink, "backlog_bytes")));
}

std::string storeLine(const json::value& status) {
  const json::value& store = member(status, "store");
  return fmt::format("{} of {}", formatBytes(real(store, "bytes")),
                     formatBytes(real(store, "max_bytes")));
}

std::string clockLine(const json::value& status) {
  const json::value& clock = member(status, "clock");
  const json::value& trusted = member(clock, "trusted");
  if (!trusted.is_bool()) return "-";
  const json::value& synchronised = member(clock, "synchronised");
  const bool kept = synchronised.is_bool() && synchronised.as_bool();
  if (trusted.as_bool()) {
    return textOf(clock, "now") + (kept ? ", synchronised" : ", trusted, nobody keeps it right");
  }
  return paint(Colour::kYellow, "not trusted") + ", certificates are judged at " +
         textOf(clock, "floor");
}

std::string loadsLine(const json::value& status) {
  const json::value& loads = member(status, "loads");
  return fmt::format("{} of {} libraries in this life of the host", textOf(loads, "used"),
                     textOf(loads, "max"));
}

std::string sandboxLine(const json::value& status) {
  const json::value& sandbox = member(status, "sandbox");
  const double tier = real(sandbox, "tier");
  if (tier == 0) return "none";
  return fmt::format("tier {:.0f}, limits by {}, {} of memory shared with modules", tier,
                     textOf(sandbox, "limits"), formatBytes(real(sandbox, "shared_bytes")));
}

std::string dropLine(const json::value& status) {
  const json::value& dropped = member(status, "dropped");
  std::string out;
  if (!dropped.is_object()) return "none";
  for (const auto& reason : dropped.as_object()) {
    const double count = reason.value().is_number() ? reason.value().to_number<double>() : 0;
    if (count == 0) continue;
    out += (out.empty() ? "" : ", ") + std::string(reason.key()) + " " + formatCount(count);
  }
  return out.empty() ? "none" : paint(Colour::kYellow, out);
}

std::string headLine(const json::value& status) {
  return fmt::format("{}  kante {}, up {}",
                     paint(Colour::kBold, printable(textOf(status, "gateway"))),
                     textOf(status, "version"), formatAge(real(status, "uptime_s")));
}

namespace {

std::string gatewayLine(const json::value& gateway) {
  const std::string devices = textOf(gateway, "devices");
  std::string out =
      fmt::format("{}, {}, {} device{}", printable(textOf(gateway, "id")),
                  paintState(textOf(gateway, "state")), devices, devices == "1" ? "" : "s");
  if (textOf(gateway, "state") != "connected") out += ", last seen " + textOf(gateway, "last_seen");
  if (real(gateway, "lost") != 0)
    out += ", " + paint(Colour::kYellow, "lost " + textOf(gateway, "lost"));
  return out;
}

std::string statusText(const json::value& status) {
  std::string out = headLine(status) + "\n";
  const std::string wrong = problemLines(status);
  if (!wrong.empty()) out += "\n" + wrong;
  out += "\n";
  const auto line = [&out](const char* what, const std::string& text) {
    out += paint(Colour::kDim, fmt::format("{:<12}", what)) + text + "\n";
  };
  const json::value& host = member(status, "host");
  if (!textOf(host, "digest").empty())
    line("host", "from " + textOf(host, "digest") +
                     (textOf(member(host, "update"), "state") == "trial" ? ", on trial" : ""));
  line("deployment", deploymentLine(status));
  if (const std::string keys = deployedKeys(status); !keys.empty())
    line("  changes", keys + " of the configuration file");
  line("uplink", uplinkLine(status));
  const auto more = [&line](const char* what, const std::string& text) {
    if (!text.empty()) line(what, text);
  };
  more("  waiting", waitingLine(status));
  more("  budget", budgetLine(status));
  more("  a day", costLine(status));
  more("  saving", savingLine(status));
  line("store", storeLine(status));
  line("clock", clockLine(status));
  line("loads", loadsLine(status));
  line("sandbox", sandboxLine(status));
  line("dropped", dropLine(status));
  const json::value& below = member(status, "gateways");
  for (std::size_t i = 0; below.is_array() && i < below.as_array().size(); ++i)
    line(i == 0 ? "below" : "", gatewayLine(below.as_array()[i]));
  const json::value& modules = member(status, "modules");
  if (modules.is_array() && !modules.as_array().empty()) {
    out += "\n" + moduleTable(modules, Detail::kShort);
  }
  return out;
}

Result<int> status(const HostOptions& options) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body, client.get("/v1/status"));
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(parsed, parseReply(body));
  std::fputs(statusText(parsed).c_str(), stdout);
  return 0;
}

}  // namespace

void addStatusCommand(CLI::App& app, Context& context) {
  addHostCommand(app, context, "status", "How the running host is, and what is wrong first",
                 Prints::kData, status);
}

}  // namespace kante::cli
