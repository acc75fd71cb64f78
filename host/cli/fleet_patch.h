// What `kante fleet` may send to a gateway, what `fleet patch` signs next (the deployment that is
// retained for it, patched), and what is signed again when a gateway does not keep what comes next.
//
// Whoever reaches the broker chooses what is retained there, so a deployer's signature is not
// enough: an old document, or one for another gateway, would come back under a new counter.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "host/agent/document.h"
#include "host/base/result.h"

namespace kante::cli {

// Tags of a gateway by what it reports; none if it reports none.
Tags tagsIn(const boost::json::value& reported);

// kConflict: what is signed already is for other gateways, by what this one reports.
Status checkTarget(const Document& document, const std::string& gateway,
                   const boost::json::value& reported);

struct FleetGateway {
  std::string id;
  boost::json::value reported;  // Null: it never did.
  std::int64_t now_s = 0;       // Since 1970, UTC.
};

// `payload`: of a signature that is trusted.  Its deployment must be for this gateway, still good,
// and what the gateway says it runs; else kConflict, kExpired, kNotFound or kInvalid says why not.
// Without the version that it was to replace: it can be signed again as it is.
Result<Document> retainedThatRuns(std::string_view payload, const FleetGateway& gateway);

// That one, patched; the same errors.  Kind: kMergePatch or kJsonPatch.  Counter and gateway are
// the caller's to set.
Result<Document> patchRetained(std::string_view payload, const boost::json::value& patch,
                               DocumentKind kind, const FleetGateway& gateway);

}  // namespace kante::cli
