// The frame that bundles (*.kmod) and signed documents (*.kdoc) share: a fixed head, a detached CMS
// signature, the payload that it covers, and nothing after it.  Layout: docs/formats/bundle.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante {

enum class FrameKind { kBundle, kDocument };

// Where the parts of a checked frame lie.  The signature is held here; the payload stays in its
// file.
struct SignedFrame {
  std::string signature;  // CMS SignedData, DER; what it says is not looked at here.
  std::uint64_t payload_offset = 0;
  std::uint64_t payload_bytes = 0;
};

inline constexpr std::size_t kFrameHeadBytes = 56;
inline constexpr std::size_t kSignatureBytesMax = 65'536;
inline constexpr std::uint64_t kBundlePayloadBytesMax = std::uint64_t{1} << 30;
// A document is read whole; the largest is a complete deployment of a few hundred modules.
inline constexpr std::uint64_t kDocumentPayloadBytesMax = std::uint64_t{4} << 20;

// Checks the head and the digest of the signature.  `start` is the file from its first byte on, at
// least the head and the signature of it (a longer prefix is fine); `file_bytes` the size of the
// whole file. Fails with kCorrupt for anything that is not exactly one frame.
Result<SignedFrame> parseFrame(FrameKind kind, std::string_view start, std::uint64_t file_bytes);

// How many bytes the whole file has, by its first kFrameHeadBytes.
Result<std::uint64_t> frameBytes(FrameKind kind, std::string_view start);

// parseFrame() of an open regular file, reading only head and signature.
Result<SignedFrame> readFrame(FrameKind kind, int fd);

// The payload's digest of a complete bundle file: "sha256:HEX".
Result<std::string> payloadDigest(int fd);

// Head and signature, to be followed by the payload.
Result<std::string> makeFrameStart(FrameKind kind, std::string_view signature,
                                   std::uint64_t payload_bytes);

}  // namespace kante
