// MQTT within WebSocket: the payload of binary frames is the stream, wherever frames begin and end.
//
// Pings are answered and never sent: there are SDKs that end a connection for one.  What is sent
// with one write is one frame.
#pragma once

#include <memory>
#include <string>

#include "host/hub/http/websocket.h"
#include "host/hub/mqtt/transport.h"

namespace kante::hub {

class WebSocketTransport final : public Transport {
 public:
  // After the answer to the upgrade was written; `early`: what has come behind the request.
  WebSocketTransport(std::unique_ptr<Transport> inner, std::string early)
      : inner_(std::move(inner)), early_(std::move(early)) {}
  Moved read(std::span<char> into) override;
  Moved write(std::span<const iovec> parts) override;
  Flow writeOwn() override;
  int descriptor() const override { return inner_->descriptor(); }
  void describe(Peer& peer) const override { inner_->describe(peer); }
  const char* fault() const override { return frames_.fault(); }
  bool expectsGoodbye() const override { return !frames_.closed() && !gone_; }
  void shutDown() override;

 private:
  Moved writeFrame(std::span<const iovec> parts);
  bool isOver() const { return frames_.closed() || frames_.fault() != nullptr; }

  std::unique_ptr<Transport> inner_;
  std::string early_;
  WebSocketFrames frames_;
  // Begun: a head, or a control frame.  Once a write was tried with it nothing may come before it.
  std::string own_;
  std::size_t owed_ = 0;  // Payload that a head has promised and that was not written yet.
  bool told_over_ = false;
  bool gone_ = false;  // The inner one has no more to read.
};

}  // namespace kante::hub
