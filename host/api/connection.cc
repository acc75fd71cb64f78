#include "host/api/connection.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>
#include <chrono>
#include <cstdio>
#include <deque>
#include <optional>

#include "host/api/error_reply.h"
#include "host/api/router.h"
#include "host/api/target.h"
#include "host/base/encoding.h"

namespace kante {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::size_t kFirstReadBytes = 1024;
constexpr std::size_t kChunkBytes = 64 * 1024;  // Of a body, read at once.
constexpr std::size_t kSmallChunkBytes = 4 * 1024;
constexpr std::chrono::seconds kLingerTime{2};

std::optional<HttpMethod> methodOf(http::verb verb) {
  switch (verb) {
    case http::verb::get: return HttpMethod::kGet;
    case http::verb::put: return HttpMethod::kPut;
    case http::verb::patch: return HttpMethod::kPatch;
    case http::verb::post: return HttpMethod::kPost;
    case http::verb::delete_: return HttpMethod::kDelete;
    default: return std::nullopt;
  }
}

std::string mediaType(std::string_view header) {
  std::string out(header.substr(0, header.find(';')));
  while (out.ends_with(' ')) out.pop_back();
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return out;
}

// An unnamed file in that directory, so that nothing of an upload outlives the process.
Result<FileDescriptor> unnamedFile(int dir_fd) {
  auto file = openAt(dir_fd, ".", O_TMPFILE | O_RDWR, 0600);
  if (file) return file;
  const std::string temporary = ".upload-" + toHex(randomBytes(8));
  KANTE_TRY(named, openAt(dir_fd, temporary, O_CREAT | O_EXCL | O_RDWR, 0600));
  ::unlinkat(dir_fd, temporary.c_str(), 0);
  return named;
}

class HttpConnection;

class StreamAnswer final : public ResponseStream {
 public:
  explicit StreamAnswer(std::weak_ptr<HttpConnection> connection)
      : connection_(std::move(connection)) {}
  bool write(std::string bytes) override;
  void close() override;
  void keep(std::shared_ptr<void> source) override;

 private:
  std::weak_ptr<HttpConnection> connection_;
};

class PendingExchange final : public Exchange {
 public:
  PendingExchange(std::shared_ptr<HttpConnection> connection, HttpRequest request)
      : connection_(std::move(connection)), request_(std::move(request)) {}
  ~PendingExchange() override;
  HttpRequest& request() override { return request_; }
  void respond(HttpResponse response) override;
  std::shared_ptr<ResponseStream> stream(std::string content_type, std::string pulse) override;

 private:
  std::shared_ptr<HttpConnection> connection_;  // Given up with the answer.
  HttpRequest request_;
};

class HttpConnection final : public Connection,
                             public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(Socket socket, ConnectionSetup setup)
      : stream_(std::move(socket)), setup_(std::move(setup)), pulse_timer_(stream_.get_executor()) {
    buffer_.max_size(setup_.limits.header_bytes_max + kChunkBytes);
  }
  ~HttpConnection() override { setup_.on_closed(); }

  void waitForRequest();
  void stop() override;
  void answer(HttpResponse response);
  std::shared_ptr<ResponseStream> beginStream(std::string content_type, std::string pulse);
  bool pushChunk(std::string bytes);
  void endStream();
  void keepSource(std::shared_ptr<void> source) {
    if (streaming_) sources_.push_back(std::move(source));
  }

 private:
  enum class After { kKeepAlive, kClose };
  void readHeader();
  void onHeader(error_code failed);
  void refuse(unsigned status, Error error);
  void refuseMethod(const std::string& allowed);
  bool checkHost();
  void prepareBody(const ApiRoute& route);
  void readBody();
  void onBody(error_code failed);
  bool takeChunk(std::size_t size);
  void dispatch();
  void send(void (*next)(HttpConnection& self, error_code failed));
  void onAnswered(error_code failed);
  void linger();
  void discard();
  void close();
  void writeChunks();
  void watchReader();
  void armPulse();

