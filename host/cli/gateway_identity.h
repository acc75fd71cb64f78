// The gateway's part that knows who devices are: their registry on disk, what the hub asks about
// them, and the gateway's own certificates.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/api/endpoints.h"
#include "host/base/fd.h"
#include "host/base/result.h"
#include "host/hub/access.h"
#include "host/identity/hub_certificate.h"
#include "host/identity/registered_access.h"
#include "host/identity/registry.h"

namespace kante {
class EventLog;
class KeyValue;
class Log;
class Router;
class StoreMap;
class TrustedClock;
class Twins;
struct Config;
}  // namespace kante

namespace kante::cli {

class GatewayIdentity {
 public:
  struct Parts {
    Log& log;
    EventLog& events;
    const TrustedClock& clock;
    KeyValue& store;
    Twins& twins;  // A device's twin goes with it.
    std::function<void(std::function<void()>)> post;
  };
  // All it is given outlives it.
  static Result<std::unique_ptr<GatewayIdentity>> open(const Config& config, Parts parts);
  ~GatewayIdentity();

  void addEndpoints(Router& router);
  Registry& registry() { return *registry_; }
  const Seal& seal() const { return seal_; }
  int directoryFd() const { return directory_.get(); }
  // What secrets are encrypted to, for view().
  void showSecretsBy(IdentityView::Certificate certificate) { secrets_ = std::move(certificate); }
  bool isRegistered(const std::string& principal) const;
  // What decides about clients that have a name.
  const RegisteredAccess& access() const { return *access_; }
  // The one that the hub shows, made when it is first asked for: [hub.tls] cert, or one from the
  // gateway's CA.
  Result<HubCertificate*> certificate();
  // What leads to the certificate that the hub shows, for modules that connect to it.
  Result<std::string> trustBundle();
  // From the gateway's CA, for a module of the gateway: as a server of that name, or as itself if
  // the name is empty.  kDenied: the name is the hub's.
  Result<Workload::Certificate> moduleCertificate(const PrincipalName& module,
                                                  const std::string& name, std::int64_t until_s);
  // Now and then, every few minutes at most.
  void tick();

 private:
  GatewayIdentity(const Config& config, Parts parts, Seal seal);
  Result<GatewayCa*> ca();
  Result<IdentityView> view();
  void report(const Registry::Change& change);
  void reportDamaged();

  const Config& config_;
  const Parts parts_;
  const Seal seal_;
  FileDescriptor directory_;
  const std::vector<std::string> names_;  // Of the hub.
  std::unique_ptr<StoreMap> map_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<RegisteredAccess> access_;
  std::unique_ptr<GatewayCa> ca_;
  std::unique_ptr<HubCertificate> certificate_;
  Registry::Observation observation_;
  IdentityView::Certificate secrets_;
};

}  // namespace kante::cli
