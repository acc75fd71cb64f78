#include "host/cli/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/buffers_iterator.hpp>
#include <boost/asio/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <vector>

#include "host/base/fd.h"

namespace kante::cli {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::size_t kChunkBytes = 64 * 1024;

// A blocking stream for Beast whose every wait has a deadline, which Asio's own have not.
struct DeadlineStream {
  int fd = -1;
  int timeout_ms = Client::kTimeoutMs;

  bool wait(short what, error_code& failed) const {
    pollfd ready{fd, what, 0};
    for (;;) {
      const int n = ::poll(&ready, 1, timeout_ms > 0 ? timeout_ms : -1);
      if (n > 0) return true;
      if (n < 0 && errno == EINTR) continue;
      failed = n == 0 ? error_code(asio::error::timed_out)
                      : error_code(errno, boost::system::system_category());
      return false;
    }
  }
  template <typename Buffers>
  std::size_t read_some(const Buffers& buffers, error_code& failed) {
    const asio::mutable_buffer to = *asio::buffer_sequence_begin(buffers);
    failed = {};
    if (to.size() == 0 || !wait(POLLIN, failed)) return 0;
    const auto n = ::recv(fd, to.data(), to.size(), 0);
    if (n == 0) failed = asio::error::eof;
    if (n < 0) failed = error_code(errno, boost::system::system_category());
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  template <typename Buffers>
  std::size_t write_some(const Buffers& buffers, error_code& failed) {
    failed = {};
    std::array<iovec, 16> parts{};
    std::size_t count = 0;
    for (auto at = asio::buffer_sequence_begin(buffers);
         at != asio::buffer_sequence_end(buffers) && count < parts.size(); ++at) {
      const asio::const_buffer from = *at;
      parts[count++] = {const_cast<void*>(from.data()), from.size()};
    }
    if (!wait(POLLOUT, failed)) return 0;
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    const auto n = ::sendmsg(fd, &message, MSG_NOSIGNAL);
    if (n < 0) failed = error_code(errno, boost::system::system_category());
    return n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  // Those that throw complete Beast's idea of a stream; nothing calls them.
  template <typename Buffers>
  std::size_t read_some(const Buffers& buffers) {
    error_code failed;
    return read_some(buffers, failed);
  }
  template <typename Buffers>
  std::size_t write_some(const Buffers& buffers) {
    error_code failed;
    return write_some(buffers, failed);
  }
};

}  // namespace

struct Client::State {
  std::string socket;
  FileDescriptor fd;
  DeadlineStream stream;
  boost::beast::flat_buffer buffer;

  Status open();
  Error broken(const error_code& failed) const;
  Result<Reply> readReply();
};

Status Client::State::open() {
  buffer.clear();
  fd = FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return failErrno("socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof(address.sun_path)) {
    return fail(Errc::kInvalid, socket + " is longer than a socket path can be (107)");
  }
  socket.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno == EACCES || errno == EPERM) {
      return fail(Errc::kDenied, "may not use the host at " + socket +
                                     "; be root or a member of the group in [api] group");
    }
    return fail(Errc::kUnavailable, "no host at " + socket);
  }
  stream = {fd.get(), kTimeoutMs};
  return {};
}

Error Client::State::broken(const error_code& failed) const {
  if (failed == asio::error::timed_out) {
    return fail(Errc::kTimeout, "the host at " + socket + " did not answer in time");
  }
  return fail(Errc::kUnavailable, "the host at " + socket + " went away: " + failed.message());
}

Result<Reply> Client::State::readReply() {
  std::optional<http::response_parser<http::string_body>> parser;
  do {  // Over a 100 Continue.
    parser.emplace();
    parser->body_limit(kReplyBytesMax);
    error_code failed;
    http::read(stream, buffer, *parser, failed);
    if (failed) return broken(failed);
  } while (parser->get().result_int() == 100);
  Reply reply{parser->get().result_int(), std::move(parser->get().body())};
  if (!parser->keep_alive()) fd.reset();
  return reply;
}

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(const std::string& socket) {
  auto state = std::make_unique<State>();
  state->socket = socket;
  KANTE_CHECK(state->open());
  return Client(std::move(state));
}

