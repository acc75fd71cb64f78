// One request to the container engine over a connection of its own, and its answer.
//
// Lives on the control thread.  Whoever holds the handle owns the call: dropping it closes the
// connection, and nothing of the order is called any more.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace boost::asio {
class io_context;
}

namespace kante {

struct EngineAnswer {
  unsigned status = 0;  // Below 400; what is above became an error.
  std::string body;     // Empty for a stream.
};

struct EngineOrder {
  static constexpr std::size_t kAnswerBytesMax = 16u << 20;
  static constexpr std::size_t kRefusalBytesMax = 64u << 10;
  static constexpr std::size_t kHeaderBytesMax = 16u << 10;

  std::string socket;
  std::string what;  // "start container kante-g-a": what errors begin with.
  std::string method = "GET";
  std::string target;
  std::string registry_auth;  // X-Registry-Auth; empty: none.
  std::string body;           // JSON; empty: none.
  // Of the whole answer; of a stream until it begins.  0: as long as it takes.
  std::chrono::milliseconds deadline{60'000};
  std::chrono::milliseconds silence{
      0};  // Of a stream, between two pieces.  0: as long as it takes.

  // Both or none: the body is handed on as it comes, and not kept.
  std::function<void()> opened;                  // The engine agreed, and its stream begins.
  std::function<Status(std::string_view)> took;  // An error ends the call with it.
  // Set when the handle is dropped, for those who hand on more than one thing of a piece.
  std::shared_ptr<bool> dropped = std::make_shared<bool>(false);

  // Once.  kUnavailable: no engine, or it went away; kDenied: may not use its socket, or it
  // refuses; kNotFound, kConflict, kInvalid, kIo: what the engine said; kTimeout; kLimit; kCorrupt.
  std::function<void(Result<EngineAnswer>)> done;
};

[[nodiscard]] std::shared_ptr<void> startEngineCall(boost::asio::io_context& control,
                                                    EngineOrder order);

}  // namespace kante
