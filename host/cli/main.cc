// `kante`: one command for the gateway, its operators and the authors of modules.
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string_view>

#include "host/cli/command.h"

namespace kante::cli {

int reportFailure(const std::string& command, const Error& error) {
  const bool colour = ::isatty(STDERR_FILENO) == 1;
  std::string text = error.text;  // May quote a file that nobody vouches for: no escape sequences.
  for (char& c : text) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f) c = '?';
  }
  std::fprintf(stderr, "%skante %s: %s%s\n", colour ? "\x1b[31m" : "", command.c_str(),
               text.c_str(), colour ? "\x1b[0m" : "");
  return 1;
}

namespace {

// Each family is built only when it is the one that was called, or when help lists them all.
struct Family {
  std::string_view name;
  void (*add)(CLI::App& app, Context& context);
};
constexpr Family kFamilies[] = {
    {"demo", addDemoCommand},
    {"run", addRunCommand},
    {"check", addCheckCommand},
    {"status", addStatusCommand},
    {"top", addTopCommand},
    {"events", addEventsCommand},
    {"module", addModuleCommands},
    {"deploy", addDeployCommands},
    {"route", addRouteCommands},
    {"twin", addTwinCommands},
    {"invoke", addInvokeCommand},
    {"send", addSendCommand},
    {"queue", addQueueCommands},
    {"device", addDeviceCommands},
    {"identity", addIdentityCommands},
    {"key", addKeyCommands},
    {"bundle", addBundleCommands},
    {"host", addUpdateCommands},
    {"fleet", addFleetCommands},
    {"trust", addTrustCommands},
    {"secret", addSecretCommands},
    {"support-bundle", addSupportCommand},
};

void addFamilies(std::string_view called, CLI::App& app, Context& context) {
  for (const Family& family : kFamilies) {
    if (family.name == called) return family.add(app, context);
  }
  for (const Family& family : kFamilies) family.add(app, context);
}

int run(int argc, char** argv) {
  Context context;
  context.program = argc > 0 ? argv[0] : "kante";
  context.arguments.assign(argv, argv + argc);
  CLI::App app{"Kante: an edge runtime in one small native process", "kante"};
  app.set_version_flag("--version", KANTE_VERSION);
  app.require_subcommand(1);
  addFamilies(argc > 1 ? argv[1] : "", app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    return 2;
  }
  return context.exit_code;
}

}  // namespace
}  // namespace kante::cli

int main(int argc, char** argv) { return kante::cli::run(argc, argv); }
