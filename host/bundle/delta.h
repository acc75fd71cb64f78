// Deltas (*.kdelta): what makes a bundle out of another one that a gateway has.
// Layout: docs/formats/bundle.md.
//
// A delta proves nothing and needs no trust: what it makes has a digest that somebody trusted
// named, and is judged as any other bundle.  So its bytes are hostile, and every size in it is held
// against a bound before anything of that size is allocated.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/bundle/base_form.h"
#include "host/bundle/frame.h"
#include "host/bundle/machine.h"
#include "host/bundle/payload_writer.h"

namespace kante {

inline constexpr std::size_t kDeltaHeadBytes = 152;
// Of a segment: what it makes, and the part of the base that it is made from.
inline constexpr std::size_t kDeltaMadeBytesMax = 2 << 20;
inline constexpr std::size_t kDeltaBaseBytesMax = 4 << 20;
// What an archive may have beside its files: a header and padding for each, pax headers, its end.
inline constexpr std::uint64_t kArchiveBytesMax =
    kUnpackedBytesMax + std::uint64_t{kBundleFilesMax + 1} * 67'584 + 128 * 1024;

struct DeltaHead {
  Machine machine = Machine::kAmd64;  // Whose base form it was made against.
  PayloadCoding coding = PayloadCoding::kZstd;
  std::uint32_t zstd_version = 0;  // Which makes the payload again; 0 of kStored.
  std::uint32_t segments = 0;
  std::uint32_t start_bytes = 0;    // Head and signature of the bundle.
  std::uint64_t base_bytes = 0;     // Of the base form.
  std::uint64_t archive_bytes = 0;  // Of the payload, unpacked.
  std::uint64_t bundle_bytes = 0;   // Of the whole file that it makes.
  std::uint64_t delta_bytes = 0;    // Of the delta itself.
  std::string base;                 // "sha256:HEX": digest of the bundle that is needed.
  std::string digest;               // The same of the one that it makes.

  std::uint64_t savedBytes() const {
    return bundle_bytes > delta_bytes ? bundle_bytes - delta_bytes : 0;
  }
};

// Before each patch, which is a zstd frame.
struct DeltaSegment {
  enum class Kind : std::uint32_t {
    kPrefix = 0,       // Of what is made, which refers to the part of the base.
    kDifferences = 1,  // Of its differences from that (differences.h).
  };
  std::uint64_t base_offset = 0;
  std::uint32_t base_bytes = 0;
  std::uint32_t made_bytes = 0;
  std::uint32_t patch_bytes = 0;
  Kind kind = Kind::kPrefix;
};
inline constexpr std::size_t kDeltaSegmentBytes = 24;

bool isDelta(std::string_view start);
bool isDelta(int fd);

// The first kDeltaHeadBytes or more: kCorrupt for no delta, kLimit for a size above its bound.
Result<DeltaHead> parseDeltaHead(std::string_view start);
// Of an open regular file; kCorrupt if that has another size than its head says.
Result<DeltaHead> readDelta(int fd);
std::string makeDeltaHead(const DeltaHead& head);

// Whether it makes this bundle out of this base, here: kCorrupt for another bundle or base;
// kUnsupported for another machine or libzstd, which never changes.
Status checkDelta(const DeltaHead& head, const BaseForm& base, const std::string& digest);

// Writes the bundle to the empty file out_fd; kCorrupt if it is not the very one that the head
// names.  Holds 28 MiB at most, whatever the sizes.  `goes_on` is asked for each segment; when it
// says no, kCancelled.
Status applyDelta(int delta_fd, const BaseForm& base, int out_fd,
                  const std::function<bool()>& goes_on);

}  // namespace kante
