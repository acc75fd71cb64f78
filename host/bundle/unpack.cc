#include <openssl/evp.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <memory>
#include <set>

#include "host/base/openssl.h"
#include "host/base/shown.h"
#include "host/bundle/payload.h"
#include "host/bundle/tar.h"

namespace kante {

namespace {

constexpr std::size_t kChunkBytes = 64 * 1024;
// Zeros after the archive's end: tools fill up their last record, usually to 10 KiB.
constexpr std::size_t kTrailingZerosMax = 64 * 1024;
constexpr unsigned char kZstdMagic[] = {0x28, 0xb5, 0x2f, 0xfd};

Error corrupt(const std::string& text) { return fail(Errc::kCorrupt, "payload " + text); }

// The decompressed bytes of exactly one zstd frame, pulled.  Holds the window and one chunk.
class ZstdReader {
 public:
  explicit ZstdReader(const FileRange& range)
      : range_(range), chunk_(kChunkBytes), context_(ZSTD_createDCtx()), digest_(EVP_MD_CTX_new()) {
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kZstdWindowLogMax);
    KANTE_ASSERT(EVP_DigestInit_ex(digest_.get(), EVP_sha256(), nullptr) == 1);
  }

  // Fewer than wanted only at the end of the frame.
  Result<std::size_t> read(char* into, std::size_t want) {
    ZSTD_outBuffer out{into, want, 0};
    while (out.pos < want && !ended_) {
      if (in_.pos == in_.size) KANTE_CHECK(refill());
      const std::size_t left = ZSTD_decompressStream(context_.get(), &out, &in_);
      if (ZSTD_isError(left) != 0) {
        if (ZSTD_getErrorCode(left) == ZSTD_error_frameParameter_windowTooLarge) {
          return fail(Errc::kLimit, "payload needs a zstd window above 8 MiB");
        }
        return corrupt(std::string("is not a zstd frame: ") + ZSTD_getErrorName(left));
      }
      ended_ = left == 0;
    }
    return out.pos;
  }

  Status readExactly(char* into, std::size_t want) {
    KANTE_TRY(have, read(into, want));
    if (have < want) return corrupt("ends within its archive");
    return {};
  }

  // After the end of the frame: nothing may follow it, and the bytes must be those that were
  // signed.
  Status finish(const Sha256& expected) {
    if (in_.pos != in_.size || done_ != range_.bytes)
      return corrupt("has bytes after its zstd frame");
    Sha256 digest{};
    KANTE_ASSERT(EVP_DigestFinal_ex(digest_.get(), digest.data(), nullptr) == 1);
    if (digest != expected) return corrupt("changed between its check and its use");
    return {};
  }

 private:
  Status refill() {
    const auto want =
        static_cast<std::size_t>(std::min<std::uint64_t>(range_.bytes - done_, chunk_.size()));
    if (want == 0) return corrupt("ends within its zstd frame");
    ssize_t n = 0;
    do {
      n = ::pread(range_.fd, chunk_.data(), want, static_cast<off_t>(range_.offset + done_));
    } while (n < 0 && errno == EINTR);
    if (n < 0) return failErrno("read");
    if (n == 0) return corrupt("became shorter while it was read");
    if (done_ == 0 && (n < 4 || !std::equal(kZstdMagic, kZstdMagic + 4,
                                            reinterpret_cast<unsigned char*>(chunk_.data())))) {
      return corrupt("does not begin with a zstd frame");
    }
    EVP_DigestUpdate(digest_.get(), chunk_.data(), static_cast<std::size_t>(n));
    done_ += static_cast<std::uint64_t>(n);
    in_ = ZSTD_inBuffer{chunk_.data(), static_cast<std::size_t>(n), 0};
    return {};
  }

  FileRange range_;
  std::uint64_t done_ = 0;
  std::vector<char> chunk_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool ended_ = false;
  std::unique_ptr<ZSTD_DCtx, OpensslFree<ZSTD_freeDCtx>> context_;
  std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>> digest_;
};

class Unpacker {
 public:
  Unpacker(ZstdReader& reader, MemberSink& sink)
      : reader_(reader), sink_(sink), chunk_(kChunkBytes) {}

  Result<Manifest> run() {
    KANTE_CHECK(readManifest());
    for (;;) {
      KANTE_TRY(entry, next());
      if (entry.kind == TarEntry::Kind::kEnd) break;
      KANTE_CHECK(readMember(entry));
    }
    for (const auto& [name, file] : manifest_.files) {
      if (!seen_.contains(name)) return corrupt("lacks " + name + ", which its manifest lists");
    }
    KANTE_CHECK(readEnd());
    return std::move(manifest_);
  }

