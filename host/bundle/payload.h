// The payload of a bundle as a stream of members: zstd, tar, manifest, digests.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/bundle/manifest.h"
#include "host/bundle/payload_writer.h"
#include "host/bundle/signature.h"

namespace kante {

inline constexpr int kZstdWindowLogMax = 23;  // 8 MiB: what a small gateway spends on unpacking.

// Receives the members of a payload, in order.  What it got is good only once unpackPayload
// succeeded.
class MemberSink {
 public:
  virtual ~MemberSink() = default;
  // Before the first member; the manifest is checked, its text the bytes as they lie in the
  // payload.
  virtual Status manifest(const Manifest& manifest, std::string_view text) = 0;
  virtual Status begin(const std::string& name, const ManifestFile& file) = 0;
  virtual Status write(std::string_view bytes) = 0;
  // The member is complete and its digest right.  A descriptor to read it back from (borrowed until
  // the next call), or -1 where it was not kept.
  virtual Result<int> end() = 0;
};

// Reads the range once, holding the zstd window and one chunk.  `sha256` is the digest that the
// signature pass saw: other bytes now are kCorrupt.  Every rule of docs/formats/bundle.md has its
// own sentence.
Result<Manifest> unpackPayload(const FileRange& payload, const Sha256& sha256, MemberSink& sink);

// Writes the payload for `manifest_text` (from completeManifest) and the files below dir_fd, to
// out_fd. The same input gives the same bytes.  Fails when a file is no longer what `files` says.
Status packPayload(int dir_fd, std::string_view manifest_text,
                   const std::map<std::string, ManifestFile>& files, int out_fd,
                   PayloadCoding coding = PayloadCoding::kZstd);

}  // namespace kante
