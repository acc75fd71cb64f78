// Whose signer would not be admitted any more: revoked, or no longer among those trusted.  Expiry
// is no reason: admission is judged once.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "host/bundle/bundle_store.h"
#include "host/bundle/trust.h"

namespace kante {

// Each bundle is judged once, until trust changes or too many others were.  One thread.
class Distrust {
 public:
  static constexpr std::size_t kJudgedMax = 1024;  // Twice what a deployment may have.

  // Borrowed; `now` is called at each first judgement.
  Distrust(const BundleStore& bundles, const TrustStore& trust, std::function<JudgementTime()> now)
      : bundles_(bundles), trust_(trust), now_(std::move(now)) {}

  // Why an admitted bundle is distrusted, as a sentence; empty when it is not.  Good until the next
  // call.
  const std::string& why(const std::string& digest);
  // Trust changed: each is judged again when it is asked for.
  void forget() { judged_.clear(); }
  std::size_t judged() const { return judged_.size(); }

 private:
  const BundleStore& bundles_;
  const TrustStore& trust_;
  const std::function<JudgementTime()> now_;
  std::map<std::string, std::string> judged_;  // By digest.
};

}  // namespace kante
