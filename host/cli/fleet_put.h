// Bundles at the broker, for gateways that reach nothing else.
#pragma once

#include "host/cli/fleet_link.h"

namespace CLI {
class App;
}

namespace kante::cli {

struct Context;

// --broker and who this is to it.
void addBrokerOptions(CLI::App& command, BrokerOptions& broker);
// kante fleet put
void addFleetPut(CLI::App& fleet, Context& context);

}  // namespace kante::cli
