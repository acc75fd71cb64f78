// The connections of one shard that speak HTTP, until they become WebSockets or end.
//
// They take turns in the shard's own event loop and never block it.  What one may take of it: a
// head of 16 KiB, a body of 256 KiB, and time (WebTimes).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

#include "host/hub/access.h"
#include "host/hub/http/web_counters.h"
#include "host/hub/http/web_handler.h"
#include "host/hub/mqtt/counters.h"
#include "host/hub/mqtt/transport.h"
#include "host/shard/shard.h"

namespace kante::hub {

class WebConnection;

struct WebTimes {
  std::uint32_t head_ms = 10'000;  // From a connection or the first byte to a whole head.
  // A body may take so long, and for each KiB that has come a second more: a client is slow, or it
  // is none.
  std::uint32_t body_ms = 10'000;
  std::uint32_t idle_ms = 60'000;   // Between requests.
  std::uint32_t write_ms = 30'000;  // For an answer to leave.
  // For whoever answers: the longest that a method may take, with the wait for who has it.
  std::uint32_t answer_ms = 610'000;
};

class WebShard {
 public:
  struct Options {
    WebTimes times;
    std::size_t bodies_bytes_max = 32u << 20;  // Of all requests together that are still coming.
    WebHandler* handler = nullptr;             // Null: only WebSockets are served.
    // A WebSocket on which MQTT begins; the shard's thread.
    std::function<void(std::unique_ptr<Transport>, Peer)> upgraded;
    std::function<void()> closed;  // One connection less.
    std::function<void(Refusal, const std::string& who, const std::string& text)> report;
  };
  WebShard(std::shared_ptr<Shard> shard, Options options);
  ~WebShard();
  WebShard(const WebShard&) = delete;
  WebShard& operator=(const WebShard&) = delete;

  void accept(std::unique_ptr<Transport> transport, Peer peer);  // Any thread.
  // Ends all; `done` on the shard's thread.
  void stop(std::function<void()> done);
  const WebCounters& counters() const { return counters_; }

  // ---- for connections; the shard's thread ----
  Shard& shard() { return *shard_; }
  const Options& options() const { return options_; }
  WebCounters& count() { return counters_; }
  void forget(const std::shared_ptr<WebConnection>& connection);
  // Bodies have grown, or shrunk; false: there is no room, and they are as they were.
  bool hold(std::ptrdiff_t more);

 private:
  const std::shared_ptr<Shard> shard_;
  const Options options_;
  WebCounters counters_;
  std::unordered_set<std::shared_ptr<WebConnection>> connections_;  // Shared with their handlers.
  std::size_t held_ = 0;
  bool stopped_ = false;
};

}  // namespace kante::hub