Result<Reply> Client::ask(std::string_view method, const std::string& target, std::string body,
                          const std::string& content_type, int timeout_ms) {
  if (!state_->fd) KANTE_CHECK(state_->open());
  state_->stream.timeout_ms = timeout_ms;
  http::request<http::string_body> request;
  request.version(11);
  request.method_string({method.data(), method.size()});
  request.target(target);
  request.set(http::field::host, "localhost");
  if (!body.empty()) request.set(http::field::content_type, content_type);
  request.body() = std::move(body);
  request.prepare_payload();
  error_code failed;
  http::write(state_->stream, request, failed);
  auto reply = state_->readReply();  // A host that refuses answers before it has read all.
  if (!reply && failed) return state_->broken(failed);
  return reply;
}

Error errorOf(const Reply& reply) {
  const Errc code = reply.status == 404   ? Errc::kNotFound
                    : reply.status == 403 ? Errc::kDenied
                    : reply.status == 409 ? Errc::kConflict
                                          : Errc::kInvalid;
  error_code failed;
  const auto parsed = boost::json::parse(reply.body, failed);
  if (!failed && parsed.is_object()) {
    const auto* error = parsed.as_object().if_contains("error");
    const auto* text =
        error != nullptr && error->is_object() ? error->as_object().if_contains("text") : nullptr;
    if (text != nullptr && text->is_string()) return fail(code, std::string(text->get_string()));
  }
  return fail(code, "the host answered with status " + std::to_string(reply.status));
}

Result<std::string> Client::send(std::string_view method, const std::string& target,
                                 std::string body, const std::string& content_type,
                                 int timeout_ms) {
  KANTE_TRY(reply, ask(method, target, std::move(body), content_type, timeout_ms));
  if (reply.status < 200 || reply.status > 299) return errorOf(reply);
  return std::move(reply.body);
}

Result<std::string> Client::get(const std::string& target) { return send("GET", target, {}); }

Result<std::string> Client::upload(const std::string& target, int fd, const Progress& progress) {
  struct stat file {};
  if (::fstat(fd, &file) != 0) return failErrno("upload");
  const auto total = static_cast<std::uint64_t>(file.st_size);
  if (!state_->fd) KANTE_CHECK(state_->open());
  state_->stream.timeout_ms = kTimeoutMs;
  std::string bytes = "POST " + target +
                      " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
                      "Content-Length: " +
                      std::to_string(total) + "\r\n\r\n";
  std::uint64_t sent = 0;
  std::vector<char> chunk(kChunkBytes);
  for (;;) {
    std::string_view rest = bytes;
    error_code failed;
    while (!rest.empty() && !failed) {
      rest.remove_prefix(
          state_->stream.write_some(asio::const_buffer(rest.data(), rest.size()), failed));
    }
    if (failed || sent == total) break;  // Why it was refused is in the answer.
    const auto n =
        ::pread(fd, chunk.data(), std::min(chunk.size(), total - sent), static_cast<off_t>(sent));
    if (n <= 0) return fail(Errc::kIo, "upload: the file became shorter while it was read");
    bytes.assign(chunk.data(), static_cast<std::size_t>(n));
    sent += static_cast<std::uint64_t>(n);
    progress(sent, total);
  }
  KANTE_TRY(reply, state_->readReply());
  if (reply.status < 200 || reply.status > 299) return errorOf(reply);
  return std::move(reply.body);
}

Status Client::follow(const std::string& target, const OnBytes& on_bytes) {
  if (!state_->fd) KANTE_CHECK(state_->open());
  http::request<http::string_body> request;
  request.version(11);
  request.method(http::verb::get);
  request.target(target);
  request.set(http::field::host, "localhost");
  error_code failed;
  http::write(state_->stream, request, failed);
  http::response_parser<http::buffer_body> parser;
  parser.body_limit(boost::none);
  http::read_header(state_->stream, state_->buffer, parser, failed);
  if (failed) return state_->broken(failed);
  std::vector<char> chunk(kChunkBytes);
  Reply refusal{parser.get().result_int(), {}};
  state_->stream.timeout_ms = 0;
  while (!parser.is_done()) {
    parser.get().body().data = chunk.data();
    parser.get().body().size = chunk.size();
    http::read_some(state_->stream, state_->buffer, parser, failed);
    const std::string_view bytes(chunk.data(), chunk.size() - parser.get().body().size);
    if (failed && failed != http::error::need_buffer) return state_->broken(failed);
    if (refusal.status != 200) {
      refusal.body += bytes;
    } else if (!bytes.empty() && !on_bytes(bytes)) {
      break;
    }
  }
  state_->fd.reset();
  if (refusal.status != 200) return errorOf(refusal);
  return {};
}

}  // namespace kante::cli
