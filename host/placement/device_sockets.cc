#include "host/placement/device_sockets.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <utility>

namespace kante {
namespace {

namespace asio = boost::asio;

// Blocking, whoever made it; the module may set it otherwise.
FileDescriptor released(int native) {
  FileDescriptor fd(native);
  if (const int flags = ::fcntl(native, F_GETFL); flags >= 0)
    ::fcntl(native, F_SETFL, flags & ~O_NONBLOCK);
  return fd;
}

kante_status statusOf(const boost::system::error_code& error) {
  if (error == asio::error::access_denied) return KANTE_E_DENIED;
  if (error == asio::error::host_not_found) return KANTE_E_NOT_FOUND;
  if (error == asio::error::operation_aborted) return KANTE_E_CANCELED;
  return KANTE_E_STATE;
}

// One attempt over all addresses of a name, with one deadline; lives until it has answered.
template <typename Protocol>
class Attempt : public std::enable_shared_from_this<Attempt<Protocol>> {
 public:
  Attempt(asio::io_context& control, const DeviceWish& wish, DeviceOpener::Answer answer)
      : resolver_(control),
        socket_(control),
        deadline_(control),
        peer_(wish.grant.target),
        answer_(std::move(answer)) {}

  void begin(const DeviceWish& wish, std::int64_t patience_ms) {
    deadline_.expires_after(std::chrono::milliseconds(patience_ms));
    deadline_.async_wait(
        [self = this->shared_from_this(), patience_ms](const boost::system::error_code& stopped) {
          if (!stopped)
            self->refuse(KANTE_E_STATE, "no answer within " + std::to_string(patience_ms) + " ms");
        });
    resolver_.async_resolve(
        wish.host, std::to_string(wish.port),
        [self = this->shared_from_this()](const boost::system::error_code& error, auto found) {
          if (!self->answer_) return;  // It was too late.
          if (error) return self->refuse(statusOf(error), error.message());
          asio::async_connect(self->socket_, found,
                              [self](const boost::system::error_code& failed, const auto&) {
                                if (failed) return self->refuse(statusOf(failed), failed.message());
                                self->finish();
                              });
        });
  }

 private:
  void refuse(kante_status status, const std::string& why) {
    end(status, {}, "cannot connect to " + peer_ + ": " + why);
  }
  void finish() {
    boost::system::error_code ignored;
    const int native = socket_.release(ignored);
    end(KANTE_OK, {released(native), {}}, {});
  }
  void end(kante_status status, DeviceOpener::Opened opened, const std::string& why) {
    if (!answer_) return;
    const auto answer = std::exchange(answer_, nullptr);
    deadline_.cancel();
    resolver_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
    answer(status, std::move(opened), why);
  }

  typename Protocol::resolver resolver_;
  typename Protocol::socket socket_;
  asio::steady_timer deadline_;
  const std::string peer_;
  DeviceOpener::Answer answer_;
};

template <typename Protocol>
void attempt(asio::io_context& control, const DeviceWish& wish, std::int64_t patience_ms,
             DeviceOpener::Answer answer) {
  std::make_shared<Attempt<Protocol>>(control, wish, std::move(answer))->begin(wish, patience_ms);
}

}  // namespace

void connectTo(asio::io_context& control, const DeviceWish& wish, std::int64_t patience_ms,
               DeviceOpener::Answer answer) {
  if (wish.how == DeviceWish::How::kUdp) {
    attempt<asio::ip::udp>(control, wish, patience_ms, std::move(answer));
  } else {
    attempt<asio::ip::tcp>(control, wish, patience_ms, std::move(answer));
  }
}

DeviceOpener::Session::~Session() {
  if (listeners_.empty()) return;
  // Its instance may end on a shard; acceptors live on the control thread.
  asio::post(control_, [listeners = std::move(listeners_)] { close(listeners); });
}

void DeviceOpener::Session::end() {
  ended_ = true;
  close(std::exchange(listeners_, {}));
}

void DeviceOpener::Session::close(Listeners listeners) {
  for (const auto& [at, listener] : listeners) {
    boost::system::error_code ignored;
    listener->acceptor.close(ignored);
    for (const Answer& answer : std::exchange(listener->waiting, {}))
      answer(KANTE_E_CANCELED, {}, "the module was ended");
  }
}

void DeviceOpener::Session::connect(const DeviceWish& wish, std::int64_t patience_ms,
                                    Answer answer) {
  const std::string cannot = "cannot connect to " + wish.grant.target + ": ";
  if (ended_) return answer(KANTE_E_CANCELED, {}, cannot + "the module was ended");
  if (*connecting_ == kConnectsMax)
    return answer(KANTE_E_LIMIT, {},
                  cannot + std::to_string(kConnectsMax) + " connections are under way already");
  ++*connecting_;
  connectTo(control_, wish, patience_ms,
            [connecting = connecting_, answer = std::move(answer)](
                kante_status status, Opened opened, const std::string& why) {
              --*connecting;
              answer(status, std::move(opened), why);
            });
}

void DeviceOpener::Session::accept(const DeviceWish& wish, Answer answer) {
  const std::string& at = wish.grant.target;
  const auto refuse = [&](kante_status status, const std::string& why) {
    answer(status, {}, "cannot listen to " + at + ": " + why);
  };
  if (ended_) return refuse(KANTE_E_CANCELED, "the module was ended");
  auto known = listeners_.find(at);
  if (known == listeners_.end()) {
    if (listeners_.size() == kListenersMax) return refuse(KANTE_E_LIMIT, "16 ports are the most");
    boost::system::error_code error;
    const auto address = asio::ip::make_address(wish.host, error);
    if (error) return refuse(KANTE_E_INVALID, "the address is no number");
    auto listener = std::make_shared<Listener>(control_);
    const asio::ip::tcp::endpoint endpoint(address, wish.port);
    listener->acceptor.open(endpoint.protocol(), error);
    if (!error) listener->acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) listener->acceptor.bind(endpoint, error);
    if (!error) listener->acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return refuse(statusOf(error), error.message());
    known = listeners_.emplace(at, std::move(listener)).first;
  }
  Listener& listener = *known->second;
  if (listener.waiting.size() == kAcceptsMax)
    return refuse(KANTE_E_LIMIT, "256 answers wait for peers already");
  listener.waiting.push_back(std::move(answer));
  if (!std::exchange(listener.accepting, true)) acceptNext(known->second);
}

void DeviceOpener::Session::acceptNext(const std::shared_ptr<Listener>& listener) {
  listener->acceptor.async_accept(
      [listener](const boost::system::error_code& error, asio::ip::tcp::socket peer) {
        listener->accepting = false;
        if (listener->waiting.empty()) return;
        const Answer answer = std::move(listener->waiting.front());
        listener->waiting.pop_front();
        if (!listener->waiting.empty() && listener->acceptor.is_open()) {
          listener->accepting = true;
          acceptNext(listener);
        }
        if (error) return answer(statusOf(error), {}, "cannot take a peer: " + error.message());
        boost::system::error_code ignored;
        answer(KANTE_OK, {released(peer.release(ignored)), {}}, {});
      });
}

}  // namespace kante
