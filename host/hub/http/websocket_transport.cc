#include "host/hub/http/websocket_transport.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

namespace kante::hub {
namespace {

// Up to here it is cheaper to copy than to write in parts, which TLS makes records of.
constexpr std::size_t kCopiedMax = 16u << 10;

std::size_t sizeOf(std::span<const iovec> parts) {
  std::size_t size = 0;
  for (const iovec& part : parts) size += part.iov_len;
  return size;
}

}  // namespace

Transport::Moved WebSocketTransport::read(std::span<char> into) {
  if (isOver() && !std::exchange(told_over_, true)) return {Flow::kClosed, 0};
  Moved moved{Flow::kOk, 0, true};
  if (early_.empty()) {
    moved = inner_->read(into);
  } else {
    moved.bytes = std::min(into.size(), early_.size());
    std::memcpy(into.data(), early_.data(), moved.bytes);
    early_.erase(0, moved.bytes);
  }
  gone_ = gone_ || moved.flow == Flow::kClosed;
  if (moved.flow != Flow::kOk) return moved;
  moved.bytes = frames_.decode(into.first(moved.bytes));  // Nothing, once it is over.
  (void)writeOwn();
  moved.more = moved.more || isOver();
  return moved;
}

// A frame is whole before another one begins.
Transport::Flow WebSocketTransport::writeOwn() {
  if (owed_ > 0) return Flow::kOk;
  if (own_.empty())
    if (const auto ping = frames_.takePing()) {
      appendWebSocketHead(own_, WebSocketKind::kPong, ping->size());
      own_ += *ping;
    }
  if (own_.empty()) return Flow::kOk;
  const iovec part{own_.data(), own_.size()};
  const Moved moved = inner_->write(std::span(&part, 1));
  own_.erase(0, moved.bytes);
  if (moved.flow == Flow::kClosed) return moved.flow;
  return own_.empty() ? Flow::kOk : Flow::kAgain;
}

// What is left of the frame at hand, and no more.
Transport::Moved WebSocketTransport::writeFrame(std::span<const iovec> parts) {
  std::size_t room = std::min(owed_, sizeOf(parts));
  if (const std::size_t size = own_.size() + room; size <= kCopiedMax) {
    std::array<char, kCopiedMax> copied;
    std::memcpy(copied.data(), own_.data(), own_.size());
    std::size_t at = own_.size();
    for (const iovec& part : parts) {
      const std::size_t count = std::min(part.iov_len, size - at);
      if (count > 0) std::memcpy(copied.data() + at, part.iov_base, count);
      at += count;
    }
    const iovec one{copied.data(), size};
    return inner_->write(std::span(&one, 1));
  }
  std::vector<iovec> whole;
  whole.reserve(parts.size() + 1);
  if (!own_.empty()) whole.push_back({own_.data(), own_.size()});
  for (const iovec& part : parts) {
    if (room == 0) break;
    whole.push_back({part.iov_base, std::min(part.iov_len, room)});
    room -= whole.back().iov_len;
  }
  return inner_->write(whole);
}

Transport::Moved WebSocketTransport::write(std::span<const iovec> parts) {
  if (const Flow flow = writeOwn(); flow != Flow::kOk) return {flow, 0};
  if (owed_ == 0) {
    owed_ = sizeOf(parts);
    appendWebSocketHead(own_, WebSocketKind::kBinary, owed_);
  }
  Moved moved = writeFrame(parts);
  const std::size_t own = std::min(own_.size(), moved.bytes);
  own_.erase(0, own);
  moved.bytes -= own;
  owed_ -= moved.bytes;
  if (moved.flow == Flow::kOk && moved.bytes == 0) moved.flow = Flow::kAgain;
  return moved;
}

void WebSocketTransport::shutDown() {
  if (owed_ == 0) {
    const WebSocketCode code = frames_.closeCode();
    appendWebSocketClose(own_, code == WebSocketCode::kNone ? WebSocketCode::kNormal : code);
    (void)writeOwn();
  }
  inner_->shutDown();
}

}  // namespace kante::hub
