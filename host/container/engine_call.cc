#include "host/container/engine_call.h"

#include <sys/un.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json.hpp>
#include <utility>

#include "host/base/json.h"

namespace kante {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::local::stream_protocol;
using boost::system::error_code;

Errc codeOf(unsigned status) {
  switch (status) {
    case 400: return Errc::kInvalid;
    case 401:
    case 403: return Errc::kDenied;
    case 404: return Errc::kNotFound;
    case 409: return Errc::kConflict;
    default: return status < 500 ? Errc::kInvalid : Errc::kIo;
  }
}

// The "message" of its JSON; whatever it sent instead is not worth reading.
std::string refusalOf(unsigned status, const std::string& body) {
  const auto object = parseJsonObject(body, {EngineOrder::kRefusalBytesMax, 8});
  if (object) {
    const auto* message = object->if_contains("message");
    if (message != nullptr && message->is_string())
      return "the engine says: " + std::string(message->as_string());
  }
  return "the engine answered with status " + std::to_string(status);
}

class HttpCall : public std::enable_shared_from_this<HttpCall> {
 public:
  HttpCall(asio::io_context& control, EngineOrder order)
      : control_(control), stream_(control), order_(std::move(order)) {}

  void start();
  // What is being called now may be the order's own: it goes with the last handler.
  void cancel() {
    over_ = true;
    *order_.dropped = true;
    stream_.close();
  }

 private:
  using Step = void (HttpCall::*)();
  auto next(Step step, std::string doing) {
    return [self = shared_from_this(), step, doing = std::move(doing)](error_code failed,
                                                                       std::size_t = 0) {
      if (self->over_) return;
      if (failed) return self->finish(self->broken(doing, failed));
      ((*self).*step)();
    };
  }
  bool isStream() const { return order_.took != nullptr; }
  bool isRefused() const { return parser_.get().result_int() >= 400; }
  void arm(std::chrono::milliseconds limit) {
    limit_ = limit;
    if (limit.count() > 0) return stream_.expires_after(limit);
    stream_.expires_never();
  }

  void writeRequest();
  void readHead();
  void onHead();
  void readBody();
  void onBody(error_code failed);
  void end();
  void finish(Result<EngineAnswer> result);
  Error broken(const std::string& doing, const error_code& failed) const;

