// One client that speaks HTTP: reads a request, has it answered, reads the next; or becomes a
// WebSocket, with its transport.
//
// The shard's thread only.  Shared by the shard's set, its timer and tasks under way.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "host/hub/access.h"
#include "host/hub/http/request.h"
#include "host/hub/http/web_handler.h"
#include "host/hub/mqtt/transport.h"
#include "host/shard/reactor.h"

namespace kante::hub {

class WebShard;

class WebConnection final : public Watched, public std::enable_shared_from_this<WebConnection> {
 public:
  WebConnection(WebShard& owner, std::unique_ptr<Transport> transport, Peer peer);
  ~WebConnection();
  void begin();
  void end();
  void ready(std::uint32_t events) override;

 private:
  using Clock = Timer::Clock;
  enum class State : std::uint8_t { kReading, kAnswering, kWriting, kLingering, kEnded };
  static constexpr std::size_t kReadBytes = 16u << 10;
  static constexpr int kReadsAtOnce = 4;  // Before others on the shard have their turn.

  void readSoon();
  void read();
  void take(std::string_view bytes);
  void onBytes();
  void dispatch();
  void upgrade(const WebRequest& request, const std::string& accept);
  void becomeWebSocket();
  bool hold(std::size_t bytes);
  void refuse();
  void answer(const WebResponse& response);
  void write();
  void written();
  void nextRequest();
  void linger();
  void setDeadline(std::int64_t ms);
  void onDeadline();
  void onLate();

  WebShard& owner_;
  std::unique_ptr<Transport> transport_;
  Peer peer_;
  Timer timer_;
  Clock::time_point deadline_;
  Clock::time_point body_began_;
  std::size_t body_bytes_ = 0;
  std::size_t held_ = 0;  // Of the shard's room for bodies.
  State state_ = State::kReading;
  bool keeps_alive_ = true;
  bool served_ = false;  // It has had a request.
  bool upgrading_ = false;
  WebRequestReader reader_;
  std::string rest_;  // Behind the request at hand.
  std::string out_;
};

}  // namespace kante::hub
