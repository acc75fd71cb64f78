#include "host/cli/host_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "host/config/config.h"

namespace kante::cli {
namespace {

constexpr const char* kSystemConfig = "/etc/kante/gateway.toml";
constexpr const char* kSystemSocket = "/run/kante/api.sock";

// "deploy apply": without the program's own name.
std::string commandName(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  if (parent == nullptr || parent->get_parent() == nullptr) return app.get_name();
  return commandName(*parent) + " " + app.get_name();
}

}  // namespace

Result<std::string> HostOptions::socketPath() const {
  if (!socket.empty()) return socket;
  const char* from_environment = std::getenv("KANTE_SOCKET");
  if (from_environment != nullptr && *from_environment != '\0')
    return std::string(from_environment);
  if (!config.empty()) {
    KANTE_TRY(loaded, loadConfig(config));
    return loaded.api.socket;
  }
  if (::access(kSystemConfig, R_OK) == 0) {
    if (const auto loaded = loadConfig(kSystemConfig)) return loaded->api.socket;
  }
  return std::string(kSystemSocket);
}

Result<Client> HostOptions::connect() const {
  KANTE_TRY(path, socketPath());
  return Client::connect(path);
}

CLI::App* addHostCommand(CLI::App& parent, Context& context, const std::string& name,
                         const std::string& description, Prints prints,
                         std::function<Result<int>(const HostOptions&)> body) {
  CLI::App* app = parent.add_subcommand(name, description);
  const auto options = std::make_shared<HostOptions>();
  app->add_option("--socket", options->socket, "The host's API socket [$KANTE_SOCKET]");
  app->add_option("--config", options->config, "gateway.toml that names the socket");
  if (prints == Prints::kData) app->add_flag("--json", options->json, "Print JSON");
  app->callback([app, options, &context, body = std::move(body)] {
    const auto outcome = body(*options);
    context.exit_code = outcome ? *outcome : reportFailure(commandName(*app), outcome.error());
  });
  return app;
}

void printJson(const std::string& json) {
  std::fwrite(json.data(), 1, json.size(), stdout);
  if (!json.ends_with('\n')) std::fputc('\n', stdout);
}

}  // namespace kante::cli
