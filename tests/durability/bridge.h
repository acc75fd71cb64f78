// The same load through mosquitto's own bridge: a local broker with persistence takes QoS 1
// messages and bridges them, QoS 1, to the broker where the receiver is; it is cut by kill -9 and
// started again like the gateway.  A PUBACK is its word that it has the message.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <string>

namespace kante::durability {

// How often the local broker writes its database.
enum class Autosave {
  kDefault,     // mosquitto's: every 30 minutes and in order at its end.
  kEachSecond,  // autosave_interval 1
  kEachChange,  // autosave_on_changes true, autosave_interval 1: as careful as it can be told to
                // be.
};

struct BridgeReport {
  Autosave autosave = Autosave::kDefault;
  std::uint64_t cuts = 0;
  std::uint64_t published = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t received = 0;  // Distinct.
  std::uint64_t duplicates = 0;
  std::uint64_t acknowledged_lost = 0;
  double seconds = 0;
};

BridgeReport runBridge(Autosave autosave, std::uint64_t cuts, std::uint64_t seed);
boost::json::object jsonOf(const BridgeReport& report);

}  // namespace kante::durability
