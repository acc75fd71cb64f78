#include "host/bundle/frame.h"

#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "host/base/encoding.h"
#include "host/base/openssl.h"
#include "host/bundle/little_endian.h"

namespace kante {

namespace {

constexpr std::size_t kMagicBytes = 8;
constexpr std::size_t kChunkBytes = 256 * 1024;

const char* magic(FrameKind kind) { return kind == FrameKind::kBundle ? "KANTEKM1" : "KANTEDC1"; }
const char* what(FrameKind kind) { return kind == FrameKind::kBundle ? "bundle" : "document"; }
std::uint64_t payloadBytesMax(FrameKind kind) {
  return kind == FrameKind::kBundle ? kBundlePayloadBytesMax : kDocumentPayloadBytesMax;
}

struct Head {
  std::size_t signature_bytes = 0;
  std::uint64_t payload_bytes = 0;
};

Result<Head> readHead(FrameKind kind, std::string_view start) {
  const std::string name = what(kind);
  if (start.size() < kFrameHeadBytes) {
    return fail(Errc::kCorrupt, "not a " + name + ": shorter than its head of 56 bytes");
  }
  if (std::memcmp(start.data(), magic(kind), kMagicBytes) != 0) {
    return fail(Errc::kCorrupt, "not a " + name + ": does not begin with " + magic(kind));
  }
  const std::uint64_t signature_bytes = readLittle(start, 8, 4);
  const std::uint64_t payload_bytes = readLittle(start, 16, 8);
  if (signature_bytes == 0)
    return fail(Errc::kCorrupt, name + " is not signed: its signature has no bytes");
  if (signature_bytes > kSignatureBytesMax) {
    return fail(Errc::kLimit, name + " signature is longer than 65536 bytes");
  }
  if (readLittle(start, 12, 4) != 0)
    return fail(Errc::kCorrupt, name + " head has bytes that must be zero");
  if (payload_bytes == 0) return fail(Errc::kCorrupt, name + " has no payload");
  if (payload_bytes > payloadBytesMax(kind)) {
    return fail(Errc::kLimit, name + " payload is longer than " +
                                  std::to_string(payloadBytesMax(kind)) + " bytes");
  }
  return Head{static_cast<std::size_t>(signature_bytes), payload_bytes};
}

Result<Head> parseHead(FrameKind kind, std::string_view start, std::uint64_t file_bytes) {
  KANTE_TRY(head, readHead(kind, start));
  const std::string name = what(kind);
  const std::uint64_t whole = kFrameHeadBytes + head.signature_bytes + head.payload_bytes;
  if (file_bytes < whole) {
    return fail(Errc::kCorrupt, name + " is truncated: " + std::to_string(file_bytes) + " of " +
                                    std::to_string(whole) + " bytes");
  }
  if (file_bytes > whole) {
    return fail(Errc::kCorrupt,
                name + " has " + std::to_string(file_bytes - whole) + " bytes after its payload");
  }
  return head;
}

Result<std::string> readStart(int fd, std::size_t count) {
  std::string bytes(count, '\0');
  std::size_t have = 0;
  while (have < count) {
    const ssize_t n = ::pread(fd, bytes.data() + have, count - have, static_cast<off_t>(have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno("read");
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  bytes.resize(have);
  return bytes;
}

}  // namespace

Result<std::uint64_t> frameBytes(FrameKind kind, std::string_view start) {
  KANTE_TRY(head, readHead(kind, start));
  return kFrameHeadBytes + head.signature_bytes + head.payload_bytes;
}

Result<SignedFrame> parseFrame(FrameKind kind, std::string_view start, std::uint64_t file_bytes) {
  KANTE_TRY(head, parseHead(kind, start, file_bytes));
  if (start.size() - kFrameHeadBytes < head.signature_bytes) {
    return fail(Errc::kCorrupt, std::string(what(kind)) + " is truncated within its signature");
  }
  const std::string_view signature = start.substr(kFrameHeadBytes, head.signature_bytes);
  const Sha256 digest = sha256(signature);
  if (std::memcmp(digest.data(), start.data() + 24, digest.size()) != 0) {
    return fail(Errc::kCorrupt,
                std::string(what(kind)) + " signature is damaged: its SHA-256 differs");
  }
  return SignedFrame{std::string(signature), kFrameHeadBytes + head.signature_bytes,
                     head.payload_bytes};
}

Result<SignedFrame> readFrame(FrameKind kind, int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return failErrno("fstat");
  if (!S_ISREG(status.st_mode))
    return fail(Errc::kInvalid, std::string(what(kind)) + " is not a regular file");
  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  KANTE_TRY(start, readStart(fd, std::min<std::uint64_t>(file_bytes,
                                                         kFrameHeadBytes + kSignatureBytesMax)));
  return parseFrame(kind, start, file_bytes);
}

Result<std::string> payloadDigest(int fd) {
  KANTE_TRY(frame, readFrame(FrameKind::kBundle, fd));
  const std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  KANTE_ASSERT(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  std::vector<char> chunk(kChunkBytes);
  for (std::uint64_t done = 0; done < frame.payload_bytes;) {
    const auto want = std::min<std::uint64_t>(chunk.size(), frame.payload_bytes - done);
    const ssize_t have = ::pread(fd, chunk.data(), static_cast<std::size_t>(want),
                                 static_cast<off_t>(frame.payload_offset + done));
    if (have < 0 && errno == EINTR) continue;
    if (have < 0) return failErrno("read");
    if (have == 0) return fail(Errc::kCorrupt, "the file became shorter while it was read");
    EVP_DigestUpdate(context.get(), chunk.data(), static_cast<std::size_t>(have));
    done += static_cast<std::uint64_t>(have);
  }
  Sha256 digest{};
  KANTE_ASSERT(EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1);
  return "sha256:" + toHex(digest);
}

Result<std::string> makeFrameStart(FrameKind kind, std::string_view signature,
                                   std::uint64_t payload_bytes) {
  if (signature.empty() || signature.size() > kSignatureBytesMax) {
    return fail(Errc::kLimit, std::string(what(kind)) +
                                  " signature must have 1 to 65536 bytes, this one has " +
                                  std::to_string(signature.size()));
  }
  if (payload_bytes == 0 || payload_bytes > payloadBytesMax(kind)) {
    return fail(Errc::kLimit, std::string(what(kind)) + " payload must have 1 to " +
                                  std::to_string(payloadBytesMax(kind)) + " bytes, this one has " +
                                  std::to_string(payload_bytes));
  }
  std::string start(magic(kind));
  appendLittle(start, signature.size(), 4);
  appendLittle(start, 0, 4);
  appendLittle(start, payload_bytes, 8);
  const Sha256 digest = sha256(signature);
  start.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  start += signature;
  return start;
}

}  // namespace kante
