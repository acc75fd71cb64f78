// A TCP proxy on 127.0.0.1 that does to the connections through it what bad links, portals and
// broken brokers do.  For loss and delay of packets, see bad_link.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "host/base/fd.h"

namespace kante::testing {

class ToxicProxy {
 public:
  // What becomes of an MQTT packet, whole with its header.
  struct Fate {
    enum class Kind {
      kPass,
      kDrop,
      kAnswer,  // Goes no further; `bytes` are sent back, and the connection ends.
      kReplace  // By `bytes`.
    } kind = Kind::kPass;
    std::string bytes = {};
    std::chrono::milliseconds delay{0};
  };
  using Filter = std::function<Fate(const std::string& packet)>;

  explicit ToxicProxy(std::uint16_t to_port);
  ~ToxicProxy();
  ToxicProxy(const ToxicProxy&) = delete;
  ToxicProxy& operator=(const ToxicProxy&) = delete;

  std::uint16_t port() const { return port_; }
  std::string url() const { return "mqtt://127.0.0.1:" + std::to_string(port_); }
  // Connections taken since the beginning, and open now.
  std::size_t taken() const;
  std::size_t open() const;

  // Bytes stay where they are, both ways; the connections stay open.
  void freeze(bool frozen);
  // Ends each connection, as if a router forgot it: FIN or RST to both sides.
  void cut();
  void reset();
  // Takes no more connections: each new one is reset at once.
  void refuse(bool refusing);
  // At most so many bytes a second, each way; 0: no limit.
  void throttle(std::size_t bytes_per_s);
  // Answers the first bytes of each new connection with this and ends it; empty: off.
  void answerAll(std::string bytes);
  // Of packets from the client, or from the broker.  Plain text only.  Called on the proxy's
  // thread.
  void fromClient(Filter filter);
  void fromBroker(Filter filter);

 private:
  struct State;
  void run();
  void wake();

  std::unique_ptr<State> state_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace kante::testing
