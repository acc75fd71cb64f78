// An HTTP server on 127.0.0.1 whose answers a test makes up, one connection after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "host/base/fd.h"

namespace kante::testing {

class FileServer {
 public:
  struct Request {
    std::string path;
    std::optional<std::uint64_t> from;  // Of "Range: bytes=FROM-".
    std::size_t number = 0;             // From 0.
  };
  struct Answer {
    int status = 200;
    std::string body;
    std::string headers = {};                   // Lines that end with \r\n.
    std::optional<std::size_t> cut_after = {};  // So many bytes of the body come.
    bool stalls = false;                        // Then nothing more, until the client goes.
  };
  using Serve = std::function<Answer(const Request&)>;  // On the server's thread.

  explicit FileServer(Serve serve);
  ~FileServer();
  FileServer(const FileServer&) = delete;
  FileServer& operator=(const FileServer&) = delete;

  std::string url(const std::string& path) const;
  std::vector<Request> requests() const;

  // As a server does that knows ranges.
  static Answer rangeOf(const std::string& bytes, const Request& request);

 private:
  void run();
  void converse(int client);

  Serve serve_;
  FileDescriptor listener_;
  FileDescriptor stop_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<Request> requests_;
  std::thread thread_;
};

}  // namespace kante::testing