  using Parser = http::request_parser<http::buffer_body>;
  using Stream =
      beast::basic_stream<asio::generic::stream_protocol, asio::io_context::executor_type>;

  Stream stream_;
  ConnectionSetup setup_;
  beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  const ApiRoute* route_ = nullptr;
  HttpRequest request_;
  std::vector<char> chunk_;
  After after_ = After::kKeepAlive;
  enum class Phase { kReading, kAnswering } phase_ = Phase::kReading;
  bool stopping_ = false;
  std::chrono::steady_clock::time_point lingers_until_;

  std::string out_;   // Being sent, as
  std::string body_;  // is this, after it.

  // While streaming.
  bool streaming_ = false;
  bool ending_ = false;
  bool writing_ = false;
  std::deque<std::string> chunks_;
  std::size_t chunk_bytes_ = 0;
  bool last_written_ = false;
  std::string pulse_;
  asio::steady_timer pulse_timer_;
  std::vector<std::shared_ptr<void>> sources_;
  std::array<char, 64> ignored_{};
};

bool StreamAnswer::write(std::string bytes) {
  const auto connection = connection_.lock();
  return connection && connection->pushChunk(std::move(bytes));
}
void StreamAnswer::close() {
  if (const auto connection = connection_.lock()) connection->endStream();
}
void StreamAnswer::keep(std::shared_ptr<void> source) {
  if (const auto connection = connection_.lock()) connection->keepSource(std::move(source));
}

PendingExchange::~PendingExchange() {
  if (connection_) {
    connection_->answer(
        errorReply(500, fail(Errc::kState, "The request was given up by the host")));
  }
}
void PendingExchange::respond(HttpResponse response) {
  if (auto connection = std::exchange(connection_, nullptr)) {
    connection->answer(std::move(response));
  }
}
std::shared_ptr<ResponseStream> PendingExchange::stream(std::string content_type,
                                                        std::string pulse) {
  auto connection = std::exchange(connection_, nullptr);
  KANTE_ASSERT(connection != nullptr);
  return connection->beginStream(std::move(content_type), std::move(pulse));
}

void HttpConnection::waitForRequest() {
  if (stopping_) return close();
  phase_ = Phase::kReading;
  parser_.reset();
  request_ = HttpRequest{};
  route_ = nullptr;
  if (buffer_.size() > 0) return readHeader();
  buffer_.shrink_to_fit();
  stream_.expires_after(setup_.limits.idle);
  stream_.async_read_some(buffer_.prepare(kFirstReadBytes),
                          [self = shared_from_this()](error_code failed, std::size_t count) {
                            if (failed) return self->close();
                            self->buffer_.commit(count);
                            self->readHeader();
                          });
}

void HttpConnection::readHeader() {
  parser_.emplace();
  parser_->header_limit(setup_.limits.header_bytes_max);
  parser_->body_limit(boost::none);  // Set by the route, once the header named it.
  stream_.expires_after(setup_.limits.header);
  http::async_read_header(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](error_code failed, std::size_t) { self->onHeader(failed); });
}

void HttpConnection::refuse(unsigned status, Error error) {
  after_ = After::kClose;  // What follows of this request was not read.
  answer(errorReply(status, error));
}

void HttpConnection::refuseMethod(const std::string& allowed) {
  after_ = After::kClose;
  auto reply = errorReply(405, fail(Errc::kUnsupported, "This path takes " + allowed));
  reply.headers.emplace_back("Allow", allowed);
  answer(std::move(reply));
}

// A page of another site that resolves its own name to our address sends that name.
bool HttpConnection::checkHost() {
  const auto& header = parser_->get();
  if (header.count(http::field::host) != 1) return false;
  const auto value = header[http::field::host];
  const std::string host = hostOf({value.data(), value.size()});
  if (host == "localhost" || isAddress(host)) return true;
  const auto& names = setup_.host_names;
  return std::find(names.begin(), names.end(), host) != names.end();
}

