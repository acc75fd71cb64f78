// Whom the configuration trusts to sign bundles, and with what.
#pragma once

#include <string>

#include "host/base/result.h"
#include "host/bundle/signer_rules.h"
#include "host/bundle/trust.h"
#include "host/config/config.h"

namespace kante {
class Log;
}

namespace kante::cli {

// Those of [trust] signers and of more_pem.  Signers that nobody configured may be missing: then
// nothing can be deployed yet, which is said.
Result<TrustStore> loadTrust(const Config& config, const std::string& more_pem, Log& log);
SignerRules rulesOf(const TrustConfig& trust);

}  // namespace kante::cli
