// The CMS signature of a frame: made over a payload, and checked against one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "host/base/encoding.h"
#include "host/base/result.h"
#include "host/bundle/trust.h"

namespace kante {

// Bytes [offset, offset + bytes) of an open file; read with pread, so it may be shared.
struct FileRange {
  int fd = -1;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

// A CMS SignedData of the one shape that Kante accepts: DER, detached, one signer with its
// certificate, SHA-256 or better, signed attributes, no unsigned ones, no trailing bytes.  Proves
// shape, not trust.
class Signature {
 public:
  static Result<Signature> parse(std::string_view der);  // kCorrupt for any other shape.

  Signature(Signature&&) noexcept;
  Signature& operator=(Signature&&) noexcept;
  ~Signature();

  Result<Signer> judge(const TrustStore& trust, SignerUse use, const JudgementTime& time) const;
  // Who claims to have signed; nothing of it is checked.  For people only.
  Signer claimed() const;
  // Streams the range once; the SHA-256 of the payload if the signature covers exactly it (else
  // kCorrupt).
  Result<Sha256> verify(const FileRange& payload);

 private:
  struct State;
  explicit Signature(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Signs the range with the key and the first certificate of `certificates_pem` (the others, its
// issuers, are sent along).  Refuses a key that does not fit the certificate, and one not made for
// `use`.
Result<std::string> sign(const FileRange& payload, std::string_view key_pem,
                         std::string_view certificates_pem, SignerUse use);

}  // namespace kante
