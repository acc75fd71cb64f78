#include "host/cli/gateway_documents.h"

#include "host/cli/gateway_secrets.h"

#include <boost/json.hpp>

#include "host/base/json.h"
#include "host/base/log.h"
#include "host/base/trusted_clock.h"
#include "host/hub/methods.h"
#include "host/placement/module_host.h"
#include "host/uplink/mqtt_uplink.h"

namespace kante::cli {
namespace {

constexpr int kForbidden = 403;
constexpr int kIgnored = 409;  // The very same command was called already.

unsigned percentRunning(const ModuleHost& modules) {
  const auto all = modules.modules();
  if (all.empty()) return 100;
  std::size_t running = 0;
  for (const ModuleStatus& module : all) running += module.state == ModuleState::kRunning ? 1 : 0;
  return static_cast<unsigned>(running * 100 / all.size());
}

std::vector<DocumentKind> kindsFor(ArrivedDocument::For use) {
  switch (use) {
    case ArrivedDocument::For::kDeployment: return {DocumentKind::kDeployment};
    case ArrivedDocument::For::kLayer: return {DocumentKind::kLayer};
    case ArrivedDocument::For::kPatch: return {DocumentKind::kMergePatch, DocumentKind::kJsonPatch};
    case ArrivedDocument::For::kDesired: return {DocumentKind::kDesired};
    case ArrivedDocument::For::kCommand: return {DocumentKind::kCommand};
    case ArrivedDocument::For::kSecrets: return {DocumentKind::kSecrets};
    case ArrivedDocument::For::kTrust: return {DocumentKind::kTrust};
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<GatewayDocuments>> GatewayDocuments::open(const Config& config,
                                                                 Parts parts) {
  std::unique_ptr<GatewayDocuments> made(new GatewayDocuments(std::move(parts)));
  Documents::Parts documents{
      made->parts_.agent,
      made->parts_.twins,
      made->parts_.methods,
      made->parts_.taken,
      made->parts_.log,
      made->parts_.events,
      made->parts_.anchors,
      [&wall = made->parts_.wall] { return wall.judgement(); },
      [&wall = made->parts_.wall](const Signer& signer) { wall.accepted(signer.not_before_s); },
      config.gateway.id,
      config.gateway.tags};
  documents.post = made->parts_.post;
  documents.trust_changed = made->parts_.trust_changed;
  documents.later = made->parts_.later;
  if (GatewaySecrets* secrets = made->parts_.secrets) {
    documents.set_secrets = [secrets](const std::string& cms, const std::string& who, auto done) {
      secrets->take(cms, who, std::move(done));
    };
    documents.recipient = secrets->box().pem();
  }
  documents.progress = [&modules = made->parts_.modules] { return percentRunning(modules); };
  if (MqttUplink* uplink = made->parts_.uplink)
    documents.report = [uplink](const std::string& json) { uplink->report(json); };
  KANTE_TRY(opened, Documents::open(std::move(documents)));
  made->documents_ = std::move(opened);
  return made;
}

void GatewayDocuments::arrived(ArrivedDocument document, DocumentAnswer answer) {
  Documents::Arrival arrival;
  arrival.kinds = kindsFor(document.use);
  arrival.file = std::move(document.file);
  arrival.source = std::move(document.source);
  arrival.name = std::move(document.name);
  arrival.default_window_s = Agent::kAfarWindowS;
  arrival.is_retained = document.is_retained;
  const bool dropped = arrival.file.empty();
  const auto finished = [answer](const DocumentOutcome& outcome) {
    if (outcome.kind == DocumentOutcome::Kind::kTaken)
      return answer(outcome.status, outcome.payload);
    const bool ignored = outcome.kind == DocumentOutcome::Kind::kIgnored;
    answer(ignored ? kIgnored : kForbidden,
           writeJson(boost::json::object{
               {"reason", ignored ? "replayed" : outcome.reason},
               {"message", ignored ? "it was called already" : outcome.error.text}}));
  };
  if (dropped) return documents_->refuseBusy(std::move(arrival), finished);
  documents_->take(std::move(arrival), finished);
}

// Layers whose conditions the tags of this start fulfil, or do not any more, come first.
void GatewayDocuments::start() {
  parts_.agent.recompose([this](const Result<ApplyOutcome>& outcome) {
    if (!outcome)
      parts_.log.error("documents", "layers do not fit the tags: " + outcome.error().text);
    documents_->start();
  });
}

}  // namespace kante::cli
