#include "host/api/server.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <optional>

#include "host/api/connection.h"
#include "host/api/error_reply.h"
#include "host/api/peer.h"
#include "host/api/router.h"
#include "host/base/log.h"

namespace kante {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Executor = asio::io_context::executor_type;
using LocalAcceptor = asio::basic_socket_acceptor<asio::local::stream_protocol, Executor>;
using TcpAcceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;

constexpr int kBacklog = 64;
constexpr std::chrono::milliseconds kAcceptPause{200};  // When there is no descriptor left.

// What is said before a connection is closed that was not let in; short enough for any socket
// buffer.
std::string farewell(const char* status, const Error& error) {
  const std::string body = errorReply(error).body;
  return std::string("HTTP/1.1 ") + status +
         "\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

// The folders of the socket that are not there yet, open to the group whatever the umask is.
Status makeWay(const std::string& folder) {
  for (std::size_t at = folder.find('/', 1);; at = folder.find('/', at + 1)) {
    const std::string one = folder.substr(0, at);
    const bool is_new = ::mkdir(one.c_str(), 0755) == 0;
    if (!is_new && errno != EEXIST) return failErrno(one);
    if (is_new && ::chmod(one.c_str(), 0755) != 0) return failErrno(one);
    if (at == std::string::npos) return {};
  }
}

}  // namespace

struct ApiServer::State : std::enable_shared_from_this<State> {
  State(asio::io_context& control_, const Router& router_, Log& log_, Options options_)
      : control(control_),
        router(router_),
        log(log_),
        options(std::move(options_)),
        local(control_),
        tcp(control_),
        pause(control_) {}

  Status listenLocal();
  Status listenOn(const std::string& path);
  Status listenTcp();
  template <typename Acceptor>
  void accept(Acceptor& acceptor, Door door);
  template <typename Acceptor>
  void onAccepted(Acceptor& acceptor, Door door, error_code failed);
  void admit(Door door);
  void forgetClosed();

  asio::io_context& control;
  const Router& router;
  Log& log;
  const Options options;
  LocalAcceptor local;
  TcpAcceptor tcp;
  asio::steady_timer pause;
  gid_t group = static_cast<gid_t>(-1);
  std::optional<Connection::Socket> incoming[2];
  std::vector<std::weak_ptr<Connection>> open[2];
  std::uint64_t refused = 0;
  bool stopping = false;
  ino_t socket_inode = 0;
};

// Two hosts never share a socket: data_dir/lock sees to that, and this for those that share only
// the path.
Status ApiServer::State::listenLocal() {
  const std::string& path = options.socket;
  if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
    return fail(Errc::kInvalid,
                "[api] socket: " + path + " is longer than a socket path can be (107)");
  }
  const asio::local::stream_protocol::endpoint endpoint(path);
  error_code failed;
  struct stat existing {};
  if (::lstat(path.c_str(), &existing) == 0) {
    if (!S_ISSOCK(existing.st_mode)) {
      return fail(Errc::kState,
                  "[api] socket: " + path + " is there and is not a socket; move it away");
    }
    asio::local::stream_protocol::socket probe(control);
    probe.connect(endpoint, failed);
    if (!failed) return fail(Errc::kState, "[api] socket: another host answers at " + path);
    ::unlink(path.c_str());
  } else {
    const std::size_t slash = path.rfind('/');
    if (slash != std::string::npos && slash > 0) {
      const Status made = makeWay(path.substr(0, slash));
      if (!made) return within("[api] socket", made.error());
    }
  }
  local.open(endpoint.protocol(), failed);
  if (!failed) local.bind(endpoint, failed);
  if (failed) return fail(Errc::kIo, "[api] socket: cannot bind " + path + ": " + failed.message());
  if (!options.everybody.empty()) {
    if (::chmod(path.c_str(), 0666) != 0) return failErrno(path);
    return listenOn(path);
  }
  group = findGroup(options.group, options.group_expected ? NameServices::kYes : NameServices::kNo);
  if (group == static_cast<gid_t>(-1) && options.group_expected && !options.group.empty()) {
    log.warn("api", "there is no such group; only this user and root can use the socket",
             {{"group", options.group}});
  }
  if (group != static_cast<gid_t>(-1) &&
      ::chown(path.c_str(), static_cast<uid_t>(-1), group) != 0) {
    log.warn("api", "cannot give the socket to its group; only this user and root can use it",
             {{"group", options.group}, {"socket", path}});
  }
  if (::chmod(path.c_str(), 0660) != 0) return failErrno("[api] socket: " + path);
  return listenOn(path);
}

Status ApiServer::State::listenOn(const std::string& path) {
  error_code failed;
  struct stat existing {};
  if (::lstat(path.c_str(), &existing) == 0) socket_inode = existing.st_ino;
  local.listen(kBacklog, failed);
  if (failed)
    return fail(Errc::kIo, "[api] socket: cannot listen on " + path + ": " + failed.message());
  accept(local, Door::kSocket);
  return {};
}

