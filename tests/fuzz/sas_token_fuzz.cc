// What a client sends as its password: a token that is taken holds together, and nothing but its
// own key has signed it.

// fuzz-links: kante_identity
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/identity/sas_token.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto token = kante::SasToken::parse(text);
  if (!token) return 0;
  require(!token->resource.empty() && token->expires_s >= 0);
  require(!token->signedWith("") && !token->signedWith(text));
  const bool covers =
      kante::resourceCovers(token->resource, "edge-1.local", "devices/car-7/modules/m");
  // What is good for a module is so for its device, or for that module alone.
  if (covers && kante::resourceCovers(token->resource, "edge-1.local", "devices/car-7"))
    require(kante::resourceCovers(token->resource, "edge-1.local", "devices/car-7/modules/n"));
  return 0;
}
