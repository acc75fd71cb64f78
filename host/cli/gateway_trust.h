// Whom the configuration trusts to sign bundles, and with what.
#pragma once

#include <memory>
#include <string>

#include "host/agent/anchors.h"
#include "host/base/result.h"
#include "host/bundle/signer_rules.h"
#include "host/config/config.h"

namespace kante {
class Distrust;
class EventLog;
class Log;
class ModuleHost;
}  // namespace kante

namespace kante::cli {

// The files of [trust], more_pem as more signers, and what documents put in their place.  Signers
// that nobody configured may be missing: then nothing can be deployed yet, which is said.
Result<std::unique_ptr<Anchors>> openAnchors(const Config& config, const std::string& more_pem,
                                             DurableMap& map, Log& log);
SignerRules rulesOf(const TrustConfig& trust);
// An event for each module whose signer is not trusted any more.
void reportDistrust(const ModuleHost& modules, Distrust& distrust, EventLog& events);

}  // namespace kante::cli
