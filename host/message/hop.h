// What the host knows of a message, as opposed to what its author says: who sent it, when it came,
// how far it has travelled.  Made at emit or receipt and kept beside the reference, so a module may
// pass on the words it got and nobody forges a sender.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace kante {

// A sender, immutable.  Empty texts mean "undefined" to routes.
struct Source {
  std::string principal;  // "module/filter", "device/car-7", "device/car-7/module/m"
  std::string output;     // A module's output, else empty.
  std::string path;       // "/messages/modules/filter/outputs/alert"; "/messages" for leaf devices.
  std::string topic;      // The MQTT topic of a topic source, else empty.
  std::string connection_device_id;  // The gateway's own id for its modules.
  std::string connection_module_id;
  std::string
      telemetry_name;  // SOURCE of the uplink's topic: "module/filter/alert", "device/car-7".
  // The gateway that numbered it first and the epoch of its store, when it came from one below this
  // one; else empty.
  std::string origin_gateway = {};
  std::string origin_epoch = {};
};

// How many modules and gateways a message may pass before it is dropped, reason `loop`.
inline constexpr std::uint8_t kHopsMax = 16;

struct Hop {
  const Source* source = nullptr;  // From a SourceTable, which outlives all hops.
  std::int64_t arrived_ns = 0;     // Wall time of the turn in which it came.
  // In one word, because a hop lies in every lane.
  std::uint64_t hops : 8 = 1;
  std::uint64_t origin_number : 56 = 0;  // Of the source's origin_gateway and epoch; 0: none.
};
inline constexpr std::uint64_t kOriginNumberMax = (std::uint64_t{1} << 56) - 1;

// Interns senders, so that a hop is a pointer and never counts.  As many as distinct outputs were
// ever deployed in this process's life, and what whoever interns for clients lets in; nothing is
// removed.  Any thread.
class SourceTable {
 public:
  // Of all hosts of this process, and never destroyed: what a host has given to the store or a
  // module may name its senders when that host is gone.
  static SourceTable& ofThisProcess();

  const Source* intern(const Source& source);
  const Source* moduleOutput(const std::string& gateway_id, const std::string& module,
                             const std::string& output);

 private:
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<const Source>> sources_;  // By all that tells them apart.
};

}  // namespace kante