Status ApiServer::State::listenTcp() {
  const std::string& text = options.http;
  const std::size_t colon = text.rfind(':');
  error_code failed;
  std::string host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  const auto address = asio::ip::make_address(host, failed);
  const long port =
      colon == std::string::npos ? -1 : std::strtol(text.c_str() + colon + 1, nullptr, 10);
  if (failed || port < 0 || port > 65535) {
    return fail(Errc::kInvalid, "[api] http: " + text + " is not ADDRESS:PORT");
  }
  const asio::ip::tcp::endpoint endpoint(address, static_cast<std::uint16_t>(port));
  tcp.open(endpoint.protocol(), failed);
  if (!failed) tcp.set_option(asio::socket_base::reuse_address(true), failed);
  if (!failed) tcp.bind(endpoint, failed);
  if (!failed) tcp.listen(kBacklog, failed);
  if (failed) {
    return fail(Errc::kIo, "[api] http: cannot listen on " + text + ": " + failed.message() +
                               "; choose another port, or \"\" for none");
  }
  accept(tcp, Door::kReadOnly);
  return {};
}

template <typename Acceptor>
void ApiServer::State::accept(Acceptor& acceptor, Door door) {
  auto& socket = incoming[static_cast<int>(door)];
  socket.emplace(control.get_executor());
  acceptor.async_accept(*socket, [weak = weak_from_this(), &acceptor, door](error_code failed) {
    if (const auto self = weak.lock()) self->onAccepted(acceptor, door, failed);
  });
}

template <typename Acceptor>
void ApiServer::State::onAccepted(Acceptor& acceptor, Door door, error_code failed) {
  if (stopping || failed == asio::error::operation_aborted) return;
  if (failed == asio::error::no_descriptors || failed == asio::error::no_buffer_space) {
    pause.expires_after(kAcceptPause);
    pause.async_wait([weak = weak_from_this(), &acceptor, door](error_code cancelled) {
      const auto self = weak.lock();
      if (self && !cancelled) self->accept(acceptor, door);
    });
    return;
  }
  if (!failed) admit(door);
  accept(acceptor, door);
}

void ApiServer::State::admit(Door door) {
  auto& connections = open[static_cast<int>(door)];
  Connection::Socket socket = std::move(*incoming[static_cast<int>(door)]);
  const std::size_t most = door == Door::kSocket ? options.limits.socket_connections_max
                                                 : options.limits.http_connections_max;
  error_code ignored;
  socket.non_blocking(true, ignored);
  ConnectionSetup setup{router, options.limits, options.host_names, options.upload_dir_fd, door, {},
                        {}};
  if (door == Door::kSocket) {
    auto caller = options.everybody.empty() ? operatorOf(socket.native_handle(), group)
                                            : Result<std::string>(options.everybody);
    if (!caller) {
      ++refused;
      log.warn("api", caller.error().text);
      socket.write_some(asio::buffer(farewell("403 Forbidden", caller.error())), ignored);
      return;
    }
    setup.caller = std::move(*caller);
  }
  if (connections.size() >= most) {
    ++refused;
    const auto busy = fail(Errc::kLimit, "Too many connections; try again when some have ended");
    socket.write_some(asio::buffer(farewell("503 Service Unavailable", busy)), ignored);
    return;
  }
  setup.on_closed = [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->forgetClosed();
  };
  connections.push_back(startConnection(std::move(socket), std::move(setup)));
}

void ApiServer::State::forgetClosed() {
  for (auto& connections : open) {
    std::erase_if(connections, [](const auto& connection) { return connection.expired(); });
  }
}

ApiServer::ApiServer(asio::io_context& control, const Router& router, Log& log, Options options)
    : state_(std::make_shared<State>(control, router, log, std::move(options))) {}

ApiServer::~ApiServer() { stop(); }

Status ApiServer::start() {
  if (!state_->options.socket.empty()) KANTE_CHECK(state_->listenLocal());
  if (!state_->options.http.empty()) KANTE_CHECK(state_->listenTcp());
  return {};
}

void ApiServer::stop() {
  if (std::exchange(state_->stopping, true)) return;
  error_code ignored;
  state_->pause.cancel();
  struct stat now {};
  const std::string& path = state_->options.socket;
  if (state_->local.is_open() && ::lstat(path.c_str(), &now) == 0 &&
      now.st_ino == state_->socket_inode) {
    ::unlink(path.c_str());
  }
  state_->local.close(ignored);
  state_->tcp.close(ignored);
  for (auto& connections : state_->open) {
    for (const auto& weak : std::vector(connections)) {
      if (const auto connection = weak.lock()) connection->stop();
    }
  }
}

std::uint16_t ApiServer::httpPort() const {
  error_code failed;
  const auto endpoint = state_->tcp.local_endpoint(failed);
  return failed ? std::uint16_t{0} : endpoint.port();
}

std::size_t ApiServer::connections() const {
  return state_->open[0].size() + state_->open[1].size();
}
std::uint64_t ApiServer::refused() const { return state_->refused; }

}  // namespace kante
