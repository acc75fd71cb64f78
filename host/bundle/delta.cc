#include "host/bundle/delta.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <memory>

#include "host/base/encoding.h"
#include "host/bundle/differences.h"
#include "host/bundle/little_endian.h"

namespace kante {
namespace {

constexpr std::string_view kMagic = "KANTEKD1";
constexpr std::size_t kSummedBytes = kDeltaHeadBytes - sizeof(Sha256);
constexpr std::uint64_t kBundleBytesMax =
    kFrameHeadBytes + kSignatureBytesMax + kBundlePayloadBytesMax;
constexpr std::uint64_t kSegmentsMax = kArchiveBytesMax / kDeltaMadeBytesMax + 1;

Error corrupt(const std::string& text) { return fail(Errc::kCorrupt, "delta " + text); }

std::string textOf(const Sha256& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

// Exactly so many bytes.
Result<std::string> readAt(int fd, std::uint64_t offset, std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t have = 0; have < count;) {
    const ssize_t n =
        ::pread(fd, bytes.data() + have, count - have, static_cast<off_t>(offset + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno("delta");
    if (n == 0) return corrupt("ends within its parts");
    have += static_cast<std::size_t>(n);
  }
  return bytes;
}

struct Free {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// One pass over the segments.
class Application {
 public:
  Application(int fd, const DeltaHead& head, const BaseForm& base, int out_fd)
      : fd_(fd),
        head_(head),
        base_(base),
        out_fd_(out_fd),
        context_(ZSTD_createDCtx()),
        writer_(head.coding, head.archive_bytes,
                [this](std::string_view part) { return put(part); }) {}

  Status begin() {
    KANTE_TRY(start, readAt(fd_, kDeltaHeadBytes, head_.start_bytes));
    KANTE_TRY(whole, frameBytes(FrameKind::kBundle, start));
    if (whole != head_.bundle_bytes) return corrupt("makes a bundle of another size than it says");
    at_ += start.size();
    return put(start);
  }

  Status segment() {
    KANTE_TRY(raw, readAt(fd_, at_, kDeltaSegmentBytes));
    const auto word = [&raw](std::size_t at) {
      return static_cast<std::uint32_t>(readLittle(raw, at, 4));
    };
    const DeltaSegment segment{readLittle(raw, 0, 8), word(8), word(12), word(16),
                               static_cast<DeltaSegment::Kind>(word(20))};
    KANTE_CHECK(check(segment));
    at_ += kDeltaSegmentBytes;
    KANTE_TRY(base, base_.read(segment.base_offset, segment.base_bytes));
    KANTE_TRY(patch, readAt(fd_, at_, segment.patch_bytes));
    at_ += patch.size();
    made_.resize(segment.made_bytes);
    if (segment.kind == DeltaSegment::Kind::kPrefix) {
      KANTE_CHECK(decompress(patch, base, made_));
    } else {
      const auto bytes = ZSTD_getFrameContentSize(patch.data(), patch.size());
      if (bytes > differencesBytesMax(made_.size()))  // Also what is no frame.
        return corrupt("has differences that are longer than they can be");
      text_.resize(static_cast<std::size_t>(bytes));
      KANTE_CHECK(decompress(patch, {}, text_));
      KANTE_CHECK(applyDifferences(base, text_, made_));
    }
    return writer_.write(made_);
  }

  Status finish() {
    if (at_ != head_.delta_bytes) return corrupt("has bytes after its last part");
    KANTE_CHECK(writer_.finish());
    if (written_ != head_.bundle_bytes)
      return corrupt("makes a bundle of another size than it says");
    KANTE_TRY(digest, payloadDigest(out_fd_));
    if (digest != head_.digest) return corrupt("makes another bundle than it says: " + digest);
    return {};
  }

 private:
  // Before a byte is allocated for it.
  Status check(const DeltaSegment& segment) const {
    if (segment.made_bytes == 0 || segment.made_bytes > kDeltaMadeBytesMax ||
        segment.base_bytes > kDeltaBaseBytesMax ||
        segment.patch_bytes > ZSTD_compressBound(differencesBytesMax(segment.made_bytes)))
      return fail(Errc::kLimit, "delta has a part above its bounds");
    if (segment.kind > DeltaSegment::Kind::kDifferences)
      return fail(Errc::kUnsupported, "delta has a part of a kind that this version does not know");
    if (segment.patch_bytes > head_.delta_bytes - std::min(head_.delta_bytes, at_))
      return corrupt("ends within its parts");
    return {};
  }

  // Fills it.
  Status decompress(std::string_view patch, std::string_view prefix, std::string& into) {
    ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
    if (!prefix.empty()) ZSTD_DCtx_refPrefix(context_.get(), prefix.data(), prefix.size());
    const std::size_t made =
        ZSTD_decompressDCtx(context_.get(), into.data(), into.size(), patch.data(), patch.size());
    if (ZSTD_isError(made) != 0)
      return corrupt(std::string("does not fit its base: ") + ZSTD_getErrorName(made));
    if (made != into.size()) return corrupt("makes fewer bytes than it says");
    return {};
  }

  Status put(std::string_view part) {
    if (part.size() > head_.bundle_bytes - written_) return corrupt("makes more than it says");
    written_ += part.size();
    return writeAll(out_fd_, part);
  }

  const int fd_;
  const DeltaHead& head_;
  const BaseForm& base_;
  const int out_fd_;
  std::unique_ptr<ZSTD_DCtx, Free> context_;
  PayloadWriter writer_;
  std::string made_;
  std::string text_;                    // Of differences.
  std::uint64_t at_ = kDeltaHeadBytes;  // In the delta.
  std::uint64_t written_ = 0;
};

Status checkSizes(const DeltaHead& head) {
  if (head.segments == 0 || head.segments > kSegmentsMax)
    return fail(Errc::kLimit, "delta has no part or more than " + std::to_string(kSegmentsMax));
  if (head.start_bytes <= kFrameHeadBytes ||
      head.start_bytes > kFrameHeadBytes + kSignatureBytesMax)
    return fail(Errc::kLimit, "delta has a bundle's head and signature of an impossible size");
  if (head.archive_bytes == 0 || head.archive_bytes > kArchiveBytesMax)
    return fail(Errc::kLimit, "delta makes an archive that is longer than a bundle's can be");
  if (head.bundle_bytes <= head.start_bytes || head.bundle_bytes > kBundleBytesMax)
    return fail(Errc::kLimit, "delta makes a file that is longer than a bundle can be");
  if (head.delta_bytes <= kDeltaHeadBytes + head.start_bytes || head.delta_bytes > kBundleBytesMax)
    return fail(Errc::kLimit, "delta is longer than a bundle can be");
  return {};
}

}  // namespace

bool isDelta(std::string_view start) { return start.starts_with(kMagic); }

bool isDelta(int fd) {
  const auto start = readAt(fd, 0, kMagic.size());
  return start && isDelta(*start);
}

Result<DeltaHead> parseDeltaHead(std::string_view start) {
  if (start.size() < kDeltaHeadBytes)
    return fail(Errc::kCorrupt, "not a delta: shorter than its head of 152 bytes");
  if (!isDelta(start)) return fail(Errc::kCorrupt, "not a delta: does not begin with KANTEKD1");
  if (textOf(sha256(start.substr(0, kSummedBytes))) != start.substr(kSummedBytes, sizeof(Sha256)))
    return corrupt("head is damaged: its SHA-256 differs");
  const auto machine = readLittle(start, 8, 1);
  const auto coding = readLittle(start, 9, 1);
  if (machine > static_cast<std::uint64_t>(Machine::kRiscv64) || readLittle(start, 10, 2) != 0 ||
      coding > static_cast<std::uint64_t>(PayloadCoding::kStored))
    return fail(Errc::kUnsupported, "delta is of a kind that this version does not know");
  DeltaHead head;
  head.machine = static_cast<Machine>(machine);
  head.coding = static_cast<PayloadCoding>(coding);
  head.zstd_version = static_cast<std::uint32_t>(readLittle(start, 12, 4));
  head.segments = static_cast<std::uint32_t>(readLittle(start, 16, 4));
  head.start_bytes = static_cast<std::uint32_t>(readLittle(start, 20, 4));
  head.base_bytes = readLittle(start, 24, 8);
  head.archive_bytes = readLittle(start, 32, 8);
  head.bundle_bytes = readLittle(start, 40, 8);
  head.delta_bytes = readLittle(start, 48, 8);
  head.base = "sha256:" + toHex(start.substr(56, sizeof(Sha256)));
  head.digest = "sha256:" + toHex(start.substr(88, sizeof(Sha256)));
  KANTE_CHECK(checkSizes(head));
  return head;
}

Result<DeltaHead> readDelta(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return failErrno("delta");
  if (!S_ISREG(status.st_mode)) return fail(Errc::kInvalid, "delta is not a regular file");
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  KANTE_TRY(
      start,
      readAt(fd, 0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kDeltaHeadBytes))));
  KANTE_TRY(head, parseDeltaHead(start));
  if (bytes != head.delta_bytes)
    return corrupt("has " + std::to_string(bytes) + " of " + std::to_string(head.delta_bytes) +
                   " bytes");
  return head;
}

std::string makeDeltaHead(const DeltaHead& head) {
  const auto raw = [](const std::string& digest) {
    return fromHex(std::string_view(digest).substr(std::string_view("sha256:").size())).value();
  };
  std::string out(kMagic);
  appendLittle(out, static_cast<std::uint64_t>(head.machine), 1);
  appendLittle(out, static_cast<std::uint64_t>(head.coding), 1);
  appendLittle(out, 0, 2);
  appendLittle(out, head.zstd_version, 4);
  appendLittle(out, head.segments, 4);
  appendLittle(out, head.start_bytes, 4);
  appendLittle(out, head.base_bytes, 8);
  appendLittle(out, head.archive_bytes, 8);
  appendLittle(out, head.bundle_bytes, 8);
  appendLittle(out, head.delta_bytes, 8);
  out += raw(head.base) + raw(head.digest);
  return out + textOf(sha256(out));
}

Status checkDelta(const DeltaHead& head, const BaseForm& base, const std::string& digest) {
  if (head.digest != digest) return corrupt("makes another bundle: " + head.digest);
  if (head.base != base.digest()) return corrupt("is made against another bundle: " + head.base);
  if (head.machine != base.machine())
    return fail(Errc::kUnsupported, std::string("delta is for ") + name(head.machine) +
                                        ", this machine is " + name(base.machine()));
  if (head.coding == PayloadCoding::kZstd && head.zstd_version != zstdVersion())
    return fail(Errc::kUnsupported, "delta is for libzstd " + std::to_string(head.zstd_version) +
                                        ", this machine has " + std::to_string(zstdVersion()) +
                                        "; a bundle that is packed with --stored needs none");
  if (head.base_bytes != base.bytes())
    return corrupt("is made against " + std::to_string(head.base_bytes) +
                   " bytes, the bundle here has " + std::to_string(base.bytes()));
  return {};
}

Status applyDelta(int delta_fd, const BaseForm& base, int out_fd,
                  const std::function<bool()>& goes_on) {
  KANTE_TRY(head, readDelta(delta_fd));
  KANTE_CHECK(checkDelta(head, base, head.digest));
  Application application(delta_fd, head, base, out_fd);
  KANTE_CHECK(application.begin());
  for (std::uint32_t n = 0; n < head.segments; ++n) {
    if (!goes_on()) return fail(Errc::kCancelled, "given up");
    KANTE_CHECK(application.segment());
  }
  return application.finish();
}

}  // namespace kante
