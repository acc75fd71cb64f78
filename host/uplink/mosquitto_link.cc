// The client's thread: where to connect to, one connection from its attempt to its end, and what
// comes after it.
#include <linux/sockios.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "host/base/clock.h"
#include "host/uplink/library_guard.h"
#include "host/uplink/link_text.h"
#include "host/uplink/mosquitto_client.h"

namespace kante {
namespace {

constexpr std::int64_t kTurnMs = 1'000;
// For a name server, when there are addresses to go on with.
constexpr std::int64_t kKnownMs = 2'000;
// A change of the network ends a wait at most this often.
constexpr std::int64_t kNetworkMs = 1'000;
// An attempt that is younger is about to be repeated by TCP itself.
constexpr std::int64_t kStuckMs = 3'000;
// A certificate is looked at from a fifth of its life on, a week at most; with a new one on disk
// the connection is renewed a tenth of its life before it ends, an hour at most.
constexpr std::int64_t kWarnMaxS = 7 * 86'400;
constexpr std::int64_t kRenewMaxS = 3'600;

bool failed(const pollfd& fd) { return (fd.revents & (POLLERR | POLLHUP)) != 0; }

}  // namespace

std::int64_t MosquittoClient::nowMs() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// ---- where to ----

void MosquittoClient::run() {
  network_.open();
  while (!stopping()) {
    visit();
    if (stopping()) break;
    if (afterVisit() == Next::kWait) waitBackoff();
  }
  goodbye();
  state_ = LinkState::kStopped;
}

// Tries the addresses of the present target one after the other, until one was the right one.
void MosquittoClient::visit() {
  attempt_ = {};
  const auto addresses = resolve(target_.host);
  if (stopping()) return;
  if (addresses.has_error()) return handler_->onDisconnected(addresses.error().text);
  for (const std::string& address : *addresses) {
    if (stopping()) return;
    state_ = LinkState::kConnecting;
    const std::string why = serve(address);
    if (stopping()) return;
    handler_->onDisconnected(why);
    if (attempt_.answered || attempt_.network_changed) return;
  }
}

MosquittoClient::Next MosquittoClient::afterVisit() {
  if (attempt_.server_reference) return follow(*attempt_.server_reference);
  redirects_ = 0;
  if (!attempt_.answered) moved_.reset();  // It is not there, or not any more.
  target_ = moved_.value_or(home_);
  if (attempt_.other_form && options_.protocol == MqttProtocol::kAuto) {
    form_ = MqttForm::k311;
    return Next::kAtOnce;
  }
  if (attempt_.renewing) return Next::kAtOnce;
  if (!attempt_.network_changed) return Next::kWait;
  backoff_.reset();
  return Next::kAtOnce;
}

// Only to a server that proves its name to the same CA, or from loopback to loopback.
MosquittoClient::Next MosquittoClient::follow(const std::string& reference) {
  const auto stay = [this](const std::string& why) {
    redirects_ = 0;
    moved_.reset();
    target_ = home_;
    handler_->onDisconnected(why);
    return Next::kWait;
  };
  const auto server = parseServerReference(reference, target_.port);
  if (server.has_error()) return stay(server.error().text);
  const std::string where = "the broker sends the gateway to " + server->text();
  if (++redirects_ > kRedirectsMax) return stay(where + ", the fourth in a row: not followed");
  if (!options_.tls && !(target_.isLoopback() && server->isLoopback()))
    return stay(where + ": not followed in plain text");
  handler_->onDisconnected(where);
  if (attempt_.moved_for_good) moved_ = *server;
  target_ = *server;
  return Next::kAtOnce;
}

// A name server that is silent or broken does not keep the gateway from a broker that it knows:
// TLS says whether it is still the same.
Result<Addresses> MosquittoClient::resolve(const std::string& host) {
  const auto known = known_.find(host);
  const auto otherwise = [&](Error error) -> Result<Addresses> {
    if (known != known_.end()) return known->second;
    return error;
  };
  if (const Status asked = resolver_.ask(host); asked.has_error()) return otherwise(asked.error());
  const std::int64_t patience_ms = known != known_.end()
                                       ? std::min(kKnownMs, options_.times.resolve_ms)
                                       : options_.times.resolve_ms;
  const std::int64_t until_ms = nowMs() + patience_ms;
  while (!stopping()) {
    if (auto answer = resolver_.take()) {
      if (answer->has_error()) return otherwise(answer->error());
      if (known_.size() >= kKnownHostsMax && known == known_.end()) known_.clear();
      known_.insert_or_assign(host, **answer);
      return std::move(**answer);
    }
    const std::int64_t left_ms = until_ms - nowMs();
    if (left_ms <= 0) break;
    pollfd fds[2] = {{resolver_.fd(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    ::poll(fds, 2, static_cast<int>(left_ms));
    if (fds[1].revents != 0) runPosted();
  }
  return otherwise(fail(Errc::kUnavailable, host + ": the name server does not answer"));
}

AttemptEnd MosquittoClient::end() const {
  if (attempt_.up_since_ms != 0) {
    const bool steady = nowMs() - attempt_.up_since_ms >= options_.times.steady_ms;
    return steady && !attempt_.taken_over ? AttemptEnd::kSteady : AttemptEnd::kFlapped;
  }
  if (attempt_.busy) return AttemptEnd::kBusy;
  return attempt_.reached ? AttemptEnd::kRefused : AttemptEnd::kUnreached;
}

void MosquittoClient::waitBackoff() {
  state_ = LinkState::kWaiting;
  std::int64_t until_ms = nowMs() + backoff_.nextMs(end());
  for (;;) {
    const std::int64_t left_ms = until_ms - nowMs();
    if (left_ms <= 0 || stopping()) return;
    pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {network_.fd(), POLLIN, 0}};
    ::poll(fds, 2, static_cast<int>(left_ms));
    if (fds[0].revents != 0) runPosted();
    if (fds[1].revents == 0 || !network_.takeChange()) continue;
    until_ms = std::min(until_ms, std::max(nowMs(), network_changed_ms_ + kNetworkMs));
    network_changed_ms_ = nowMs();
    backoff_.reset();
  }
}

// ---- one connection ----

Status MosquittoClient::begin(const std::string& address) {
  attempt_ = {};
  attempt_.began_ms = nowMs();
  attempt_.silence_ms = options_.times.keep_alive_s * std::int64_t{1000} + options_.times.answer_ms;
  if (options_.tls) {
    lookAtCertificates(attempt_.began_ms);
    in_use_ = options_.tls->own();
    KANTE_CHECK(options_.tls->expect(target_.host));
  }
  packet_max_ = 0;
  KANTE_CHECK(renew());
  KANTE_CHECK(credentials());
  errno = 0;
  const int rc = mosquitto_connect_bind_async(client_, address.c_str(), target_.port,
                                              options_.times.keep_alive_s, nullptr);
  if (rc != MOSQ_ERR_SUCCESS && rc != MOSQ_ERR_CONN_PENDING)
    return fail(Errc::kUnavailable, reason(rc));
  const int fd = mosquitto_socket(client_);
  if (fd < 0) return fail(Errc::kUnavailable, reason(MOSQ_ERR_NO_CONN));
  tune(fd);
  return {};
}

void MosquittoClient::tune(int fd) {
  const unsigned timeout_ms = options_.times.user_timeout_ms;
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
  const int unsent = kUnsentBytesMax;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

std::string MosquittoClient::serve(const std::string& address) {
  const Status begun = begin(address);
  if (begun.has_error()) {
    state_ = LinkState::kWaiting;
    return begun.error().text;
  }
  while (!stopping()) {
    const bool up = state() == LinkState::kConnected;
    if (!up && nowMs() - attempt_.began_ms > options_.times.connect_ms) {
      attempt_.said =
          target_.text() +
          (attempt_.reached ? ": takes the connection and answers nothing" : ": no answer");
      break;
    }
    const std::int64_t turn_ms =
        std::min(up ? std::clamp<std::int64_t>(handler_->patienceMs(), 1, kTurnMs) : kTurnMs,
                 options_.times.connect_ms);
    if (!pollOnce(turn_ms)) break;
    if (std::exchange(attempt_.connack, false)) connected();
    if (state() != LinkState::kConnected) continue;
    handler_->onTurn();
    if (!healthy()) break;
  }
  if (stopping()) return {};
  const std::string why = reason(attempt_.lost_rc);
  // The library closes only what it found broken itself.
  if (const int fd = mosquitto_socket(client_); fd >= 0) ::shutdown(fd, SHUT_RDWR);
  state_ = LinkState::kWaiting;
  forget();
  return why;
}

void MosquittoClient::connected() {
  state_ = LinkState::kConnected;
  ++connects_;
  attempt_.up_since_ms = attempt_.heard_ms = nowMs();
  attempt_.looked_at_ms = attempt_.up_since_ms;
  redirects_ = 0;
  for (const std::string& filter : filters_) {
    mosquitto_subscribe_v5(client_, nullptr, filter.c_str(), 1, 0, nullptr);
  }
  handler_->onConnected();
}

// The TLS connection as long as it shakes hands, else null.
ssl_st* MosquittoClient::handshake() const {
  auto* ssl = static_cast<SSL*>(mosquitto_ssl_get(client_));
  return ssl != nullptr && SSL_in_init(ssl) != 0 ? ssl : nullptr;
}

// False when the connection is over.
bool MosquittoClient::pollOnce(std::int64_t timeout_ms) {
  const int fd = mosquitto_socket(client_);
  if (fd < 0 || attempt_.lost) return false;
  pollfd fds[3] = {{fd, POLLIN, 0}, {wake_.get(), POLLIN, 0}, {network_.fd(), POLLIN, 0}};
  // In a handshake the library always wants to write, and would keep us turning.
  const SSL* shaking = handshake();
  const bool writes = shaking != nullptr ? SSL_want_write(shaking) : mosquitto_want_write(client_);
  if (writes || !attempt_.reached) fds[0].events |= POLLOUT;
  if (::poll(fds, 3, static_cast<int>(timeout_ms)) < 0 && errno != EINTR) return false;
  if (fds[1].revents != 0) runPosted();
  if (fds[2].revents != 0 && network_.takeChange()) {
    const bool up = state() == LinkState::kConnected;
    const bool stuck = !attempt_.reached && nowMs() - attempt_.began_ms > kStuckMs;
    if (up ? !ownAddressIsThere(fd) : stuck) {
      attempt_.network_changed = true;
      attempt_.said = "the network changed";
      return false;
    }
  }
  if (!failed(fds[0]) && (fds[0].revents & POLLOUT) != 0) attempt_.reached = true;
  if (failed(fds[0]) && !attempt_.reached) {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) {
      attempt_.said = target_.text() + ": " + ::strerror(error);
      return false;
    }
  }
  return readAndWrite(fd, fds[0].revents);
}

int MosquittoClient::guarded(int (*loop)(struct mosquitto*, int)) {
  struct Turn {
    int (*loop)(struct mosquitto*, int);
    struct mosquitto* client;
  } turn{loop, client_};
  const auto call = [](void* argument) {
    const Turn& now = *static_cast<Turn*>(argument);
    return now.loop(now.client, 1);
  };
  constexpr int kAsserted = -1000;  // No code of the library's.
  const int rc = LibraryGuard::run(call, &turn, kAsserted);
  if (rc != kAsserted) return rc;
  attempt_.lost = true;
  attempt_.said = target_.text() + ": the broker sent what is no MQTT; the connection is given up";
  return MOSQ_ERR_PROTOCOL;
}

bool MosquittoClient::readAndWrite(int fd, short happened) {
  int rc = MOSQ_ERR_SUCCESS;
  const bool shaking = handshake() != nullptr;
  // Reading first: a broker that refuses us says why before it resets the connection.
  if ((happened & ~POLLOUT) != 0) {
    if (!attempt_.read && seemsForeign(fd)) return false;
    attempt_.heard_ms = nowMs();
    rc = guarded(mosquitto_loop_read);
  } else if (shaking && happened != 0) {
    rc = guarded(mosquitto_loop_read);  // Goes on with the handshake, whatever it waits for.
  }
  if (rc == MOSQ_ERR_SUCCESS && (happened & POLLOUT) != 0 && !shaking) {
    rc = guarded(mosquitto_loop_write);
    // A message longer than the kernel takes at once is on its way: no answer is due before its
    // end.
    if (rc == MOSQ_ERR_SUCCESS && mosquitto_want_write(client_)) attempt_.heard_ms = nowMs();
  }
  // Once a ping is on its way the library would end the connection by its own count.
  if (rc == MOSQ_ERR_SUCCESS && state() == LinkState::kConnected && !attempt_.pinged)
    rc = mosquitto_loop_misc(client_);
  if (rc == MOSQ_ERR_SUCCESS) return true;
  if (!attempt_.lost || attempt_.lost_rc == 0) attempt_.lost_rc = rc;
  return false;
}

// Looks at the first bytes without taking them.
bool MosquittoClient::seemsForeign(int fd) {
  std::array<char, 64> first{};
  const ssize_t got = ::recv(fd, first.data(), first.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got <= 0) return false;
  attempt_.read = true;
  const std::string_view bytes(first.data(), static_cast<std::size_t>(got));
  const std::string text = foreignText(options_.tls ? Wire::kTls : Wire::kPlain, bytes);
  if (text.empty()) return false;
  attempt_.said = target_.text() + ": " + text;
  return true;
}

// False when a connection that the library takes for a good one is none.
bool MosquittoClient::healthy() {
  const std::int64_t now_ms = nowMs();
  if (now_ms - attempt_.heard_ms > kTurnMs) {
    // What the other side's kernel acknowledges and is not all of it: the link lives.
    const int unsent = std::exchange(attempt_.unsent, unsentBytes());
    if (attempt_.unsent > 0 && attempt_.unsent < unsent) attempt_.heard_ms = now_ms;
  }
  if (attempt_.silence_ms != 0 && now_ms - attempt_.heard_ms > attempt_.silence_ms) {
    attempt_.said = target_.text() + ": nothing heard for " +
                    std::to_string((now_ms - attempt_.heard_ms) / 1000) + " s: the link is dead";
    return false;
  }
  if (identity_alarm_until_ms_ != 0 && now_ms > identity_alarm_until_ms_) {
    identity_alarm_until_ms_ = 0;
    identity_alarm_.clear();
    raise();
  }
  if (now_ms - attempt_.looked_at_ms >= options_.times.files_ms) lookAtCertificates(now_ms);
  if (attempt_.renewing) {
    attempt_.said = "the connection is renewed with the new certificate";
    // Says goodbye as one who comes back: no last will.
    mosquitto_disconnect_v5(client_, 0, nullptr);
    if (mosquitto_want_write(client_)) mosquitto_loop_write(client_, 1);
    return false;
  }
  return acknowledging(now_ms);
}

// What the kernel holds and the other side's did not acknowledge.
int MosquittoClient::unsentBytes() const {
  int bytes = 0;
  return ::ioctl(mosquitto_socket(client_), SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

// Whether the broker acknowledges, or still has something to receive.
bool MosquittoClient::acknowledging(std::int64_t now_ms) {
  if (tokens_.empty() || mosquitto_want_write(client_) || unsentBytes() > 0) {
    attempt_.handed_over_ms = 0;
    return true;
  }
  if (attempt_.handed_over_ms == 0) attempt_.handed_over_ms = now_ms;
  if (now_ms - attempt_.handed_over_ms < puback_ms_) return true;
  silence_alarm_ = "the broker has everything and acknowledges nothing for " +
                   std::to_string((now_ms - attempt_.handed_over_ms) / 1000) + " s";
  raise();
  attempt_.said = target_.text() + ": " + silence_alarm_ + ": it gets all of it again";
  puback_ms_ = std::min(puback_ms_ * 2, options_.times.puback_max_ms);
  had_no_patience_ = true;
  return false;
}

void MosquittoClient::acknowledged(int packet, std::uint8_t code) {
  const std::int64_t now_ms = nowMs();
  attempt_.handed_over_ms = 0;
  if (!silence_alarm_.empty()) {
    silence_alarm_.clear();
    raise();
  }
  const auto it = tokens_.find(packet);
  if (it == tokens_.end()) return;
  const Sent sent = it->second;
  tokens_.erase(it);
  attempt_.slowest_ms = std::max(attempt_.slowest_ms, now_ms - sent.at_ms);
  learnPatience(now_ms);
  handler_->onPublished(sent.token, code);
}

// A broker that acknowledges late is given as much time as it took at most, and as much again.
// What it acknowledges quickly at first says nothing of what it was late with the last time.
void MosquittoClient::learnPatience(std::int64_t now_ms) {
  if (now_ms - attempt_.up_since_ms > puback_ms_) had_no_patience_ = false;
  const std::int64_t wanted_ms =
      std::clamp(attempt_.slowest_ms * 2, options_.times.puback_ms, options_.times.puback_max_ms);
  puback_ms_ = had_no_patience_ ? std::max(puback_ms_, wanted_ms) : wanted_ms;
}

void MosquittoClient::lookAtCertificates(std::int64_t now_ms) {
  attempt_.looked_at_ms = now_ms;
  if (!options_.tls) return;
  TlsContext& tls = *options_.tls;
  certificate_alarm_.clear();
  const Status loaded = tls.changedOnDisk() ? tls.load() : Status();
  if (loaded.has_error())
    certificate_alarm_ = loaded.error().text + ": what was read before is used; ";
  const std::int64_t now_s = tls.nowS();
  const Validity own = tls.own();
  if (own.ends_s != 0 &&
      own.ends_s - now_s < std::min(kWarnMaxS, (own.ends_s - own.begins_s) / 5)) {
    certificate_alarm_ += "the gateway's certificate " + tls.files().cert +
                          (own.ends_s > now_s ? " expires at " : " expired at ") +
                          formatUtc(own.ends_s * 1'000'000'000) + ": renew it";
  } else if (loaded.has_error()) {
    certificate_alarm_.resize(certificate_alarm_.size() - 2);
  }
  raise();
  const std::int64_t old_life_s = in_use_.ends_s - in_use_.begins_s;
  attempt_.renewing = attempt_.up_since_ms != 0 && own.ends_s > in_use_.ends_s &&
                      in_use_.ends_s - now_s < std::min(kRenewMaxS, old_life_s / 10);
}

std::string MosquittoClient::reason(int rc) {
  const int error_number = errno;
  if (attempt_.taken_over) {
    identity_alarm_ = closedText(MQTT_RC_SESSION_TAKEN_OVER);
    identity_alarm_until_ms_ = nowMs() + kIdentityAlarmMs;
    raise();
  }
  if (options_.tls) {
    if (std::string refusal = options_.tls->takeRefusal(); !refusal.empty()) return refusal;
  }
  if (!attempt_.said.empty()) return attempt_.said;
  const std::string where = target_.text() + ": ";
  if (rc >= 0x80) return where + closedText(static_cast<std::uint8_t>(rc));
  if (rc == MOSQ_ERR_KEEPALIVE) return where + "no answer to a ping";
  const bool early = options_.tls != nullptr && attempt_.reached && !attempt_.answered;
  if (rc == MOSQ_ERR_ERRNO && error_number != 0 && !(early && error_number == EPROTO))
    return where + ::strerror(error_number);
  if (early && attempt_.read) {
    return where +
           "the broker ends the connection before it says why; does it want a certificate, or "
           "another one? See [uplink] cert";
  }
  return where +
         (rc == 0 || rc == MOSQ_ERR_ERRNO ? "the connection is lost" : mosquitto_strerror(rc));
}

void MosquittoClient::goodbye() {
  runPosted();
  if (state() != LinkState::kConnected) return;
  const std::int64_t until_ms = nowMs() + options_.times.goodbye_ms;
  while (!tokens_.empty() && nowMs() < until_ms && pollOnce(50)) {
  }
  if (attempt_.lost) return;  // Nobody to say it to, and perhaps no library to say it with.
  // The broker then publishes the last will: a gateway that stops is offline, too.
  if (form() == MqttForm::k311) {
    ::shutdown(mosquitto_socket(client_), SHUT_RDWR);
    return;
  }
  mosquitto_disconnect_v5(client_, MQTT_RC_DISCONNECT_WITH_WILL_MSG, nullptr);
  while (mosquitto_want_write(client_) && nowMs() < until_ms && pollOnce(50)) {
  }
}

}  // namespace kante
