// `kante`: one command for the gateway, its operators and the authors of modules.
#include <CLI/CLI.hpp>

#include <unistd.h>
#include <cstdio>

#include "host/cli/command.h"

namespace kante::cli {

int reportFailure(const std::string& command, const Error& error) {
  const bool colour = ::isatty(STDERR_FILENO) == 1;
  std::fprintf(stderr, "%skante %s: %s%s\n", colour ? "\x1b[31m" : "", command.c_str(),
               error.text.c_str(), colour ? "\x1b[0m" : "");
  return 1;
}

}  // namespace kante::cli

int main(int argc, char** argv) {
  kante::cli::Context context;
  CLI::App app{"Kante: an edge runtime in one small native process", "kante"};
  app.set_version_flag("--version", KANTE_VERSION);
  app.require_subcommand(1);
  kante::cli::addKeyCommands(app, context);
  kante::cli::addBundleCommands(app, context);
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
