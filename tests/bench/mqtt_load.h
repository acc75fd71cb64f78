// Load on an MQTT broker from processes of their own, and what it cost the broker.
//
// Publishers never have more under way than `window` messages that a subscriber has not read, so
// that no broker has a reason to drop any.  Both sides read and write as much at once as there is.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace kante::bench {

struct Load {
  std::uint32_t publishers = 1;
  std::uint32_t subscribers = 1;
  unsigned qos = 0;
  std::uint64_t messages = 0;  // Of all publishers together.
  std::uint32_t window = 2000;
  std::uint32_t pause_us = 0;  // Between two messages; 0: as fast as it goes.
  bool lasting = false;        // Sessions of subscribers outlive them.
  bool away = false;           // And the subscribers are gone: it ends with the last PUBACK.
};

struct LoadResult {
  double per_second = 0;  // Messages published and read by everybody.
  double cpu_us = 0;      // Of the broker, for each message that was published.
  double p50_us = 0;      // From write to read, with a pause.
  double p99_us = 0;
  std::uint64_t lost = 0;
};

constexpr std::size_t kLoadBodyBytes = 256;

// All that the process has used so far.
double cpuSeconds(pid_t pid);

// Ends the program when the broker does not answer.
LoadResult runLoad(std::uint16_t port, pid_t broker, const Load& load);

// A broker on a port of loopback; ends with it.
class BrokerProcess {
 public:
  // `kante run`, or mosquitto when `kante` is empty.  With a folder that has cert.pem and key.pem
  // it listens for TLS as well.
  enum class Saves : bool { kNothing, kEachSecond };  // Of mosquitto's.
  explicit BrokerProcess(const std::string& kante, const std::string& tls_folder = "",
                         Saves saves = Saves::kNothing);
  ~BrokerProcess();
  BrokerProcess(const BrokerProcess&) = delete;
  BrokerProcess& operator=(const BrokerProcess&) = delete;
  std::uint16_t port() const { return port_; }
  std::uint16_t tlsPort() const { return tls_port_; }
  pid_t pid() const { return pid_; }

 private:
  std::string folder_;
  std::uint16_t port_ = 0;
  std::uint16_t tls_port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace kante::bench
