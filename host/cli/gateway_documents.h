// Signed documents of a gateway: the ways on which they come and on which it answers.
#pragma once

#include <functional>
#include <memory>

#include "host/agent/documents.h"
#include "host/config/config.h"
#include "host/store/key_value.h"
#include "host/uplink/document_topics.h"

namespace kante {
class ModuleHost;
class MqttUplink;
class TrustedClock;
}  // namespace kante

namespace kante::cli {

class GatewaySecrets;

class GatewayDocuments {
 public:
  // All borrowed; they outlive it.
  struct Parts {
    Agent& agent;
    Twins& twins;
    Methods& methods;
    ModuleHost& modules;
    Anchors& anchors;
    StoreMap& taken;
    Log& log;
    EventLog& events;
    TrustedClock& wall;
    std::function<void(std::function<void()>)> post;
    MqttUplink* uplink = nullptr;  // Null: there is none.
    std::function<void()> trust_changed = nullptr;
    GatewaySecrets* secrets = nullptr;  // Null: none are kept.
    decltype(Documents::Parts::later) later = nullptr;
  };
  static Result<std::unique_ptr<GatewayDocuments>> open(const Config& config, Parts parts);

  Documents& documents() { return *documents_; }
  // From the uplink.
  void arrived(ArrivedDocument document, DocumentAnswer answer);
  // The committed deployment was started, or could not be: what waits is taken.
  void start();

 private:
  explicit GatewayDocuments(Parts parts) : parts_(std::move(parts)) {}

  const Parts parts_;
  std::unique_ptr<Documents> documents_;
};

}  // namespace kante::cli