void HttpConnection::onHeader(error_code failed) {
  if (failed == http::error::header_limit || failed == http::error::buffer_overflow) {
    return refuse(
        431, fail(Errc::kLimit, "The header is longer than " +
                                    std::to_string(setup_.limits.header_bytes_max) + " bytes"));
  }
  if (failed == beast::error::timeout) {
    return close();
  }
  if (failed.category() == http::make_error_code(http::error::bad_method).category() &&
      failed != http::error::end_of_stream && failed != http::error::partial_message) {
    return refuse(400, fail(Errc::kInvalid, "This is not HTTP: " + failed.message()));
  }
  if (failed) return close();

  const auto& header = parser_->get();
  after_ = header.keep_alive() ? After::kKeepAlive : After::kClose;
  if (setup_.door == Door::kReadOnly && !checkHost()) {
    return refuse(
        421, fail(Errc::kDenied, "The Host header does not name this gateway; use its address"));
  }
  const auto target = parseTarget({header.target().data(), header.target().size()});
  if (!target) return refuse(target.error().code == Errc::kLimit ? 414 : 400, target.error());

  const auto method = methodOf(header.method());
  auto match = method ? setup_.router.find(*method, target->path) : Router::Match();
  if (match.route == nullptr) {
    if (const std::string allowed = setup_.router.allowed(target->path); !allowed.empty())
      return refuseMethod(allowed);
  }
  if (match.route == nullptr) return refuse(404, fail(Errc::kNotFound, "There is no such path"));
  if (setup_.door == Door::kReadOnly && match.route->audience != Audience::kReaders) {
    return refuse(403, fail(Errc::kDenied, "This is served over the API socket only"));
  }
  request_.method = *method;
  request_.path = std::move(target->path);
  request_.query = std::move(target->query);
  request_.params = std::move(match.params);
  const auto type = header[http::field::content_type];
  request_.content_type = mediaType({type.data(), type.size()});
  const auto last_event = header["Last-Event-ID"];
  request_.last_event_id.assign(last_event.data(), last_event.size());
  const auto if_match = header[http::field::if_match];
  request_.if_match.assign(if_match.data(), if_match.size());
  request_.caller = setup_.caller;
  prepareBody(*match.route);
}

void HttpConnection::prepareBody(const ApiRoute& route) {
  route_ = &route;
  const auto& rule = route.body;
  const auto length = parser_->content_length();
  if (parser_->get().count(http::field::transfer_encoding) != 0 && !parser_->chunked())
    return refuse(501, fail(Errc::kUnsupported, "Of transfer codings only chunked is taken"));
  const bool has_body = parser_->chunked() || (length && *length > 0);
  if ((length && *length > rule.bytes_max) || (has_body && rule.kind == BodyRule::Kind::kNone)) {
    return refuse(
        413, fail(Errc::kLimit, "The body is longer than the " + std::to_string(rule.bytes_max) +
                                    " bytes that this path takes"));
  }
  parser_->body_limit(rule.bytes_max);
  if (rule.kind == BodyRule::Kind::kFile) {
    auto file = unnamedFile(setup_.upload_dir_fd);
    if (!file) return refuse(500, within("Upload", file.error()));
    request_.file = std::move(*file);
  }
  if (!has_body) return dispatch();
  chunk_.resize(rule.kind == BodyRule::Kind::kFile ? kChunkBytes : kSmallChunkBytes);
  if (beast::iequals(parser_->get()[http::field::expect], "100-continue")) {
    out_ = "HTTP/1.1 100 Continue\r\n\r\n";
    return send([](HttpConnection& self, error_code failed) {
      if (failed) return self.close();
      self.readBody();
    });
  }
  readBody();
}

void HttpConnection::readBody() {
  auto& body = parser_->get().body();
  body.data = chunk_.data();
  body.size = chunk_.size();
  stream_.expires_after(setup_.limits.progress);
  http::async_read_some(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](error_code failed, std::size_t) { self->onBody(failed); });
}

