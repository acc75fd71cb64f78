// Keys that `kante key init` makes for people who have no CA of their own.
#pragma once

#include <cstdint>
#include <string>

#include "host/base/result.h"
#include "host/bundle/trust.h"

namespace kante {

struct SigningKey {
  std::string key_pem;          // PKCS #8, not encrypted: keep it in a file of mode 0600.
  std::string certificate_pem;  // Self-signed, so it is its own trust anchor.
};

inline constexpr std::int64_t kSigningKeyDays = 3'650;

// ECDSA on P-256; the certificate is good for `use` and nothing else, from an hour before now_s on,
// so that a gateway whose clock is a little behind takes what was signed just now.
Result<SigningKey> makeSigningKey(SignerUse use, const std::string& common_name,
                                  std::int64_t now_s);

}  // namespace kante
