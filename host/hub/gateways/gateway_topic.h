// The topics by which a gateway and the one above it speak (kante/v1/GATEWAY/…), as the one above
// sees them, and the names in them.
//
// Principals are named alike on all levels: "device/ID", "device/ID/module/NAME".  A gateway and
// its modules are "gateway" and "module/NAME" on itself, "gateway/ID" and "gateway/ID/module/NAME"
// on all above it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante::hub {

// Outside A-Za-z0-9._- as %XX; '/' stays and separates levels.
std::string encodeLevels(std::string_view names);
// One name as one level: '/' too is encoded.
std::string encodeLevel(std::string_view name);
// gateway, module/NAME, device/ID, device/ID/module/NAME, gateway/ID, gateway/ID/module/NAME,
// decoded.  kInvalid: none of them, or a name that cannot be one.
Result<std::string> decodePrincipal(std::string_view levels);
// "kante/v1/GATEWAY/" + rest, the gateway's id encoded.
std::string gatewayTopic(std::string_view gateway, std::string_view rest);

struct GatewayTopic {
  enum class Kind : std::uint8_t {
    kNone,        // Not below kante/v1/GATEWAY/.
    kTelemetry,   // telemetry/SOURCE
    kState,       // state
    kDeployment,  // deployment/reported
    kLost,        // lost
    kReported,    // twin/PRINCIPAL/reported
    kMethod,      // methods/response/ID
    kCloud,       // c2d/response/ID
    kUnknown,     // Nothing that a gateway says to the one above it.
  };
  Kind kind = Kind::kNone;
  std::string_view rest;  // SOURCE, PRINCIPAL or ID, as it stands in the topic.
};
// Borrows from the topic, allocates nothing.
GatewayTopic parseGatewayTopic(std::string_view topic, std::string_view gateway);

// Who sent telemetry, as the gateway above names it.
struct SaidBy {
  std::string principal;  // Of what has no form of its own "gateway/ID".
  std::string output;     // Empty: none.
};
// `gateway`: whose telemetry topic it is.  kInvalid: a name that cannot be one.
Result<SaidBy> saidBy(std::string_view source, std::string_view gateway);
// "module/NAME" or "gateway" of that gateway as the one above names it, and back; all others stay
// as they are.
std::string nameAbove(const std::string& principal, std::string_view gateway);
std::string nameBelow(const std::string& principal, std::string_view gateway);
// Whether it is that gateway itself or a module of it, by its name above.
bool isOf(std::string_view principal, std::string_view gateway);
// Whose whereabouts a principal shares: "device/ID" or "gateway/ID"; empty: it has none.
std::string_view placeOf(std::string_view principal);

// What a gateway's session hears of by a filter of its own; bits above those of HearsOf.
enum HearsAsGateway : std::uint8_t { kTwinsBelow = 16, kMethodsBelow = 32, kCloudBelow = 64 };
std::uint8_t gatewayInterestsOf(std::string_view filter);

}  // namespace kante::hub
