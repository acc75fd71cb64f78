// The way to the cloud, whatever its kind: it drains the durable queue "upstream" and carries
// commands down.  Made and owned by the host's wiring; control thread unless said.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "host/base/result.h"
#include "host/uplink/budget.h"
#include "host/uplink/traffic.h"

namespace kante {

class MetricWriter;

struct UplinkStatus {
  std::string kind;      // "mqtt"
  std::string state;     // connecting | connected | disconnected | stopped
  std::string protocol;  // "5" or "3.1.1"; of MQTT.
  std::string reason;    // Why it is not connected; empty when it is.
  std::string epoch;
  std::uint64_t seq = 0;  // The last number given; 0: none yet.
  std::uint64_t backlog_messages = 0;
  std::uint64_t backlog_bytes = 0;
  std::uint64_t in_flight = 0;
  std::uint64_t acknowledged = 0;       // Since start.
  std::uint64_t connects = 0;           // Since start.
  std::uint64_t refused = 0;            // Given up by the broker for good, since start: `…/lost`.
  std::uint64_t dropped_documents = 0;  // Signed, for want of room, since start.
  std::int64_t oldest_s = -1;  // Age of the oldest that waits; below 0: none, or not known yet.
  std::int64_t drain_s = -1;   // Until nothing waits, at the present rate; below 0: never.
  BudgetStatus budget;         // Without limits: none is set.
  TrafficReport traffic;
  // What somebody should look at although the link may be up: the broker refuses what it should
  // take, a certificate ends soon.  Empty: nothing.
  std::string alarm;
};

class Uplink {
 public:
  virtual ~Uplink() = default;
  virtual Status start() = 0;
  // Waits for its thread.  What was not acknowledged stays in the store.
  virtual void stop() = 0;
  virtual UplinkStatus status() const = 0;                // Any thread.
  virtual void collect(MetricWriter& metrics) const = 0;  // Any thread.
};

}  // namespace kante
