#include "host/hub/http/web_connection.h"

#include <boost/json/serialize.hpp>
#include <utility>

#include "host/hub/http/web_shard.h"
#include "host/hub/http/websocket.h"
#include "host/hub/http/websocket_transport.h"

namespace kante::hub {
namespace {

constexpr std::int64_t kLingerMs = 2'000;

const char* phraseOf(unsigned status) {
  switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 417: return "Expectation Failed";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "-";
  }
}

// Where a page was loaded from: "https://localhost:8080".
bool isOfThisMachine(std::string_view origin) {
  const auto scheme = origin.find("://");
  if (scheme == std::string_view::npos) return false;
  std::string_view host = origin.substr(scheme + 3);
  const auto colon = host.rfind(':');
  if (colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos)
    host = host.substr(0, colon);
  return host == "localhost" || host == "127.0.0.1" || host == "[::1]";
}

std::string textOf(const WebResponse& response, bool keeps_alive) {
  std::string out =
      "HTTP/1.1 " + std::to_string(response.status) + " " + phraseOf(response.status) + "\r\n";
  if (response.status != 204) {
    out += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
    if (!response.body.empty()) out += "Content-Type: " + response.content_type + "\r\n";
  }
  if (!keeps_alive) out += "Connection: close\r\n";
  for (const auto& [name, value] : response.fields) out += name + ": " + value + "\r\n";
  out += "\r\n";
  if (response.status != 204) out += response.body;
  return out;
}

}  // namespace

WebResponse webError(unsigned status, std::string_view message) {
  WebResponse out;
  out.status = status;
  out.body = boost::json::serialize(boost::json::object{{"message", message}});
  return out;
}

WebConnection::WebConnection(WebShard& owner, std::unique_ptr<Transport> transport, Peer peer)
    : owner_(owner),
      transport_(std::move(transport)),
      peer_(std::move(peer)),
      timer_(owner.shard().reactor()) {}

WebConnection::~WebConnection() = default;

void WebConnection::begin() {
  (void)owner_.shard().reactor().watch(transport_->descriptor(), EPOLLIN | EPOLLOUT | EPOLLRDHUP,
                                       *this);
  setDeadline(owner_.options().times.head_ms);
  read();
}

void WebConnection::end() {
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  timer_.cancel();
  (void)hold(0);
  if (transport_) {
    owner_.shard().reactor().forget(transport_->descriptor(), *this);
    transport_->shutDown();
    transport_.reset();
    owner_.options().closed();
  }
  owner_.forget(shared_from_this());
}

// ---- time

void WebConnection::setDeadline(std::int64_t ms) {
  deadline_ = Clock::now() + std::chrono::milliseconds(ms);
  // A timer that goes off early is set again; it is moved only to an earlier moment.
  if (!timer_.isSet() || timer_.at() > deadline_) onDeadline();
}

void WebConnection::onDeadline() {
  if (deadline_ <= Clock::now()) return onLate();
  timer_.set(deadline_, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->state_ != State::kEnded) self->onDeadline();
  });
}

void WebConnection::onLate() {
  if (state_ == State::kAnswering) {  // Who answers has deadlines of his own, which have passed.
    keeps_alive_ = false;
    return answer(webError(504, "Nobody answered in time"));
  }
  const bool begun = reader_.begun();
  if (state_ == State::kReading && (begun || !served_)) {
    owner_.count().timeouts.add();
    owner_.options().report(Refusal::kTimeout, peer_.address, "no request came in time");
    keeps_alive_ = false;
    if (begun) return answer(webError(408, "The request did not come in time"));
  }
  end();
}

// ---- reading

// TLS may have to write before it can read, and the other way round.
void WebConnection::ready(std::uint32_t) {
  const auto self = shared_from_this();
  if (state_ == State::kWriting) return write();
  if (rest_.empty()) read();  // Else it will be, after that.
}

// In another turn: many small requests at once must not nest, nor keep others waiting.
void WebConnection::readSoon() {
  owner_.shard().post([self = shared_from_this()] { self->read(); });
}

void WebConnection::read() {
  std::array<char, kReadBytes> buffer;
  for (int i = 0; i < kReadsAtOnce; ++i) {
    if (state_ != State::kReading && state_ != State::kLingering) return;
    const auto moved = transport_->read(buffer);
    if (moved.flow == Transport::Flow::kClosed) return end();
    if (moved.flow == Transport::Flow::kAgain) return;
    if (state_ == State::kReading) take({buffer.data(), moved.bytes});
  }
  if (state_ == State::kReading || state_ == State::kLingering) readSoon();
}

