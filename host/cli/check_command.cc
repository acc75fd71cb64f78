#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdio>

#include "host/cli/checks.h"
#include "host/cli/command.h"
#include "host/cli/host_command.h"
#include "host/cli/output.h"
#include "host/config/config.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

constexpr const char* kSystemConfig = "/etc/kante/gateway.toml";

void print(const CheckResults& results) {
  std::size_t widest = 0;
  for (const auto& each : results) widest = std::max(widest, each.name.size());
  for (const auto& each : results) {
    const Colour colour = each.verdict == Verdict::kOk     ? Colour::kGreen
                          : each.verdict == Verdict::kWarn ? Colour::kYellow
                                                           : Colour::kRed;
    std::printf("%s%s  %s  %s\n", paint(colour, name(each.verdict)).c_str(),
                each.verdict == Verdict::kOk ? "  " : "",
                fmt::format("{:<{}}", each.name, widest).c_str(), printable(each.text).c_str());
    if (!each.hint.empty()) {
      std::printf("      %s  %s\n", std::string(widest, ' ').c_str(),
                  paint(Colour::kDim, "→ " + each.hint).c_str());
    }
  }
}

int check(const std::string& config_file, const std::string& socket, Output output) {
  CheckResults results;
  const Config config = configToCheck(config_file, results);
  HostOptions where;
  where.socket = socket;
  where.config = config_file;
  const auto path = where.socketPath();
  checkAll(config, path ? *path : config.api.socket, results);

  const auto count = [&](Verdict verdict) {
    return std::count_if(results.begin(), results.end(),
                         [&](const CheckResult& each) { return each.verdict == verdict; });
  };
  const auto failed = count(Verdict::kFail);
  const auto warned = count(Verdict::kWarn);
  if (output == Output::kJson) {
    json::array checks;
    for (const auto& each : results) {
      checks.push_back({{"name", each.name},
                        {"verdict", name(each.verdict)},
                        {"text", each.text},
                        {"hint", each.hint}});
    }
    printJson(json::serialize(
        json::object{{"failed", failed}, {"warned", warned}, {"checks", std::move(checks)}}));
  } else {
    print(results);
    std::printf("\n%s checks, %s failed, %s warned\n", std::to_string(results.size()).c_str(),
                std::to_string(failed).c_str(), std::to_string(warned).c_str());
  }
  return failed > 0 ? 1 : 0;
}

}  // namespace

Config configToCheck(const std::string& given, CheckResults& out) {
  const std::string file = given.empty() ? kSystemConfig : given;
  if (given.empty() && ::access(file.c_str(), F_OK) != 0) {
    out.push_back({"config", Verdict::kWarn, "there is no " + file + "; the defaults are checked",
                   "name yours with --config"});
    return defaultConfig("/var/lib/kante");
  }
  auto config = loadConfig(file);
  if (!config) {
    // Of what is in it the text begins with the file's name.
    const bool read = config.error().text.starts_with(file + ":");
    out.push_back({"config", Verdict::kFail, config.error().text,
                   read ? "mend that line" : "name with --config a file that can be read"});
    return defaultConfig("/var/lib/kante");
  }
  if (const auto served = supported(*config); !served) {
    out.push_back({"config", Verdict::kFail, served.error().text, "mend that line"});
  } else {
    out.push_back({"config", Verdict::kOk, file + " is valid", {}});
  }
  return std::move(*config);
}

void checkAll(const Config& config, const std::string& socket, CheckResults& out) {
  checkClock(out);
  checkCertificates(config, out);
  checkDataDirectory(config, out);
  checkBroker(config, out);
  checkKernel(out);
  checkSandbox(config, out);
  checkContainers(config, out);
  checkLimits(out);
  checkHost(socket, out);
}

void addCheckCommand(CLI::App& app, Context& context) {
  struct CheckOptions {
    std::string config, socket;
    bool json = false;
  };
  const auto options = std::make_shared<CheckOptions>();
  CLI::App* command = app.add_subcommand(
      "check", "Look for what would keep a gateway from working, with a hint for each");
  command->add_option("--config", options->config, "gateway.toml [/etc/kante/gateway.toml]");
  command->add_option("--socket", options->socket, "The host's API socket [$KANTE_SOCKET]");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &context] {
    context.exit_code =
        check(options->config, options->socket, options->json ? Output::kJson : Output::kText);
  });
}

}  // namespace kante::cli
