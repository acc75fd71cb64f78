// The sockets that DeviceOpener hands to modules: connected ones, and those that peers made.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "host/placement/device_opener.h"

namespace kante {

// Control thread.  TCP and UDP; a UDP socket is connected, so it hears and speaks to that peer
// alone.
void connectTo(boost::asio::io_context& control, const DeviceWish& wish, std::int64_t patience_ms,
               DeviceOpener::Answer answer);

// Control thread, but for the destructor.  Its owner ends it.
class DeviceOpener::Session {
 public:
  Session(boost::asio::io_context& control, std::string module)
      : control_(control), module_(std::move(module)) {}
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const std::string& module() const { return module_; }
  void connect(const DeviceWish& wish, std::int64_t patience_ms, Answer answer);
  // The next peer; the first call for a port begins to listen to it.
  void accept(const DeviceWish& wish, Answer answer);
  void end();

 private:
  struct Listener {
    explicit Listener(boost::asio::io_context& control) : acceptor(control) {}
    boost::asio::ip::tcp::acceptor acceptor;
    std::deque<Answer> waiting;
    bool accepting = false;
  };
  using Listeners = std::map<std::string, std::shared_ptr<Listener>>;  // By address and port.
  static void acceptNext(const std::shared_ptr<Listener>& listener);
  static void close(Listeners listeners);

  boost::asio::io_context& control_;
  const std::string module_;
  Listeners listeners_;
  const std::shared_ptr<std::size_t> connecting_ =
      std::make_shared<std::size_t>(0);  // Shared with the answers that are still to come.
  bool ended_ = false;
};

}  // namespace kante