void WebConnection::take(std::string_view bytes) {
  const bool begun = reader_.begun();
  const bool in_body = reader_.state() == WebRequestReader::State::kBody;
  const std::size_t used = reader_.take(bytes);
  rest_ = bytes.substr(used);
  if (!hold(reader_.bodyBytes())) {
    owner_.options().report(Refusal::kLimit, peer_.address, "no room for bodies of requests");
    keeps_alive_ = false;
    return answer(webError(503, "Too many requests at once; try again later"));
  }
  const WebTimes& times = owner_.options().times;
  switch (reader_.state()) {
    case WebRequestReader::State::kHead:
      if (!begun) setDeadline(times.head_ms);
      return;
    case WebRequestReader::State::kBody: {
      if (!in_body) {
        body_began_ = Clock::now();
        body_bytes_ = 0;
        if (reader_.expectsContinue()) {
          out_ = "HTTP/1.1 100 Continue\r\n\r\n";
          state_ = State::kWriting;
          setDeadline(times.write_ms);
          return write();
        }
      }
      body_bytes_ += used;
      const auto spent =
          std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - body_began_);
      return setDeadline(times.body_ms + static_cast<std::int64_t>(body_bytes_) - spent.count());
    }
    case WebRequestReader::State::kDone: return dispatch();
    case WebRequestReader::State::kRefused: return refuse();
  }
}

bool WebConnection::hold(std::size_t bytes) {
  const auto more = static_cast<std::ptrdiff_t>(bytes) - static_cast<std::ptrdiff_t>(held_);
  if (!owner_.hold(more)) return false;
  held_ = bytes;
  return true;
}

void WebConnection::refuse() {
  owner_.count().malformed.add();
  owner_.options().report(Refusal::kMalformed, peer_.address, reader_.why());
  keeps_alive_ = false;  // Nobody knows where the next request would begin.
  answer(webError(reader_.status(), reader_.why()));
}

// ---- answering

void WebConnection::dispatch() {
  keeps_alive_ = reader_.keepsAlive();
  served_ = true;
  WebRequest request = reader_.finish();
  (void)hold(0);  // Whoever answers has bounds of his own.
  state_ = State::kAnswering;
  setDeadline(owner_.options().times.answer_ms);
  transport_->describe(peer_);
  if (const auto wanted = upgradeOf(request)) {
    if (wanted->status == 101) return upgrade(request, wanted->accept);
    WebResponse refusal = webError(wanted->status, wanted->why);
    if (wanted->status == 426) refusal.fields.emplace_back("Sec-WebSocket-Version", "13");
    return answer(refusal);
  }
  WebHandler* const handler = owner_.options().handler;
  if (handler == nullptr) return answer(webError(404, "There is no such path"));
  handler->handle(
      std::move(request), peer_,
      [weak = weak_from_this(), shard = owner_.shard().shared_from_this()](WebResponse response) {
        shard->post([weak, response = std::move(response)] {
          if (const auto self = weak.lock()) self->answer(response);
        });
      });
}

void WebConnection::answer(const WebResponse& response) {
  if (state_ != State::kAnswering && state_ != State::kReading) return;
  owner_.count().answered(response.status);
  keeps_alive_ = keeps_alive_ && !response.close;
  out_ = textOf(response, keeps_alive_);
  state_ = State::kWriting;
  setDeadline(owner_.options().times.write_ms);
  write();
}

void WebConnection::upgrade(const WebRequest& request, const std::string& accept) {
  // A page of elsewhere in a browser on this machine is no program on this machine.
  const std::string* const origin = request.field("origin");
  if (origin != nullptr && !isOfThisMachine(*origin)) peer_.loopback = false;
  owner_.count().answered(101);
  out_ =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: " +
      accept + "\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
  upgrading_ = true;
  state_ = State::kWriting;
  setDeadline(owner_.options().times.write_ms);
  write();
}

void WebConnection::write() {
  while (!out_.empty()) {
    const iovec part{out_.data(), out_.size()};
    const auto moved = transport_->write(std::span(&part, 1));
    if (moved.flow == Transport::Flow::kClosed) return end();
    out_.erase(0, moved.bytes);
    if (moved.flow == Transport::Flow::kOk) continue;
    return;
  }
  written();
}

void WebConnection::written() {
  if (upgrading_) return becomeWebSocket();
  if (!keeps_alive_) return linger();
  if (reader_.state() == WebRequestReader::State::kBody) {  // It was told to go on.
    state_ = State::kReading;
    setDeadline(owner_.options().times.body_ms);
    const std::string bytes = std::exchange(rest_, {});
    if (!bytes.empty()) take(bytes);
    if (state_ == State::kReading) readSoon();
    return;
  }
  nextRequest();
}

void WebConnection::nextRequest() {
  std::string().swap(out_);
  state_ = State::kReading;
  setDeadline(owner_.options().times.idle_ms);
  // In another turn: many small requests at once must not nest.
  owner_.shard().post([self = shared_from_this()] {
    if (self->state_ != State::kReading) return;
    const std::string bytes = std::exchange(self->rest_, {});
    if (!bytes.empty()) self->take(bytes);
    if (self->state_ == State::kReading) self->read();
  });
}

// What still comes is read away for a moment, or the answer would be lost with it.
void WebConnection::linger() {
  state_ = State::kLingering;
  std::string().swap(rest_);
  transport_->shutDown();
  setDeadline(kLingerMs);
  readSoon();
}

void WebConnection::becomeWebSocket() {
  state_ = State::kEnded;
  timer_.cancel();
  owner_.shard().reactor().forget(transport_->descriptor(), *this);
  owner_.count().websockets.add();
  owner_.options().upgraded(
      std::make_unique<WebSocketTransport>(std::move(transport_), std::exchange(rest_, {})),
      std::move(peer_));
  owner_.forget(shared_from_this());
}

}  // namespace kante::hub
