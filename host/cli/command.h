// How a command of `kante` is added: one function a family, each in its own file, called by main.
//
// A command's callback prints JSON alone to stdout and everything else to stderr, and sets
// context.exit_code: 0 done, 1 failed, 2 misused (CLI11 reports misuse by itself).
#pragma once

#include <string>
#include <vector>

#include "host/base/result.h"

namespace CLI {
class App;
}

namespace kante::cli {

struct Context {
  int exit_code = 0;
  std::string program;                 // argv[0] resolved: where kante's own executable lies
  std::vector<std::string> arguments;  // All of argv.
};

// Prints "kante COMMAND: text" to stderr (in red on a terminal) and returns 1, for
// `context.exit_code = …`.
int reportFailure(const std::string& command, const Error& error);

void addRunCommand(CLI::App& app, Context& context);
void addStatusCommand(CLI::App& app, Context& context);
void addTopCommand(CLI::App& app, Context& context);
void addEventsCommand(CLI::App& app, Context& context);
void addCheckCommand(CLI::App& app, Context& context);
void addDeployCommands(CLI::App& app, Context& context);  // deploy apply | patch | show | …
void addFleetCommands(CLI::App& app, Context& context);   // fleet apply | patch | status
void addRouteCommands(CLI::App& app, Context& context);   // route list
void addTwinCommands(CLI::App& app, Context& context);    // twin get | patch
void addInvokeCommand(CLI::App& app, Context& context);
void addSendCommand(CLI::App& app, Context& context);
void addUpdateCommands(CLI::App& app, Context& context);    // host update
void addQueueCommands(CLI::App& app, Context& context);     // queue list | inspect | purge
void addDeviceCommands(CLI::App& app, Context& context);    // device add | list | show | …
void addIdentityCommands(CLI::App& app, Context& context);  // identity show
void addSecretCommands(CLI::App& app, Context& context);    // secret list | set | remove
void addTrustCommands(CLI::App& app, Context& context);     // trust show | reset
void addSupportCommand(CLI::App& app, Context& context);    // support-bundle
void addModuleCommands(CLI::App& app, Context& context);    // module list | logs | restart | …
void addDemoCommand(CLI::App& app, Context& context);       // demo
void addKeyCommands(CLI::App& app, Context& context);       // key init
void addBundleCommands(CLI::App& app, Context& context);    // bundle pack | verify | inspect
void addRouteTestCommand(CLI::App& route,
                         Context& context);  // route test; route is the `route` family
// deploy sign | verify | inspect; deploy is the `deploy` family
void addDocumentCommands(CLI::App& deploy, Context& context);
void addModuleNewCommand(CLI::App& module, Context& context);    // module new
void addModuleCheckCommand(CLI::App& module, Context& context);  // module check

}  // namespace kante::cli
