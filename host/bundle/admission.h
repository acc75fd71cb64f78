// The judgement of a bundle, made once, when it is staged.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "host/bundle/frame.h"
#include "host/bundle/machine.h"
#include "host/bundle/manifest.h"
#include "host/bundle/payload.h"
#include "host/bundle/signature.h"
#include "host/bundle/signer_rules.h"
#include "host/bundle/trust.h"

namespace kante {

// Fingerprint of a CA → that of the one which may take over its module ids.
using Heirs = std::map<std::string, std::string>;

// What an admission is judged by.  Borrowed for the call.
struct AdmissionPolicy {
  enum class Counter { kAtFloor, kAnyCounter };  // kAnyCounter: look only, as `bundle verify` does.
  enum class Rebind { kNo, kYes };               // kYes: `--rebind`, by a local operator only.
  enum class Libraries { kRefused, kDeclared };  // kDeclared: those of the manifest, for a sandbox.

  const TrustStore* trust = nullptr;
  JudgementTime time;
  Machine machine = hostMachine();
  Counter counter = Counter::kAtFloor;
  Rebind rebind = Rebind::kNo;
  Libraries libraries = Libraries::kDeclared;
  // Told of the signer of what the store admitted; may be empty.
  std::function<void(const Signer&)> admitted;
  const SignerRules* rules = nullptr;  // None: whoever is trusted may bring anything.
  const Heirs* heirs = nullptr;        // None: a module id stays with its CA.
};

struct AdmittedBundle {
  std::string digest;  // "sha256:…" of the payload.
  Manifest manifest;
  Signer signer;
  std::uint64_t payload_bytes = 0;
  std::int64_t admitted_s = 0;  // JudgementTime::at_s
};

// Frame, signature, signer, then payload and ELF lint of what `sink` was given.  Nothing in the
// payload is parsed before the signature over it holds; both passes must have read the same bytes.
Result<AdmittedBundle> verifyBundle(int fd, const AdmissionPolicy& policy, MemberSink& sink);

}  // namespace kante
