#include "host/identity/secret.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

namespace kante {

Result<Secret> Secret::of(std::string_view bytes) {
  if (bytes.size() > kBytesMax)
    return fail(Errc::kLimit, "a key has at most " + std::to_string(kBytesMax) + " bytes");
  Secret secret;
  secret.size_ = static_cast<std::uint8_t>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), secret.bytes_.begin());
  return secret;
}

bool Secret::same(std::string_view bytes) const {
  return size_ != 0 && bytes.size() == size_ &&
         CRYPTO_memcmp(bytes.data(), bytes_.data(), size_) == 0;
}

Sha256 hmacSha256(std::string_view key, std::string_view text) {
  Sha256 digest{};
  unsigned int size = 0;
  const auto* done =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &size);
  KANTE_ASSERT(done != nullptr && size == digest.size());
  return digest;
}

}  // namespace kante
