// One connection of the API: reads a request, has it answered, reads the next.  Internal to
// server.cc.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/api/server.h"

namespace kante {

// How this connection came in.
enum class Door { kSocket, kReadOnly };

struct ConnectionSetup {
  const Router& router;
  ApiServer::Limits limits;
  std::vector<std::string> host_names;
  int upload_dir_fd = -1;
  Door door = Door::kSocket;
  std::string caller;               // For kSocket.
  std::function<void()> on_closed;  // When the last of it is gone.
};

class Connection {
 public:
  using Socket = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol,
                                                  boost::asio::io_context::executor_type>;
  virtual ~Connection() = default;
  // Ends after the answer that is being made; at once when it waits for a request; streams end.
  virtual void stop() = 0;
};

// Keeps itself alive until it is closed.
std::shared_ptr<Connection> startConnection(Connection::Socket socket, ConnectionSetup setup);

}  // namespace kante
