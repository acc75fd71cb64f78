// Everything that a bundle is made of, each from its own kind of seed: frames ("KANTE…") with the
// CMS message in them, manifests ("{…") with their configuration schema, and archives (anything
// else), which are compressed here so that mutations reach the tar reader instead of dying in zstd.
// fuzz-links: kante_bundle
// fuzz-replay: 500
#include <sys/mman.h>
#include <zstd.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "host/base/encoding.h"
#include "host/base/fd.h"
#include "host/bundle/frame.h"
#include "host/bundle/payload.h"
#include "host/bundle/signature.h"

namespace {

using namespace kante;

class Discard final : public MemberSink {
 public:
  Status manifest(const Manifest&, std::string_view) override { return {}; }
  Status begin(const std::string& name, const ManifestFile&) override {
    KANTE_ASSERT(isMemberName(name));
    return {};
  }
  Status write(std::string_view) override { return {}; }
  Result<int> end() override { return -1; }
};

void frame(std::string_view bytes) {
  for (const FrameKind kind : {FrameKind::kBundle, FrameKind::kDocument}) {
    const auto parsed = parseFrame(kind, bytes, bytes.size());
    if (parsed.has_error()) continue;
    KANTE_ASSERT(parsed->payload_offset + parsed->payload_bytes == bytes.size());
    (void)Signature::parse(parsed->signature);
  }
  // Past the digest that hides it from mutations.
  if (bytes.size() > kFrameHeadBytes) (void)Signature::parse(bytes.substr(kFrameHeadBytes));
}

void manifest(std::string_view text) {
  const auto parsed = parseManifest(text);
  if (parsed.has_error()) return;
  for (const auto& [name, file] : parsed->files) {
    KANTE_ASSERT(isMemberName(name) && file.bytes <= kUnpackedBytesMax);
  }
}

void archive(std::string_view bytes) {
  std::string payload(ZSTD_compressBound(bytes.size()), '\0');
  payload.resize(ZSTD_compress(payload.data(), payload.size(), bytes.data(), bytes.size(), 1));
  const FileDescriptor file(::memfd_create("payload", MFD_CLOEXEC));
  KANTE_ASSERT(writeAll(file.get(), payload).has_value());
  Discard sink;
  (void)unpackPayload({file.get(), 0, payload.size()}, sha256(payload), sink);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  if (input.starts_with("KANTE")) {
    frame(input);
  } else if (input.starts_with("{")) {
    manifest(input);
  } else {
    archive(input);
  }
  return 0;
}
