// Records of the store: whatever bytes are on disk, decoding reads inside them and what it accepts
// can be written again to the same bytes.

// fuzz-links: kante_store
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "host/store/crc32c.h"
#include "host/store/record.h"

namespace {

void tryDecode(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint64_t> words((size + 7) / 8);
  if (size > 0) std::memcpy(words.data(), data, size);
  const std::string_view bytes(reinterpret_cast<const char*>(words.data()), size);
  const auto record = kante::decodeRecord(bytes);
  if (record.has_error()) return;
  if (kante::recordBytes(*record) != size) std::abort();
  std::vector<std::uint8_t> again(size);
  kante::encodeRecord(*record, again.data());
  if (std::memcmp(again.data(), data, size) != 0) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tryDecode(data, size);
  if (size < 8) return 0;
  // With the checksum mended, so that what is behind it is reached, too.
  std::vector<std::uint8_t> mended(data, data + size);
  const std::uint32_t crc = kante::crc32c(mended.data() + 4, size - 4);
  std::memcpy(mended.data(), &crc, sizeof crc);
  tryDecode(mended.data(), size);
  return 0;
}
