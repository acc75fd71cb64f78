#include "host/hub/mqtt/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>

namespace kante::hub {
namespace {

namespace ip = boost::asio::ip;

constexpr int kBacklog = 1024;
constexpr int kAcceptedAtOnce = 64;  // Before others on the control thread have their turn.
constexpr int kDeadAfterMs = 30'000;
constexpr std::chrono::milliseconds kRest{100};  // When there is no descriptor left.

void prepare(int socket) {
  const int on = 1;
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  (void)::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &kDeadAfterMs, sizeof kDeadAfterMs);
}

}  // namespace

Listener::Listener(boost::asio::io_context& control, Arrived arrived)
    : acceptor_(control), timer_(control), arrived_(std::move(arrived)) {}

Status Listener::open(const std::string& host, std::uint16_t port) {
  const std::string where = host + ":" + std::to_string(port);
  boost::system::error_code error;
  ip::tcp::resolver resolver(acceptor_.get_executor());
  const auto found =
      resolver.resolve(host, std::to_string(port), ip::tcp::resolver::passive, error);
  if (error || found.empty()) return fail(Errc::kInvalid, where + ": no such address");
  const ip::tcp::endpoint endpoint = found.begin()->endpoint();
  (void)acceptor_.open(endpoint.protocol(), error);
  if (!error) (void)acceptor_.set_option(ip::tcp::acceptor::reuse_address(true), error);
  if (!error) (void)acceptor_.bind(endpoint, error);
  if (!error) (void)acceptor_.listen(kBacklog, error);
  if (!error) (void)acceptor_.non_blocking(true, error);
  if (error) {
    const std::string why = error.message();
    (void)acceptor_.close(error);
    return fail(Errc::kIo, where + ": " + why);
  }
  port_ = acceptor_.local_endpoint().port();
  return {};
}

void Listener::close() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  timer_.cancel();
}

void Listener::arm() {
  acceptor_.async_wait(ip::tcp::acceptor::wait_read,
                       [this](const boost::system::error_code& error) {
                         if (!error) acceptAll();
                       });
}

void Listener::rest() {
  timer_.expires_after(kRest);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) arm();
  });
}

void Listener::acceptAll() {
  for (int i = 0; i < kAcceptedAtOnce; ++i) {
    ip::tcp::endpoint from;
    socklen_t size = static_cast<socklen_t>(from.capacity());
    FileDescriptor socket(
        ::accept4(acceptor_.native_handle(), from.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return rest();
      if (errno == ECONNABORTED || errno == EINTR) continue;
      break;
    }
    from.resize(size);
    prepare(socket.get());
    Peer peer;
    ip::address address = from.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped())
      address = ip::make_address_v4(ip::v4_mapped, address.to_v6());
    peer.address = address.to_string();
    peer.port = from.port();
    peer.loopback = address.is_loopback();
    arrived_(std::move(socket), std::move(peer));
  }
  arm();
}

}  // namespace kante::hub
