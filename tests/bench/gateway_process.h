// A real `kante run` in its own process and folder, as the benchmarks of start and memory need it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace kante::bench {

// Made in a fresh folder below /tmp, removed with it.
class GatewayProcess {
 public:
  // extra: how many more instances of the beacon, beyond sensor, filter and beacon.
  GatewayProcess(std::string kante, int extra);
  ~GatewayProcess();
  GatewayProcess(const GatewayProcess&) = delete;
  GatewayProcess& operator=(const GatewayProcess&) = delete;

  // From exec to the first message at the beacon, in milliseconds.
  double start();
  void stop();
  // Proportional set size of the process, and of nothing else, in KiB.
  double pssKib() const;

 private:
  std::string kante_;
  std::string folder_;
  pid_t pid_ = -1;
};

// mosquitto on a free loopback port: from exec to its CONNACK in milliseconds, then its PSS.
struct BrokerFigures {
  double start_ms = 0;
  double pss_kib = 0;
};
BrokerFigures measureMosquitto();

double pssKib(pid_t pid);
// Below /tmp; ends the program when there is none to be had.
std::string freshFolder();

}  // namespace kante::bench
