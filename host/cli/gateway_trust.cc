#include "host/cli/gateway_trust.h"

#include <filesystem>

#include "host/base/events.h"
#include "host/base/log.h"
#include "host/bundle/distrust.h"
#include "host/placement/module_host.h"

namespace kante::cli {
namespace {

constexpr const char* kDefaultSigners = "/etc/kante/signers.pem";

}  // namespace

Result<Anchors::Texts> readAnchors(const TrustConfig& trust, bool signers_given,
                                   const std::string& more_pem, Log& log) {
  Anchors::Texts texts;
  const auto of = [&texts](AnchorKind kind) -> std::string& {
    return texts[static_cast<std::size_t>(kind)];
  };
  std::error_code ignored;
  if (signers_given || std::filesystem::exists(kDefaultSigners, ignored)) {
    KANTE_TRY(signers, TrustStore::readAnchors(trust.signers));
    of(AnchorKind::kSigners) = std::move(signers);
  } else if (more_pem.empty()) {
    log.warn("trust",
             "no signer is trusted, so no bundle can be deployed; name certificates in "
             "[trust] signers");
  }
  of(AnchorKind::kSigners) += more_pem;
  for (const auto& [kind, files] : {std::pair(AnchorKind::kDeployers, &trust.deployers),
                                    std::pair(AnchorKind::kRoots, &trust.roots)}) {
    auto read = TrustStore::readAnchors(*files);
    if (!read) return within(name(kind), read.error());
    of(kind) = std::move(*read);
  }
  KANTE_TRY(revoked, TrustStore::readRevoked(trust.revoked));
  of(AnchorKind::kRevoked) = std::move(revoked);
  return texts;
}

Result<std::unique_ptr<Anchors>> openAnchors(const Config& config, const std::string& more_pem,
                                             DurableMap& map, Log& log) {
  KANTE_TRY(texts,
            readAnchors(config.trust, config.set_at.contains("trust.signers"), more_pem, log));
  std::string damage;
  KANTE_TRY(anchors, Anchors::open(std::move(texts), map, damage));
  if (!damage.empty())
    log.error("trust",
              "what documents said of who is trusted cannot be read, so the files of "
              "[trust] hold: " +
                  damage);
  return std::move(anchors);
}

SignerRules rulesOf(const TrustConfig& trust) {
  std::vector<SignerRule> rules;
  for (const TrustRule& rule : trust.rules)
    rules.push_back({rule.signer, rule.ids, rule.permissions});
  return SignerRules(std::move(rules));
}

void reportDistrust(const ModuleHost& modules, Distrust& distrust, EventLog& events) {
  for (const ModuleStatus& module : modules.modules()) {
    if (module.digest.empty()) continue;  // A container.
    const std::string& why = distrust.why(module.digest);
    if (why.empty()) continue;
    Event distrusted;
    distrusted.level = EventLevel::kWarn;
    distrusted.kind = "module.distrusted";
    distrusted.subject = "module/" + module.name;
    distrusted.text = "Module " + module.name + " is distrusted: " + why;
    events.add(std::move(distrusted));
  }
}

}  // namespace kante::cli
