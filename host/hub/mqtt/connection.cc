#include "host/hub/mqtt/connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "host/hub/mqtt/engine.h"
#include "host/mqtt/write.h"

namespace kante::hub {
namespace {

constexpr std::int64_t kMs = 1'000'000;

}  // namespace

Connection::Connection(Engine& engine, std::unique_ptr<Transport> transport,
                       std::unique_ptr<Peer> peer, std::uint64_t number)
    : engine_(engine),
      transport_(std::move(transport)),
      peer_(std::move(peer)),
      number_(number),
      heard_ns_(engine.now()) {}

Connection::~Connection() = default;

void Connection::begin() {
  engine_.timers().set(*this,
                       engine_.now() + std::int64_t{engine_.limits().connect_timeout_ms} * kMs);
  engine_.surroundings().watch(*this);
  engine_.surroundings().readAgain(*this);  // A WebSocket may have brought bytes with it.
}

std::string& Connection::answers() {
  engine_.flushLater(*this);
  return answers_;
}

// ---- time

void Connection::armKeepAlive() {
  const std::int64_t silent = keep_alive_ns_ == 0 ? kNone : heard_ns_ + keep_alive_ns_;
  const std::int64_t next = std::min({paused_ ? pause_ends_ns_ : silent, expires_ns_});
  if (next == kNone) return cancel();
  engine_.timers().set(*this, next);
}

void Connection::due() {
  const std::int64_t now = engine_.now();
  switch (state_) {
    case State::kConnecting:
      return endFor(mqtt::Reason::kProtocolError, Refusal::kTimeout, "no CONNECT came in time");
    case State::kConnected:
      if (expires_ns_ <= now)
        return endFor(mqtt::Reason::kNotAuthorized, Refusal::kTimeout,
                      "the credentials have expired");
      if (paused_ && pause_ends_ns_ <= now)
        return endFor(mqtt::Reason::kQuotaExceeded, Refusal::kStalled,
                      "a route had no room for its message for too long");
      if (!paused_ && keep_alive_ns_ != 0 && heard_ns_ + keep_alive_ns_ <= now)
        return endFor(mqtt::Reason::kKeepAliveTimeout, Refusal::kTimeout,
                      "nothing was heard within the keep-alive");
      return armKeepAlive();
    case State::kLingering:
    case State::kEnded: return bury();
  }
}

// ---- routes without room

// At most half of what the client allows itself, or it would take the connection for dead.
void Connection::pause() {
  paused_ = true;
  if (pause_ends_ns_ == kNone)
    pause_ends_ns_ = engine_.now() + (keep_alive_ns_ == 0 ? kPauseNs : keep_alive_ns_ / 3);
  armKeepAlive();
}

void Connection::resume() {
  if (!std::exchange(paused_, false) || state_ != State::kConnected) return;
  engine_.surroundings().readAgain(*this);
}

// ---- its end

void Connection::endFor(mqtt::Reason reason, Refusal refusal, const std::string& text) {
  Ending ending;
  ending.reason = reason;
  ending.refusal = &refusal;
  ending.text = text;
  end(ending);
}

void Connection::end(const Ending& ending) {
  if (state_ == State::kLingering || state_ == State::kEnded) return;
  const bool was_connected = state_ == State::kConnected;
  state_ = State::kLingering;
  if (ending.refusal != nullptr) {
    engine_.counters().of(*ending.refusal).add();
    const std::string who = session_ == nullptr
                                ? peer_->address
                                : session_->principal().name() + " (" + session_->clientId() + ")";
    engine_.surroundings().report(*ending.refusal, who, ending.text);
  }
  Session* session = std::exchange(session_, nullptr);
  if (ending.farewell == Farewell::kSaid) {
    if (was_connected && welcomed_) {
      mqtt::PropertyWriter& properties = engine_.properties();
      properties.clear();
      // No text where it might be too much for the client [MQTT-3.14.2-3].
      if (tell_problems_ && packet_max_ == 0 && !ending.text.empty())
        properties.text(mqtt::PropertyId::kReasonString, ending.text);
      (void)mqtt::writeDisconnect(answers_, version_, ending.reason, properties);
    }
    Gather& gather = engine_.gather();
    gather.clear();
    gather.bytes() += answers_;
    gather.appended();
    if (leftover_.empty() && !gather.empty()) (void)write(gather);
  }
  answers_.clear();
  owed_ = {};
  partial_.clear();
  leftover_ = {};
  transport_->shutDown();
  // What it still says is read away for a moment, or the last words would be lost with it.
  if (ending.farewell == Farewell::kSaid || transport_->expectsGoodbye())
    engine_.timers().set(*this, engine_.now() + kLingerNs);
  else
    bury();
  if (session != nullptr) session->leave(ending.will, engine_.now());
}

void Connection::bury() {
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  cancel();
  engine_.surroundings().forget(*this);
  engine_.surroundings().closed();
  engine_.bury(*this);
}

void Connection::broke(const mqtt::Fault& fault) {
  endFor(fault.reason, Refusal::kMalformed, fault.what);
}

// ---- what comes

// The other end has left, or broken what carries MQTT.
bool Connection::lost() {
  if (const char* fault = transport_->fault())
    endFor(mqtt::Reason::kProtocolError, Refusal::kMalformed, fault);
  else
    end({.reason = mqtt::Reason::kUnspecified, .farewell = Farewell::kSilent});
  return state_ == State::kLingering;
}

bool Connection::read() {
  if (state_ == State::kEnded || held_ || (paused_ && state_ == State::kConnected)) return false;
  std::span<char> buffer = engine_.readBuffer();
  if (state_ == State::kLingering) {
    const auto moved = transport_->read(buffer);
    if (moved.flow == Transport::Flow::kClosed) bury();
    return moved.flow == Transport::Flow::kOk;
  }
  if (std::exchange(unparsed_, false)) {
    const std::string bytes = std::exchange(partial_, {});
    const std::size_t used = consume(bytes);
    if (state_ != State::kLingering && state_ != State::kEnded) partial_ = bytes.substr(used);
    return state_ != State::kEnded;
  }
  if (needed_ > buffer.size()) return fillPartial();
  const std::size_t kept = partial_.size();
  const auto moved = transport_->read(buffer.subspan(kept));
  if (moved.flow == Transport::Flow::kAgain) return false;
  if (moved.flow == Transport::Flow::kClosed) return lost();
  if (kept != 0) std::memcpy(buffer.data(), partial_.data(), kept);
  partial_.clear();
  const std::string_view bytes(buffer.data(), kept + moved.bytes);
  const std::size_t used = consume(bytes);
  if (state_ == State::kLingering || state_ == State::kEnded) return state_ == State::kLingering;
  if (used < bytes.size()) {
    partial_.assign(bytes.substr(used));
  } else if (partial_.capacity() > 64) {
    std::string().swap(partial_);
  }
  return moved.more || hung_up_;
}

// A packet that is larger than the buffer comes together where it is kept, as it comes: what was
// only announced takes no memory.
bool Connection::fillPartial() {
  constexpr std::size_t kStep = 256u << 10;
  const std::size_t before = partial_.size();
  partial_.resize(std::min(needed_, before + kStep));
  const auto moved = transport_->read(std::span(partial_).subspan(before));
  partial_.resize(before + moved.bytes);
  if (moved.flow == Transport::Flow::kClosed) return lost();
  if (partial_.size() == needed_) {
    needed_ = 0;
    unparsed_ = true;
    return true;
  }
  return moved.flow == Transport::Flow::kOk;
}

std::size_t Connection::consume(std::string_view bytes) {
  std::size_t used = 0;
  bool heard = false;
  needed_ = 0;
  while (used < bytes.size() && state_ != State::kLingering && state_ != State::kEnded) {
    if (isStuffed()) {  // What it is answered has to leave first.
      held_ = unparsed_ = true;
      break;
    }
    mqtt::Frame frame;
    mqtt::Fault fault;
    const std::size_t packet_max = state_ == State::kConnecting ? engine_.limits().connect_bytes
                                                                : engine_.limits().packet_bytes;
    const mqtt::Framing framing = mqtt::frameOf(bytes.substr(used), packet_max, frame, fault);
    if (framing == mqtt::Framing::kRefused) {
      broke(fault);
      break;
    }
    if (framing == mqtt::Framing::kMore) {
      needed_ = frame.size;
      break;
    }
    heard = true;
    const bool first = state_ == State::kConnecting;
    if (first && frame.type == mqtt::PacketType::kConnect) {
      // It may go on in another engine, with all that has come.
      onConnect(frame, bytes.substr(used));
      if (state_ == State::kEnded) return bytes.size();
      used += frame.size;
      continue;
    }
    handle(frame);
    if (paused_) {
      unparsed_ = true;
      break;
    }
    used += frame.size;
    pause_ends_ns_ = kNone;
  }
  if (heard) heard_ns_ = engine_.now();
  return used;
}

void Connection::handle(const mqtt::Frame& frame) {
  using mqtt::PacketType;
  if (state_ == State::kConnecting)  // [MQTT-3.1.0-1]
    return broke({mqtt::Reason::kProtocolError, "the first packet was no CONNECT"});
  switch (frame.type) {
    case PacketType::kPublish: return onPublish(frame);
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp: return onAck(frame);
    case PacketType::kSubscribe: return onSubscribe(frame);
    case PacketType::kUnsubscribe: return onUnsubscribe(frame);
    case PacketType::kPingreq: {
      mqtt::Fault fault;
      if (!mqtt::parseEmpty(frame, fault)) return broke(fault);
      return mqtt::writePingresp(answers());
    }
    case PacketType::kDisconnect: return onDisconnect(frame);
    case PacketType::kConnect:  // [MQTT-3.1.0-2]
      return broke({mqtt::Reason::kProtocolError, "a second CONNECT"});
    case PacketType::kAuth:
      return broke({mqtt::Reason::kProtocolError, "an AUTH without an authentication method"});
    default: return broke({mqtt::Reason::kProtocolError, "a packet that only a server sends"});
  }
}

}  // namespace kante::hub
