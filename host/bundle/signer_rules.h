// What single signers may bring, narrower than "everything": [[trust.rule]].
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/bundle/manifest.h"
#include "host/bundle/trust.h"

namespace kante {

struct SignerRule {
  // A subject as Signer has it, or a SHA-256 fingerprint: of the signer's own certificate, or of
  // the trusted one that it leads to, which binds all that this one issues.
  std::string signer;
  // Absent: any.  A module id, or the beginning of one and "*".
  std::optional<std::vector<std::string>> ids;
  // Absent: any.  Members of the manifest's permissions, joined by dots: "methods", "files.read";
  // one covers what is below it, and "*" at its end what begins like it.
  std::optional<std::vector<std::string>> permissions;
};

class SignerRules {
 public:
  SignerRules() = default;
  explicit SignerRules(std::vector<SignerRule> rules) : rules_(std::move(rules)) {}

  // Whom no rule names may bring anything; everybody else what one of his rules allows whole.
  // kDenied names bundle, signer and rule.
  Status check(const Signer& signer, const Manifest& manifest) const;

 private:
  std::vector<SignerRule> rules_;
};

// What a manifest asks for, by those names, sorted.
std::vector<std::string> permissionsAskedFor(const Manifest& manifest);

}  // namespace kante
