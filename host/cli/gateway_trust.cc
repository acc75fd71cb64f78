#include "host/cli/gateway_trust.h"

#include <filesystem>

#include "host/base/fd.h"
#include "host/base/log.h"

namespace kante::cli {
namespace {

constexpr const char* kDefaultSigners = "/etc/kante/signers.pem";

}  // namespace

Result<TrustStore> loadTrust(const Config& config, const std::string& more_pem, Log& log) {
  const TrustConfig& trust = config.trust;
  const bool by_default = !config.set_at.contains("trust.signers");
  std::error_code ignored;
  if (by_default && !std::filesystem::exists(kDefaultSigners, ignored)) {
    if (more_pem.empty()) {
      log.warn("trust",
               "no signer is trusted, so no bundle can be deployed; name certificates in "
               "[trust] signers");
    }
    return TrustStore::fromPem(more_pem);
  }
  if (more_pem.empty()) return TrustStore::load(trust.signers, trust.revoked);
  std::string pem = more_pem;
  for (const std::string& file : trust.signers) {
    KANTE_TRY(text, readFile(file, TrustStore::kFileBytesMax));
    pem += "\n" + text;
  }
  return TrustStore::fromPem(pem);
}

SignerRules rulesOf(const TrustConfig& trust) {
  std::vector<SignerRule> rules;
  for (const TrustRule& rule : trust.rules)
    rules.push_back({rule.signer, rule.ids, rule.permissions});
  return SignerRules(std::move(rules));
}

}  // namespace kante::cli
