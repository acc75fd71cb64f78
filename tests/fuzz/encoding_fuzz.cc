// Text from outside that stands for bytes: what decodes must encode to something that decodes the
// same.
#include "host/base/encoding.h"

#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto hex = kante::fromHex(text);
  if (hex.has_value()) KANTE_ASSERT(kante::fromHex(kante::toHex(*hex)).value() == *hex);
  const auto base64 = kante::fromBase64(text);
  if (base64.has_value()) KANTE_ASSERT(kante::toBase64(*base64).size() == size);
  const auto percent = kante::percentDecode(text);
  if (percent.has_value()) {
    KANTE_ASSERT(kante::percentDecode(kante::percentEncode(*percent)).value() == *percent);
  }
  KANTE_ASSERT(kante::fromBase64(kante::toBase64(text)).value() == text);
  static_cast<void>(kante::isUtf8(text));
  static_cast<void>(kante::isName(text));
  return 0;
}