bool HttpConnection::takeChunk(std::size_t size) {
  if (route_->body.kind != BodyRule::Kind::kFile) {
    request_.body.append(chunk_.data(), size);
    return true;
  }
  const auto written = writeAll(request_.file.get(), {chunk_.data(), size});
  if (written) return true;
  refuse(507, within("Upload", written.error()));
  return false;
}

void HttpConnection::onBody(error_code failed) {
  const std::size_t size = chunk_.size() - parser_->get().body().size;
  if (failed == http::error::need_buffer) failed = {};
  if (failed == http::error::body_limit) {
    return refuse(413, fail(Errc::kLimit, "The body is longer than the " +
                                              std::to_string(route_->body.bytes_max) +
                                              " bytes that this path takes"));
  }
  if (failed == beast::error::timeout) return close();
  if (failed.category() == http::make_error_code(http::error::bad_method).category() &&
      failed != http::error::partial_message && failed != http::error::end_of_stream) {
    return refuse(400, fail(Errc::kInvalid, "This is not HTTP: " + failed.message()));
  }
  if (failed) return close();
  if (size > 0 && !takeChunk(size)) return;
  if (!parser_->is_done()) return readBody();
  std::vector<char>().swap(chunk_);
  if (request_.file && ::lseek(request_.file.get(), 0, SEEK_SET) != 0) {
    return refuse(500, failErrno("Upload"));
  }
  dispatch();
}

void HttpConnection::dispatch() {
  phase_ = Phase::kAnswering;
  stream_.expires_never();  // Whoever answers has its own deadlines.
  const auto* route = route_;
  auto exchange = std::make_shared<PendingExchange>(shared_from_this(), std::move(request_));
  try {
    route->handler(exchange);
  } catch (const std::exception& thrown) {
    exchange->respond(
        errorReply(500, fail(Errc::kState, std::string("The host failed: ") + thrown.what())));
  }
}

// The head of an answer, up to and with its empty line.
std::string headOf(unsigned status, const std::string& content_type, const std::string& framing,
                   const std::vector<std::pair<std::string, std::string>>& more) {
  const auto reason = http::obsolete_reason(http::int_to_status(status));
  std::string out = "HTTP/1.1 " + std::to_string(status) + " ";
  out.append(reason.data(), reason.size());
  out += "\r\nContent-Type: " + content_type + "\r\n" + framing +
         "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
  for (const auto& [header, value] : more) out += header + ": " + value + "\r\n";
  return out + "\r\n";
}

void HttpConnection::answer(HttpResponse response) {
  phase_ = Phase::kAnswering;
  if (stopping_) after_ = After::kClose;
  out_ = headOf(response.status, response.content_type,
                "Content-Length: " + std::to_string(response.body.size()) + "\r\n" +
                    (after_ == After::kClose ? "Connection: close\r\n" : ""),
                response.headers);
  body_ = std::move(response.body);
  send([](HttpConnection& self, error_code failed) { self.onAnswered(failed); });
}

// out_ and body_, then `next`, which nothing else may use them before.
void HttpConnection::send(void (*next)(HttpConnection& self, error_code failed)) {
  stream_.expires_after(setup_.limits.progress);
  asio::async_write(
      stream_, std::array{asio::buffer(out_), asio::buffer(body_)},
      [self = shared_from_this(), next](error_code failed, std::size_t) { next(*self, failed); });
}

void HttpConnection::onAnswered(error_code failed) {
  std::string().swap(body_);
  if (failed) return close();
  if (after_ == After::kKeepAlive) return waitForRequest();
  const bool is_read = parser_->is_done();
  return is_read || stopping_ ? close() : linger();
}

