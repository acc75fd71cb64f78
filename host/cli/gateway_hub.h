// The gateway's part that serves leaf devices: the broker, as the configuration wants it.
#pragma once

#include <openssl/types.h>

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "host/base/result.h"
#include "host/hub/access.h"
#include "host/hub/twins.h"
#include "host/identity/registry.h"

namespace kante {
class EventLog;
class Log;
class Methods;
class ModuleHost;
class Store;
class TrustedClock;
struct Config;
struct ServerCredential;
}  // namespace kante
namespace kante::hub {
class Broker;
class Children;
class Contract;
class DeviceApi;
class DeviceEndpoints;
}  // namespace kante::hub

namespace kante::cli {

class GatewayIdentity;

class GatewayHub {
 public:
  struct Parts {
    boost::asio::io_context& control;
    Log& log;
    const TrustedClock& clock;
    GatewayIdentity& identity;  // Who may come in, and what the hub shows.
    ModuleHost& modules;        // Whose shards it uses.
    Twins& twins;
    Methods& methods;
    Store& store;
    EventLog& events;
    // As hub::Contract::Parts.
    std::function<TwinSection(const std::string& principal, TwinSection desired)> told;
  };
  // Null when the configuration asks for no address; nothing listens yet.  All it is given outlives
  // it.
  static Result<std::unique_ptr<GatewayHub>> make(const Config& config, const Parts& parts);
  ~GatewayHub();

  Status start();
  void serve();  // Once the deployment runs.
  // Before the modules' shards end.
  void stop(std::function<void()> done);
  const hub::Broker& broker() const { return *broker_; }
  // For other protocols than MQTT, and for operators.
  hub::DeviceApi& deviceApi();
  const hub::Contract& contract() const { return *contract_; }
  const hub::Children& children() const { return *children_; }

 private:
  GatewayHub(const Config& config, const Parts& parts);
  Result<std::shared_ptr<SSL_CTX>> tls(const ServerCredential& shown) const;
  Status keepCertificate();
  void tickLater();
  void follow(const Registry::Change& change);
  void pinDevices();

  const Config& config_;
  const Parts parts_;
  const std::unique_ptr<hub::Access> access_;
  std::string client_ca_;  // PEM.
  boost::asio::steady_timer timer_;
  Registry::Observation observation_;
  Twins::Subscription reported_;
  std::unique_ptr<hub::Children> children_;
  std::unique_ptr<hub::Contract> contract_;
  std::unique_ptr<hub::DeviceEndpoints> endpoints_;
  std::unique_ptr<hub::Broker> broker_;
};

}  // namespace kante::cli
