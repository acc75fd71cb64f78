// The server's side of WebSocket (RFC 6455): who may have one, and the frames of a client.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "host/hub/http/request.h"

namespace kante::hub {

// What a request for a WebSocket is answered.
struct Upgrade {
  unsigned status = 101;
  std::string why = {};     // A sentence, unless 101.
  std::string accept = {};  // Sec-WebSocket-Accept, with 101.
};
// Nothing: it asks for none.  MQTT is on "/", "/mqtt" and "/$iothub/websocket", with whatever
// query.
std::optional<Upgrade> upgradeOf(const WebRequest& request);

enum class WebSocketCode : std::uint16_t {
  kNone = 0,
  kNormal = 1000,
  kProtocolError = 1002,
  kNotBinary = 1003,
  kNoStatus = 1005,  // Never sent.
  kNotUtf8 = 1007
};

// Takes a client's frames apart.  Only control frames, of at most 125 bytes, are kept.
class WebSocketFrames {
 public:
  // In place: what binary frames carry comes to stand at the front; says how much it is.  Nothing
  // more is taken once the other end has closed or broken the rules.
  std::size_t decode(std::span<char> bytes);

  // The last ping that asks for an answer; pings before it need none.
  std::optional<std::string> takePing() { return std::exchange(ping_, std::nullopt); }
  // It has sent a close frame, with this code.
  bool closed() const { return closed_; }
  WebSocketCode closeCode() const { return code_; }
  // What it broke, and the code that says so; null: nothing.
  const char* fault() const { return fault_; }

 private:
  enum class Opcode : std::uint8_t {
    kContinuation = 0,
    kText = 1,
    kBinary = 2,
    kClose = 8,
    kPing = 9,
    kPong = 10
  };
  static constexpr std::size_t kControlMax = 125;

  bool isControl() const { return (static_cast<unsigned>(opcode_) & 8u) != 0; }
  bool stopped() const { return closed_ || fault_ != nullptr; }
  std::size_t headSize() const;
  bool beginFrame();
  bool checkOpcode(bool final);
  void endFrame();
  void hearClose();
  bool fail(WebSocketCode code, const char* what);
  void unmask(const char* from, char* to, std::size_t size);

  std::array<std::uint8_t, 14> head_{};
  std::uint8_t head_bytes_ = 0;
  bool in_payload_ = false;
  bool in_message_ = false;  // Fragments of it are still to come.
  Opcode opcode_ = Opcode::kBinary;
  std::uint64_t left_ = 0;  // Of the frame's payload.
  std::array<char, 4> mask_{};
  std::size_t mask_at_ = 0;
  std::string control_;
  std::optional<std::string> ping_;
  bool closed_ = false;
  WebSocketCode code_ = WebSocketCode::kNone;
  const char* fault_ = nullptr;
};

// A head of the server's: one frame, whole and unmasked, of `size` bytes of payload.
enum class WebSocketKind : std::uint8_t { kBinary = 2, kClose = 8, kPong = 10 };
void appendWebSocketHead(std::string& out, WebSocketKind kind, std::size_t size);
void appendWebSocketClose(std::string& out, WebSocketCode code);

}  // namespace kante::hub