// What still comes is read away for a moment, or the answer would be lost with it: whoever sends
// first and reads then sees a broken connection.
void HttpConnection::linger() {
  phase_ = Phase::kReading;
  error_code ignored;
  stream_.socket().shutdown(asio::socket_base::shutdown_send, ignored);
  chunk_.resize(kChunkBytes);
  lingers_until_ = std::chrono::steady_clock::now() + kLingerTime;
  discard();
}

void HttpConnection::discard() {
  stream_.expires_at(lingers_until_);
  stream_.async_read_some(asio::buffer(chunk_),
                          [self = shared_from_this()](error_code failed, std::size_t) {
                            return failed ? self->close() : self->discard();
                          });
}

void HttpConnection::close() {
  streaming_ = false;
  sources_.clear();
  pulse_timer_.cancel();
  error_code ignored;
  stream_.socket().shutdown(asio::socket_base::shutdown_send, ignored);
  stream_.close();
}

void HttpConnection::stop() {
  stopping_ = true;
  if (streaming_) return endStream();
  if (phase_ == Phase::kReading) close();
}

std::shared_ptr<ResponseStream> HttpConnection::beginStream(std::string content_type,
                                                            std::string pulse) {
  out_ = headOf(200, content_type, "Transfer-Encoding: chunked\r\nConnection: close\r\n", {});
  streaming_ = true;
  writing_ = true;
  pulse_ = std::move(pulse);
  send([](HttpConnection& self, error_code failed) {
    self.writing_ = false;
    if (failed) return self.close();
    self.writeChunks();
  });
  watchReader();
  armPulse();
  return std::make_shared<StreamAnswer>(weak_from_this());
}

bool HttpConnection::pushChunk(std::string bytes) {
  if (!streaming_ || ending_) return false;
  if (bytes.empty()) return true;
  if (chunk_bytes_ + bytes.size() > ResponseStream::kPendingBytesMax) return false;
  chunk_bytes_ += bytes.size();
  chunks_.push_back(std::move(bytes));
  if (!writing_) writeChunks();
  return true;
}

// Everything that waits goes out as one chunk.
void HttpConnection::writeChunks() {
  if (!streaming_) return;
  if (chunks_.empty() && !ending_) return;
  const bool last = chunks_.empty();
  out_.clear();
  if (last) {
    out_ = "0\r\n\r\n";
  } else {
    std::array<char, 20> size{};
    std::snprintf(size.data(), size.size(), "%zx\r\n", chunk_bytes_);
    out_ = size.data();
    for (const auto& chunk : chunks_) out_ += chunk;
    out_ += "\r\n";
    chunks_.clear();
    chunk_bytes_ = 0;
  }
  writing_ = true;
  last_written_ = last;
  send([](HttpConnection& self, error_code failed) {
    self.writing_ = false;
    if (failed || self.last_written_) return self.close();
    self.armPulse();
    self.writeChunks();
  });
}

void HttpConnection::endStream() {
  if (!streaming_ || ending_) return;
  ending_ = true;
  sources_.clear();
  if (!writing_) writeChunks();
}

// A reader of a stream has nothing more to say; when it goes, the stream ends.
void HttpConnection::watchReader() {
  stream_.socket().async_read_some(asio::buffer(ignored_),
                                   [self = shared_from_this()](error_code failed, std::size_t) {
                                     if (!self->streaming_) return;
                                     if (failed) return self->close();
                                     self->watchReader();
                                   });
}

void HttpConnection::armPulse() {
  if (!streaming_) return;
  pulse_timer_.expires_after(setup_.limits.pulse);
  pulse_timer_.async_wait([weak = weak_from_this()](error_code failed) {
    const auto self = weak.lock();
    if (failed || !self || !self->streaming_) return;
    if (self->chunks_.empty()) self->pushChunk(self->pulse_);
    self->armPulse();
  });
}

}  // namespace

std::shared_ptr<Connection> startConnection(Connection::Socket socket, ConnectionSetup setup) {
  auto connection = std::make_shared<HttpConnection>(std::move(socket), std::move(setup));
  connection->waitForRequest();
  return connection;
}

}  // namespace kante
