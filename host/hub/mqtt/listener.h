// One address where clients of the broker arrive.  Control thread.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "host/base/fd.h"
#include "host/base/result.h"
#include "host/hub/access.h"

namespace boost::asio {
class io_context;
}

namespace kante::hub {

class Listener {
 public:
  // A connection that was accepted.
  using Arrived = std::function<void(FileDescriptor socket, Peer peer)>;

  Listener(boost::asio::io_context& control, Arrived arrived);
  // host: an address or a name; port 0: any that is free.
  // Clients reach it from now on, and wait until accept().
  Status open(const std::string& host, std::uint16_t port);
  void accept() { arm(); }
  void close();
  std::uint16_t port() const { return port_; }

 private:
  void arm();
  void acceptAll();
  void rest();

  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer timer_;
  const Arrived arrived_;
  std::uint16_t port_ = 0;
};

}  // namespace kante::hub