 private:
  // The next file or the end, with the name that a pax header gave it.
  Result<TarEntry> next() {
    KANTE_TRY(entry, header());
    if (entry.kind != TarEntry::Kind::kPax) return entry;
    if (entry.bytes > kPaxBytesMax)
      return fail(Errc::kLimit, "archive has a pax header above 64 KiB");
    std::string records(static_cast<std::size_t>(entry.bytes), '\0');
    KANTE_CHECK(reader_.readExactly(records.data(), records.size()));
    KANTE_CHECK(skipPadding(entry.bytes));
    KANTE_TRY(path, parsePax(records));
    KANTE_TRY(file, header());
    if (file.kind != TarEntry::Kind::kFile) return corrupt("has a pax header that no file follows");
    if (!path.empty()) file.name = path;
    return file;
  }

  Result<TarEntry> header() {
    std::array<char, kTarBlockBytes> block{};
    KANTE_CHECK(reader_.readExactly(block.data(), block.size()));
    return parseTarHeader(block);
  }

  Status readManifest() {
    KANTE_TRY(entry, next());
    if (entry.kind == TarEntry::Kind::kEnd || entry.name != "manifest.json") {
      return fail(Errc::kInvalid, "payload does not begin with manifest.json");
    }
    if (entry.bytes > kManifestBytesMax)
      return fail(Errc::kLimit, "manifest.json is longer than 262144 bytes");
    std::string text(static_cast<std::size_t>(entry.bytes), '\0');
    KANTE_CHECK(reader_.readExactly(text.data(), text.size()));
    KANTE_CHECK(skipPadding(entry.bytes));
    KANTE_TRY(manifest, parseManifest(text));
    manifest_ = std::move(manifest);
    return sink_.manifest(manifest_, text);
  }

  Status readMember(const TarEntry& entry) {
    if (!isMemberName(entry.name)) {
      return fail(Errc::kDenied,
                  "archive member \"" + shown(entry.name, kMemberNameBytesMax) +
                      "\" has a name that leaves the bundle or is not in [A-Za-z0-9._/-]");
    }
    if (entry.name == "manifest.json" || seen_.contains(entry.name)) {
      return fail(Errc::kDenied, "archive member " + entry.name + " is there twice");
    }
    const auto listed = manifest_.files.find(entry.name);
    if (listed == manifest_.files.end()) {
      return fail(Errc::kDenied, "archive member " + entry.name + " is not listed in the manifest");
    }
    if (entry.bytes != listed->second.bytes) {
      return corrupt("has " + entry.name + " with " + std::to_string(entry.bytes) +
                     " bytes, its manifest says " + std::to_string(listed->second.bytes));
    }
    seen_.insert(entry.name);
    KANTE_CHECK(sink_.begin(entry.name, listed->second));
    KANTE_CHECK(copy(entry, listed->second));
    KANTE_CHECK(sink_.end());
    return {};
  }

  Status copy(const TarEntry& entry, const ManifestFile& file) {
    const std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    KANTE_ASSERT(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
    for (std::uint64_t left = entry.bytes; left > 0;) {
      const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(left, chunk_.size()));
      KANTE_CHECK(reader_.readExactly(chunk_.data(), want));
      EVP_DigestUpdate(context.get(), chunk_.data(), want);
      KANTE_CHECK(sink_.write({chunk_.data(), want}));
      left -= want;
    }
    Sha256 digest{};
    KANTE_ASSERT(EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1);
    if (digest != file.sha256)
      return corrupt("has " + entry.name + " with another SHA-256 than its manifest says");
    return skipPadding(entry.bytes);
  }

  Status skipPadding(std::uint64_t bytes) {
    char padding[kTarBlockBytes];
    const std::size_t count = tarPadding(bytes);
    KANTE_CHECK(reader_.readExactly(padding, count));
    if (!std::all_of(padding, padding + count, [](char c) { return c == 0; })) {
      return corrupt("has hidden bytes after a member");
    }
    return {};
  }

  // The second block of zeros, then no more than a record's worth of them.
  Status readEnd() {
    std::array<char, kTarBlockBytes> block{};
    KANTE_CHECK(reader_.readExactly(block.data(), block.size()));
    std::size_t zeros = 0;
    for (std::size_t have = block.size();;) {
      if (!std::all_of(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(have),
                       [](char c) { return c == 0; })) {
        return corrupt("has bytes after the end of its archive");
      }
      zeros += have;
      if (zeros > kTrailingZerosMax)
        return corrupt("has more than 64 KiB of zeros after its archive");
      KANTE_TRY(more, reader_.read(block.data(), block.size()));
      if (more == 0) return {};
      have = more;
    }
  }

  ZstdReader& reader_;
  MemberSink& sink_;
  std::vector<char> chunk_;
  Manifest manifest_;
  std::set<std::string> seen_;
};

}  // namespace

Result<Manifest> unpackPayload(const FileRange& payload, const Sha256& sha256, MemberSink& sink) {
  ZstdReader reader(payload);
  KANTE_TRY(manifest, Unpacker(reader, sink).run());
  KANTE_CHECK(reader.finish(sha256));
  return manifest;
}

}  // namespace kante