  asio::io_context& control_;
  beast::basic_stream<stream_protocol> stream_;
  EngineOrder order_;
  http::request<http::string_body> request_;
  http::response_parser<http::buffer_body> parser_;
  beast::flat_buffer buffer_;
  std::array<char, 16 * 1024> chunk_;
  std::string body_;
  std::chrono::milliseconds limit_{};
  bool over_ = false;
};

void HttpCall::start() {
  arm(order_.deadline);
  if (order_.socket.size() >= sizeof(sockaddr_un::sun_path)) {
    return asio::post(control_, [self = shared_from_this()] {
      if (!self->over_)
        self->finish(fail(Errc::kInvalid,
                          self->order_.socket + " is longer than a socket path can be (107)"));
    });
  }
  stream_.async_connect(stream_protocol::endpoint(order_.socket),
                        next(&HttpCall::writeRequest, "connect"));
}

void HttpCall::writeRequest() {
  request_.version(11);
  request_.method_string(order_.method);
  request_.target(order_.target);
  request_.set(http::field::host, "engine");
  request_.set(http::field::user_agent, "kante/" KANTE_VERSION);
  request_.set(http::field::connection, "close");
  if (!order_.registry_auth.empty()) request_.set("X-Registry-Auth", order_.registry_auth);
  if (!order_.body.empty()) request_.set(http::field::content_type, "application/json");
  request_.body() = std::move(order_.body);
  request_.prepare_payload();
  http::async_write(stream_, request_, next(&HttpCall::readHead, "write"));
}

void HttpCall::readHead() {
  request_ = {};
  parser_.header_limit(EngineOrder::kHeaderBytesMax);
  parser_.body_limit(boost::none);  // Bounded by readBody(), or handed on.
  http::async_read_header(stream_, buffer_, parser_, next(&HttpCall::onHead, "read"));
}

void HttpCall::onHead() {
  if (isStream() && !isRefused()) {
    order_.opened();
    if (over_) return;
  }
  if (parser_.is_done()) return end();
  readBody();
}

void HttpCall::readBody() {
  parser_.get().body().data = chunk_.data();
  parser_.get().body().size = chunk_.size();
  if (isStream()) arm(order_.silence);
  http::async_read_some(stream_, buffer_, parser_,
                        [self = shared_from_this()](error_code failed, std::size_t) {
                          if (!self->over_) self->onBody(failed);
                        });
}

void HttpCall::onBody(error_code failed) {
  if (failed == http::error::need_buffer) failed = {};
  if (failed) return finish(broken("read", failed));
  const std::string_view piece(chunk_.data(), chunk_.size() - parser_.get().body().size);
  if (isStream() && !isRefused()) {
    Status taken;
    if (!piece.empty()) taken = order_.took(piece);
    if (over_) return;
    if (!taken) return finish(taken.error());
  } else {
    const std::size_t most =
        isRefused() ? EngineOrder::kRefusalBytesMax : EngineOrder::kAnswerBytesMax;
    if (body_.size() + piece.size() > most)
      return finish(fail(Errc::kLimit,
                         "the engine's answer is longer than " + std::to_string(most) + " bytes"));
    body_ += piece;
  }
  if (parser_.is_done()) return end();
  readBody();
}

void HttpCall::end() {
  const unsigned status = parser_.get().result_int();
  if (isRefused()) return finish(fail(codeOf(status), refusalOf(status, body_)));
  finish(EngineAnswer{status, std::move(body_)});
}

void HttpCall::finish(Result<EngineAnswer> result) {
  over_ = true;
  stream_.close();
  const auto done = std::move(order_.done);
  if (!result) return done(within(order_.what, std::move(result).error()));
  done(std::move(result));
}

Error HttpCall::broken(const std::string& doing, const error_code& failed) const {
  if (failed == beast::error::timeout) {
    return fail(Errc::kTimeout, "the engine at " + order_.socket + " was silent for " +
                                    std::to_string(limit_.count() / 1000) +
                                    " s; is it overloaded?");
  }
  if (doing == "connect") {
    if (failed == boost::system::errc::permission_denied)
      return fail(Errc::kDenied, "may not use the engine at " + order_.socket +
                                     "; run as root or as a member of the group that owns it");
    return fail(Errc::kUnavailable, "no container engine at " + order_.socket + " (" +
                                        failed.message() + "); is it installed and running?");
  }
  const bool is_http =
      failed.category() == http::make_error_code(http::error::bad_method).category();
  const bool is_cut =
      failed == http::error::end_of_stream || failed == http::error::partial_message;
  if (is_http && !is_cut)
    return fail(Errc::kCorrupt,
                "what answers at " + order_.socket + " is no engine: " + failed.message());
  return fail(Errc::kUnavailable,
              "the engine at " + order_.socket + " went away: " + failed.message());
}

// What the caller holds.
struct CallHandle {
  std::shared_ptr<HttpCall> call;
  explicit CallHandle(std::shared_ptr<HttpCall> of) : call(std::move(of)) {}
  ~CallHandle() { call->cancel(); }
  CallHandle(const CallHandle&) = delete;
  CallHandle& operator=(const CallHandle&) = delete;
};

}  // namespace

std::shared_ptr<void> startEngineCall(asio::io_context& control, EngineOrder order) {
  auto call = std::make_shared<HttpCall>(control, std::move(order));
  call->start();
  return std::make_shared<CallHandle>(std::move(call));
}

}  // namespace kante
