#include "host/bundle/payload_writer.h"

#include <zstd.h>

#include <algorithm>

#include "host/bundle/little_endian.h"
#include "host/bundle/payload.h"

namespace kante {
namespace {

// Bundles go over slow links many times and are packed once; but what a delta makes is packed by
// the gateway, so the tables are bounded: 14 MiB instead of 89, for 1 to 3 % more bytes.
constexpr int kLevel = 19;
constexpr int kLevelOfLarge = 9;
constexpr std::uint64_t kLargeBytes = 64 << 20;
constexpr int kHashLog = 18;
constexpr int kChainLog = 20;

// RFC 8878: magic, 8 bytes of content size, a window of 128 KiB.
constexpr std::string_view kStoredStart("\x28\xb5\x2f\xfd\xc0\x38", 6);
constexpr std::size_t kBlockBytes = 128 * 1024;

}  // namespace

std::uint32_t zstdVersion() { return ZSTD_versionNumber(); }

void PayloadWriter::Free::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }

PayloadWriter::PayloadWriter(PayloadCoding coding, std::uint64_t bytes, Output output)
    : coding_(coding), output_(std::move(output)), left_(bytes) {
  if (coding_ == PayloadCoding::kStored) {
    block_ = kStoredStart;
    appendLittle(block_, bytes, 8);
    return;
  }
  context_.reset(ZSTD_createCCtx());
  KANTE_ASSERT(context_ != nullptr);
  out_.resize(ZSTD_CStreamOutSize());
  ZSTD_CCtx* context = context_.get();
  const int level = bytes > kLargeBytes ? kLevelOfLarge : kLevel;
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, kZstdWindowLogMax);
  ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, kHashLog);
  ZSTD_CCtx_setParameter(context, ZSTD_c_chainLog, kChainLog);
  ZSTD_CCtx_setPledgedSrcSize(context, bytes);
}

PayloadWriter::~PayloadWriter() = default;

Status PayloadWriter::write(std::string_view bytes) {
  if (bytes.size() > left_) return fail(Errc::kState, "the archive is longer than was announced");
  left_ -= bytes.size();
  return coding_ == PayloadCoding::kStored ? store(bytes) : compress(bytes, false);
}

Status PayloadWriter::finish() {
  if (left_ != 0) return fail(Errc::kState, "the archive is shorter than was announced");
  return coding_ == PayloadCoding::kStored ? Status() : compress({}, true);
}

Status PayloadWriter::compress(std::string_view bytes, bool ends) {
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  for (;;) {
    ZSTD_outBuffer out{out_.data(), out_.size(), 0};
    const std::size_t left =
        ZSTD_compressStream2(context_.get(), &out, &in, ends ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left) != 0)
      return fail(Errc::kState, std::string("zstd: ") + ZSTD_getErrorName(left));
    KANTE_CHECK(output_({out_.data(), out.pos}));
    if (ends ? left == 0 : in.pos == in.size) return {};
  }
}

// Every block but the last has kBlockBytes, however the bytes come; left_ is already without them.
Status PayloadWriter::store(std::string_view bytes) {
  std::uint64_t rest = left_ + bytes.size() + out_.size();
  while (!bytes.empty()) {
    const std::size_t taken = std::min(bytes.size(), kBlockBytes - out_.size());
    out_.insert(out_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
    bytes.remove_prefix(taken);
    if (out_.size() < std::min<std::uint64_t>(kBlockBytes, rest)) return {};
    rest -= out_.size();
    appendLittle(block_, std::uint64_t{out_.size()} << 3 | (rest == 0 ? 1 : 0), 3);
    KANTE_CHECK(output_(block_));
    KANTE_CHECK(output_({out_.data(), out_.size()}));
    block_.clear();
    out_.clear();
  }
  return {};
}

}  // namespace kante
