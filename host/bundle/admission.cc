#include "host/bundle/admission.h"

#include "host/base/encoding.h"
#include "host/bundle/lint_file.h"

namespace kante {

namespace {

// Judges the manifest by what its signer may bring, passes members on and lints every library that
// the sink kept.
class LintingSink final : public MemberSink {
 public:
  LintingSink(const AdmissionPolicy& policy, const Signer& signer, MemberSink& next)
      : policy_(policy), signer_(signer), next_(next) {}

  Status manifest(const Manifest& manifest, std::string_view text) override {
    if (policy_.rules != nullptr) KANTE_CHECK(policy_.rules->check(signer_, manifest));
    manifest_ = manifest;
    return next_.manifest(manifest, text);
  }

  Status begin(const std::string& name, const ManifestFile& file) override {
    name_ = name;
    return next_.begin(name, file);
  }

  Status write(std::string_view bytes) override { return next_.write(bytes); }

  Result<int> end() override {
    KANTE_TRY(fd, next_.end());
    for (const auto& [machine, library] : manifest_.lib) {
      if (library != name_ || fd < 0) continue;
      LintPolicy lint{machine, {}};
      if (policy_.libraries == AdmissionPolicy::Libraries::kDeclared)
        lint.libraries = manifest_.libraries;
      KANTE_CHECK(lintFile(fd, name_, manifest_, lint));
    }
    return fd;
  }

 private:
  const AdmissionPolicy& policy_;
  const Signer& signer_;
  MemberSink& next_;
  Manifest manifest_;
  std::string name_;
};

}  // namespace

Result<AdmittedBundle> verifyBundle(int fd, const AdmissionPolicy& policy, MemberSink& sink) {
  KANTE_ASSERT(policy.trust != nullptr);
  KANTE_TRY(frame, readFrame(FrameKind::kBundle, fd));
  KANTE_TRY(signature, Signature::parse(frame.signature));
  KANTE_TRY(signer, signature.judge(*policy.trust, SignerUse::kBundles, policy.time));
  const FileRange payload{fd, frame.payload_offset, frame.payload_bytes};
  KANTE_TRY(digest, signature.verify(payload));
  LintingSink linting(policy, signer, sink);
  KANTE_TRY(manifest, unpackPayload(payload, digest, linting));
  AdmittedBundle bundle;
  bundle.digest = "sha256:" + toHex(digest);
  bundle.manifest = std::move(manifest);
  bundle.signer = std::move(signer);
  bundle.payload_bytes = frame.payload_bytes;
  bundle.admitted_s = policy.time.at_s;
  return bundle;
}

}  // namespace kante
