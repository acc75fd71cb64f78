#include "host/bundle/document_file.h"

#include <sys/mman.h>

#include "host/base/fd.h"

namespace kante {
namespace {

Result<FileDescriptor> inMemory(std::string_view bytes) {
  FileDescriptor file(::memfd_create("document", MFD_CLOEXEC));
  if (!file) return failErrno("memfd_create");
  KANTE_CHECK(writeAll(file.get(), bytes));
  return file;
}

std::string_view payloadOf(std::string_view file, const SignedFrame& frame) {
  return file.substr(frame.payload_offset, frame.payload_bytes);
}

Result<DocumentFile> checked(std::string_view file, const SignedFrame& frame, Signature& signature,
                             Signer signer) {
  KANTE_TRY(memory, inMemory(payloadOf(file, frame)));
  auto digest = signature.verify({memory.get(), 0, frame.payload_bytes});
  if (digest.has_error()) return fail(Errc::kDenied, digest.error().text);
  return DocumentFile{std::move(signer), std::string(payloadOf(file, frame)),
                      "sha256:" + toHex(*digest)};
}

}  // namespace

Result<DocumentFile> openDocument(std::string_view file, const TrustStore& trust,
                                  const JudgementTime& time) {
  KANTE_TRY(frame, parseFrame(FrameKind::kDocument, file, file.size()));
  KANTE_TRY(signature, Signature::parse(frame.signature));
  auto signer = signature.judge(trust, SignerUse::kDocuments, time);
  if (signer.has_error()) {
    Error error = signer.error();
    if (error.code == Errc::kDenied) error.code = Errc::kUntrusted;  // Made for something else.
    return error;
  }
  return checked(file, frame, signature, std::move(*signer));
}

Result<DocumentFile> lookAtDocument(std::string_view file) {
  KANTE_TRY(frame, parseFrame(FrameKind::kDocument, file, file.size()));
  KANTE_TRY(signature, Signature::parse(frame.signature));
  Signer signer = signature.claimed();
  return checked(file, frame, signature, std::move(signer));
}

std::string documentDigest(std::string_view file) {
  const auto frame = parseFrame(FrameKind::kDocument, file, file.size());
  return frame ? "sha256:" + toHex(sha256(payloadOf(file, *frame))) : std::string();
}

Result<std::string> signDocument(std::string_view payload, std::string_view key_pem,
                                 std::string_view certificates_pem) {
  KANTE_TRY(memory, inMemory(payload));
  const FileRange range{memory.get(), 0, payload.size()};
  KANTE_TRY(signature, sign(range, key_pem, certificates_pem, SignerUse::kDocuments));
  KANTE_TRY(start, makeFrameStart(FrameKind::kDocument, signature, payload.size()));
  return start + std::string(payload);
}

}  // namespace kante
