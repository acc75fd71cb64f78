// The API's listeners: a UNIX socket for operators and, if wanted, a read-only TCP one.
//
// Lives on the control io_context.  Bounds: connections, header and body sizes, and a deadline for
// each step (Limits).  A connection costs about 3 KB and, while a file is uploaded, 64 KB more.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/base/result.h"

namespace boost::asio {
class io_context;
}

namespace kante {

class Log;
class Router;

class ApiServer {
 public:
  struct Limits {
    std::size_t socket_connections_max = 64;
    std::size_t http_connections_max = 32;
    std::uint32_t header_bytes_max = 16 * 1024;
    std::chrono::milliseconds idle{60'000};      // Between requests.
    std::chrono::milliseconds header{10'000};    // From its first byte to its end.
    std::chrono::milliseconds progress{30'000};  // Without a byte of a body, either way.
    std::chrono::milliseconds pulse{15'000};     // Of a stream that has nothing to say.
  };
  struct Options {
    std::string socket;           // Path; empty: none.
    bool group_expected = false;  // Somebody named it: then name services are asked, too.
    std::string group;            // Its members are operators, too.
    // Not empty: the socket is no operators', but this caller's: whoever can open it is.
    std::string everybody;
    std::string http;                     // "127.0.0.1:9180"; empty: off.
    std::vector<std::string> host_names;  // What Host may say besides addresses and localhost.
    int upload_dir_fd = -1;               // Where uploads become unnamed files; borrowed.
    Limits limits;
  };

  // All borrowed; they outlive the server.  Routes may be added until start().
  ApiServer(boost::asio::io_context& control, const Router& router, Log& log, Options options);
  ~ApiServer();  // Closes everything.
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  // Listens.  A socket file that nobody listens on is replaced; one in use is kState.
  Status start();
  // No new connections; those that wait for an answer get it, streams end.
  void stop();

  std::uint16_t httpPort() const;  // The bound one; 0: off.
  std::size_t connections() const;
  std::uint64_t refused() const;  // At a bound or for who they are, since start.

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared weakly with accept loops and connections.
};

}  // namespace kante
