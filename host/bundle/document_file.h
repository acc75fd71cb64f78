// The file of a signed document (*.kdoc): a bundle's frame around a text, signed by a deployer.
// What the text says is for host/agent/document.h.
#pragma once

#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/bundle/frame.h"
#include "host/bundle/signature.h"
#include "host/bundle/trust.h"

namespace kante {

// Head and signature included.
inline constexpr std::size_t kDocumentFileBytesMax =
    kFrameHeadBytes + kSignatureBytesMax + kDocumentPayloadBytesMax;

struct DocumentFile {
  Signer signer;
  std::string payload;
  std::string digest;  // "sha256:…" of the payload.
};

// Nothing of the payload was looked at.  kCorrupt: no such file; kUntrusted, kExpired, kRevoked:
// the signer is not one of `trust`, or not any more; kDenied: the signature is not over this
// payload.
Result<DocumentFile> openDocument(std::string_view file, const TrustStore& trust,
                                  const JudgementTime& time);
// For people: the same with the signer as claimed, whoever that is.
Result<DocumentFile> lookAtDocument(std::string_view file);

// "sha256:…" of the payload as it stands; empty: no such file.  Proves nothing about its signer.
std::string documentDigest(std::string_view file);

// The whole file.
Result<std::string> signDocument(std::string_view payload, std::string_view key_pem,
                                 std::string_view certificates_pem);

}  // namespace kante
