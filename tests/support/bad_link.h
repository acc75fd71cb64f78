// Two network namespaces, "gateway" and "broker", and one link between them that is as bad as links
// are: packets are lost, late, few a second, or all of them vanish without a word.  The link is a
// pair of TUN devices; a thread of this carries their packets.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "host/base/fd.h"

namespace kante::testing {

struct LinkQuality {
  int delay_ms = 0;               // One way.
  double loss = 0;                // Of each packet, 0 … 1.
  std::uint64_t bytes_per_s = 0;  // Each way; 0: no limit.
  bool silent = false;            // Nothing arrives.
};

class BadLink {
 public:
  static constexpr char kGateway[] = "10.77.0.1";
  static constexpr char kBroker[] = "10.77.0.2";
  // What waits where the link is slow; beyond it packets are lost.
  static constexpr std::size_t kQueueBytesMax = 64 << 10;

  // Root, and devices to make: without them the tests that need one are skipped.
  static bool possible();

  BadLink();
  ~BadLink();
  BadLink(const BadLink&) = delete;
  BadLink& operator=(const BadLink&) = delete;

  void set(LinkQuality quality);
  // Runs work on a thread at that end; what it starts stays there.
  void atGateway(const std::function<void()>& work);
  void atBroker(const std::function<void()>& work);
  // As a modem that loses its network: the gateway's address and routes go, and come again.
  void takeAddress();
  void giveAddress();

 private:
  struct State;
  void carry();
  std::unique_ptr<State> state_;
  std::thread thread_;
};

}  // namespace kante::testing
