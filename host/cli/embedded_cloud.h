// The demo's cloud: takes what the uplink publishes, checks every number, and can lose its link.
//
// An UplinkClient without a network, so that the demo needs no broker; store, forwarder, numbers
// and acknowledgements are the real ones.  It receives a message kTransitMs after it was published
// and answers as much later; when the link is cut, what was on its way up never arrived, and what
// was on its way down is answered only after the next connect, when it is repeated, as MQTT does.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "host/uplink/client.h"

namespace kante::cli {

// Which numbers of each epoch arrived.
class NumberCheck {
 public:
  void received(const std::string& epoch, std::uint64_t number);
  std::uint64_t delivered() const { return delivered_; }
  std::uint64_t duplicates() const { return duplicates_; }
  // Numbers below the highest of their epoch that never came.
  std::uint64_t gaps() const;

 private:
  struct Epoch {
    std::uint64_t whole = 0;         // Every number up to here came.
    std::set<std::uint64_t> beyond;  // What came early.
  };
  std::map<std::string, Epoch> epochs_;
  std::uint64_t delivered_ = 0;
  std::uint64_t duplicates_ = 0;
};

class EmbeddedCloud {
 public:
  static constexpr int kTransitMs = 5;

  enum class Link { kUp, kDown };
  struct Figures {
    std::uint64_t delivered = 0;
    std::uint64_t duplicates = 0;
    std::uint64_t gaps = 0;
    std::map<std::string, std::uint64_t> by_source;
    std::string last;  // Topic and body of the newest message, for people.
  };

  EmbeddedCloud();
  ~EmbeddedCloud();
  // The client for the uplink; one.  The cloud outlives it.
  std::unique_ptr<UplinkClient> client();
  void setLink(Link link);  // Any thread.
  Figures figures() const;  // Any thread.

 private:
  class Client;
  struct Shared;
  std::shared_ptr<Shared> shared_;  // Joint owners: this, and the client whose thread uses it.
};

}  // namespace kante::cli
