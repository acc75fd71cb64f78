#include "host/hub/http/websocket.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

#include "host/base/encoding.h"

namespace kante::hub {
namespace {

constexpr std::array<std::string_view, 3> kPaths = {"/", "/mqtt", "/$iothub/websocket"};

std::string acceptOf(const std::string& key) {
  const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, 1.3.
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return toBase64({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace

std::optional<Upgrade> upgradeOf(const WebRequest& request) {
  if (!request.hasToken("upgrade", "websocket") || !request.hasToken("connection", "upgrade"))
    return std::nullopt;
  if (request.method != "GET" || !request.body.empty())
    return Upgrade{400, "A WebSocket is asked for by GET, without a body"};
  const auto path = percentDecode(request.path());
  if (!path || std::find(kPaths.begin(), kPaths.end(), *path) == kPaths.end())
    return Upgrade{404, "There is no WebSocket here; use /mqtt or /$iothub/websocket"};
  const std::string* const version = request.field("sec-websocket-version");
  if (version == nullptr || *version != "13")
    return Upgrade{426, "Sec-WebSocket-Version 13 is spoken here"};
  const std::string* const key = request.field("sec-websocket-key");
  const auto bytes = key == nullptr ? Result<std::string>(std::string()) : fromBase64(*key);
  if (!bytes || bytes->size() != 16)
    return Upgrade{400, "Sec-WebSocket-Key is not 16 bytes in base64"};
  if (!request.hasToken("sec-websocket-protocol", "mqtt"))
    return Upgrade{400, "Sec-WebSocket-Protocol does not offer mqtt, which is all that is spoken"};
  return Upgrade{101, {}, acceptOf(*key)};
}

bool WebSocketFrames::fail(WebSocketCode code, const char* what) {
  code_ = code;
  fault_ = what;
  return false;
}

std::size_t WebSocketFrames::headSize() const {
  if (head_bytes_ < 2) return 2;
  const unsigned length = head_[1] & 0x7fu;
  return 2u + (length == 126 ? 2 : length == 127 ? 8 : 0) + 4;
}

bool WebSocketFrames::checkOpcode(bool final) {
  switch (opcode_) {
    case Opcode::kContinuation:
      if (!in_message_) return fail(WebSocketCode::kProtocolError, "a continuation of no message");
      in_message_ = !final;
      return true;
    case Opcode::kBinary:
      if (in_message_)
        return fail(WebSocketCode::kProtocolError, "a message within another message");
      in_message_ = !final;
      return true;
    case Opcode::kText:
      return fail(WebSocketCode::kNotBinary, "a text frame, where MQTT is binary");
    case Opcode::kClose:
    case Opcode::kPing:
    case Opcode::kPong:
      if (!final) return fail(WebSocketCode::kProtocolError, "a control frame in fragments");
      return true;
  }
  return fail(WebSocketCode::kProtocolError, "a frame of an unknown kind");
}

// Its first two bytes are judged before the others have come.
bool WebSocketFrames::beginFrame() {
  const unsigned first = head_[0];
  const unsigned length = head_[1] & 0x7fu;
  if ((first & 0x70u) != 0)
    return fail(WebSocketCode::kProtocolError, "a frame with bits of an extension");
  if ((head_[1] & 0x80u) == 0) return fail(WebSocketCode::kProtocolError, "a frame without a mask");
  opcode_ = static_cast<Opcode>(first & 0x0fu);
  if (isControl() && length > kControlMax)
    return fail(WebSocketCode::kProtocolError, "a control frame of more than 125 bytes");
  return checkOpcode((first & 0x80u) != 0);
}

void WebSocketFrames::unmask(const char* from, char* to, std::size_t size) {
  std::array<char, 8> key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = mask_[(mask_at_ + i) & 3];
  std::uint64_t mask = 0;
  std::memcpy(&mask, key.data(), sizeof mask);
  std::size_t at = 0;
  for (; at + sizeof mask <= size; at += sizeof mask) {  // `to` is never behind `from`.
    std::uint64_t word = 0;
    std::memcpy(&word, from + at, sizeof word);
    word ^= mask;
    std::memcpy(to + at, &word, sizeof word);
  }
  for (; at < size; ++at) to[at] = static_cast<char>(from[at] ^ key[at & 7]);
  mask_at_ = (mask_at_ + size) & 3;
}

void WebSocketFrames::hearClose() {
  closed_ = true;
  code_ = WebSocketCode::kNoStatus;
  if (control_.empty()) return;
  const auto byte = [this](std::size_t i) { return static_cast<unsigned char>(control_[i]); };
  const unsigned code = control_.size() < 2 ? 0 : static_cast<unsigned>(byte(0) << 8 | byte(1));
  const bool registered =
      code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
  if (!registered && (code < 3000 || code > 4999)) {
    fail(WebSocketCode::kProtocolError, "a close frame with a code that may not be sent");
    return;
  }
  if (!isUtf8(std::string_view(control_).substr(2))) {
    fail(WebSocketCode::kNotUtf8, "a close frame whose reason is not UTF-8");
    return;
  }
  code_ = static_cast<WebSocketCode>(code);
}

void WebSocketFrames::endFrame() {
  in_payload_ = false;
  head_bytes_ = 0;
  if (!isControl()) return;
  if (opcode_ == Opcode::kPing) ping_ = control_;
  if (opcode_ == Opcode::kClose) hearClose();
  control_.clear();
}

std::size_t WebSocketFrames::decode(std::span<char> bytes) {
  std::size_t out = 0;
  std::size_t at = 0;
  while (!stopped() && (at < bytes.size() || (in_payload_ && left_ == 0))) {
    if (!in_payload_) {
      head_[head_bytes_++] = static_cast<std::uint8_t>(bytes[at++]);
      if (head_bytes_ == 2 && !beginFrame()) break;
      const std::size_t size = headSize();
      if (head_bytes_ < size) continue;
      const std::size_t length_bytes = size - 6;
      left_ = length_bytes == 0 ? head_[1] & 0x7fu : 0;
      for (std::size_t i = 0; i < length_bytes; ++i) left_ = left_ << 8 | head_[2 + i];
      const bool short_form =
          (length_bytes == 2 && left_ < 126) || (length_bytes == 8 && left_ <= 0xffff);
      if (short_form || (left_ >> 63) != 0) {
        fail(WebSocketCode::kProtocolError, "a length that is not in its shortest form");
        break;
      }
      std::memcpy(mask_.data(), head_.data() + size - 4, mask_.size());
      mask_at_ = 0;
      in_payload_ = true;
      continue;
    }
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size() - at));
    if (isControl()) {
      const std::size_t before = control_.size();
      control_.resize(before + count);
      unmask(bytes.data() + at, control_.data() + before, count);
    } else {
      unmask(bytes.data() + at, bytes.data() + out, count);
      out += count;
    }
    at += count;
    left_ -= count;
    if (left_ == 0) endFrame();
  }
  return out;
}

void appendWebSocketHead(std::string& out, WebSocketKind kind, std::size_t size) {
  out += static_cast<char>(0x80u | static_cast<unsigned>(kind));
  if (size < 126) {
    out += static_cast<char>(size);
    return;
  }
  const int bytes = size <= 0xffff ? 2 : 8;
  out += static_cast<char>(bytes == 2 ? 126 : 127);
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(size >> (8 * i) & 0xffu);
}

void appendWebSocketClose(std::string& out, WebSocketCode code) {
  const auto number = static_cast<unsigned>(code);
  const bool has_code = code != WebSocketCode::kNoStatus && code != WebSocketCode::kNone;
  appendWebSocketHead(out, WebSocketKind::kClose, has_code ? 2 : 0);
  if (!has_code) return;
  out += static_cast<char>(number >> 8);
  out += static_cast<char>(number & 0xffu);
}

}  // namespace kante::hub
