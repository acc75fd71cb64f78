// What all commands that talk to a running host have in common: --socket, --config, --json, and how
// answers and failures are shown.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "host/base/result.h"
#include "host/cli/client.h"
#include "host/cli/command.h"

namespace kante::cli {

enum class Follow { kNo, kYes };
enum class Output { kText, kJson };

struct HostOptions {
  std::string socket;  // --socket
  std::string config;  // --config
  bool json = false;   // --json

  Output output() const { return json ? Output::kJson : Output::kText; }
  // --socket, $KANTE_SOCKET, [api] socket of --config, of /etc/kante/gateway.toml,
  // /run/kante/api.sock.
  Result<std::string> socketPath() const;
  Result<Client> connect() const;
};

enum class Prints { kNothing, kData };  // kData: takes --json.

// Adds a command that talks to the host; `body` runs when it is chosen, and what it returns is the
// exit code, an error the failure that is shown.  `options` lives as long as the command.
CLI::App* addHostCommand(CLI::App& parent, Context& context, const std::string& name,
                         const std::string& description, Prints prints,
                         std::function<Result<int>(const HostOptions&)> body);

// stdout, with a line's end after it.
void printJson(const std::string& json);

}  // namespace kante::cli
