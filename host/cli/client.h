// The command line's end of the API socket: blocking requests with deadlines.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante::cli {

struct Reply {
  unsigned status = 0;
  std::string body;
};

// One connection to one host.  Not for several threads.
class Client {
 public:
  static constexpr int kTimeoutMs = 15'000;
  static constexpr std::uint64_t kReplyBytesMax = 64u << 20;

  // kUnavailable "no host at PATH" when nobody listens there.
  static Result<Client> connect(const std::string& socket);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // Any status is a Reply; an error is one of the connection.  timeout_ms: for the whole silence
  // before the answer; 0: for ever.
  Result<Reply> ask(std::string_view method, const std::string& target, std::string body = {},
                    const std::string& content_type = "application/json",
                    int timeout_ms = kTimeoutMs);
  // The body of a status 200 to 299; else the error that the host sent.
  Result<std::string> get(const std::string& target);
  Result<std::string> send(std::string_view method, const std::string& target, std::string body,
                           const std::string& content_type = "application/json",
                           int timeout_ms = kTimeoutMs);

  using Progress = std::function<void(std::uint64_t sent, std::uint64_t total)>;
  // POSTs the file from its beginning, and gives the answer's body.
  Result<std::string> upload(const std::string& target, int fd, const Progress& progress);

  // Gives each piece of an endless answer to `on_bytes` until it returns false or the host ends it.
  using OnBytes = std::function<bool(std::string_view bytes)>;
  Status follow(const std::string& target, const OnBytes& on_bytes);

 private:
  struct State;
  explicit Client(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The error that a Reply over 299 carries.
Error errorOf(const Reply& reply);

}  // namespace kante::cli
