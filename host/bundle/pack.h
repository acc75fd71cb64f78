// A folder becomes a signed bundle.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/bundle/manifest.h"
#include "host/bundle/payload_writer.h"

namespace kante {

struct PackedBundle {
  Manifest manifest;
  std::string digest;  // "sha256:…" of the payload.
  std::uint64_t bytes = 0;
};

// Packs DIR/manifest.json, DIR/lib/ARCH/module.so and DIR/data/…, and nothing else: any other file,
// and anything that is no regular file, is refused by name.  Every library is linted as admission
// would.  `out` is replaced as a whole or left alone.  The payload depends on nothing but the
// files' names and contents (and the version of libzstd).
Result<PackedBundle> packBundle(const std::string& dir, const std::string& out,
                                std::string_view key_pem, std::string_view certificates_pem,
                                PayloadCoding coding = PayloadCoding::kZstd);

// Size and digest of this file.
Result<ManifestFile> measureFile(int dir_fd, const std::string& name);
// Size and digest of every file that a bundle of this folder would hold, manifest.json excepted.
Result<std::map<std::string, ManifestFile>> bundleFilesIn(int dir_fd);

}  // namespace kante
