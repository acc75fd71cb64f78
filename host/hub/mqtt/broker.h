// The MQTT broker of a gateway: listeners on the control thread, an engine on each shard, and
// beside it what speaks HTTP there, for WebSockets and for requests.
//
//   make()   nothing listens yet
//   start()  finds what outlived the last process, then opens the addresses, where clients wait;
//            the first that cannot be opened is named
//   serve()  lets clients in
//   stop()   says goodbye to all clients; then the shards may stop, and after them it may be
//   destroyed
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "host/base/result.h"
#include "host/hub/access.h"
#include "host/hub/mqtt/counters.h"
#include "host/hub/mqtt/limits.h"
#include "host/hub/mqtt/listener.h"
#include "host/hub/mqtt/parcel.h"
#include "host/hub/mqtt/rate.h"
#include "host/hub/mqtt/routing.h"
#include "host/hub/mqtt/tls_transport.h"

namespace kante {
class Clock;
class KeyValue;
class Log;
class MetricWriter;
class Shard;
}  // namespace kante

namespace kante::hub {

class EngineShard;
class SessionStore;
class WebHandler;
class WebShard;

struct BrokerStatus {
  std::uint64_t connections = 0;
  std::uint64_t sessions = 0;
  std::uint64_t subscriptions = 0;
  std::uint64_t retained = 0;
  std::uint64_t stored_sessions = 0;  // Those that outlive the process.
  std::uint64_t stored_messages = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
  std::uint64_t dropped = 0;  // For want of room, time, a connection, or the client's consent.
};

class Broker {
 public:
  struct Address {
    std::string host;
    std::uint16_t port = 0;
    bool tls = false;
    enum class Speaks : std::uint8_t { kMqtt, kHttp } speaks = Speaks::kMqtt;
  };
  struct Parts {
    boost::asio::io_context& control;
    Log& log;
    const Clock& clock;
    const Access& access;  // Outlives it, as do the others.
    std::vector<std::shared_ptr<Shard>> shards;
    Limits limits;
    std::vector<Address> addresses;
    TlsContext tls;             // Null: no address is `tls`.
    WebHandler* web = nullptr;  // Answers requests of HTTP; null: only WebSockets are served.
    std::vector<Routing*> routings = {};  // One a shard; empty: nothing goes by routes.
    Desk* desk = nullptr;                 // Null: nobody answers below $iothub/.
    KeyValue* store = nullptr;            // Null: nothing outlives the process.
    std::uint64_t stored_bytes_max = 0;
  };
  explicit Broker(Parts parts);
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  Status start();
  // After start(), once: whoever has come since is let in.  Not before there are routes, or what
  // they say would be for nobody.
  void serve();
  void stop(std::function<void()> done);  // Once, on the control thread.

  // The port of the nth address, once it is open.
  std::uint16_t port(std::size_t n) const { return listeners_[n]->port(); }
  // For connections from now on; nobody who is connected notices.
  void setTls(TlsContext tls) { parts_.tls = std::move(tls); }
  // The principal's grants changed, or it is gone: acts on its sessions.
  void reconsider(const std::string& principal, Connections connections);

  // To one session, if it is there and subscribed to it.  Any thread.
  void send(const SessionRef& session, const PublicationRef& publication);

  BrokerStatus status() const;                // Any thread.
  void collect(MetricWriter& metrics) const;  // Any thread.

 private:
  void makeWeb(std::uint32_t index);
  Status restore();
  void arrived(const Address& address, FileDescriptor socket, Peer peer);
  void collectWeb(MetricWriter& metrics) const;
  void refuse(const Peer& peer, const char* why);
  std::vector<std::pair<std::string, std::string>> aboutItself() const;
  void reportLine(Refusal refusal, const std::string& who, const std::string& text);

  Parts parts_;
  const std::shared_ptr<Homes> homes_;
  std::shared_ptr<SessionStore> store_;  // Shared with what is on its way to the disk.
  std::vector<std::unique_ptr<EngineShard>> engines_;
  std::vector<std::unique_ptr<WebShard>> webs_;  // By shard; none without an address.
  std::vector<std::unique_ptr<Listener>> listeners_;
  Rate rate_;
  std::size_t next_ = 0;
  std::atomic<std::uint32_t> connections_{0};
  std::atomic<std::uint64_t> refused_{0};
  const std::int64_t began_ns_;
  std::mutex report_mutex_;  // Around the few lines a second that refusals may log.
  Rate reports_;
  std::uint64_t silenced_ = 0;
};

}  // namespace kante::hub
