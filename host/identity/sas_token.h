// Shared access signatures as IoT Hub has them (IOTHUB, section 8):
//
//   SharedAccessSignature sr=RESOURCE&sig=SIGNATURE&se=EXPIRY[&skn=NAME]
//
// in any order of the fields; the signature is the HMAC-SHA256 of RESOURCE exactly as it stands, a
// line feed and EXPIRY.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "host/base/encoding.h"
#include "host/base/result.h"

namespace kante {

struct SasToken {
  static constexpr std::size_t kBytesMax = 4096;
  static constexpr std::string_view kPrefix = "SharedAccessSignature ";

  std::string_view resource;  // As it stands in the text, which outlives this.
  std::string_view expiry;    // Likewise.
  std::string_view key_name;  // Empty for keys of devices.
  std::int64_t expires_s = 0;
  Sha256 signature{};

  // kInvalid says what is wrong, without any of the token's bytes.  Fields that nobody knows are
  // ignored, as IoT Hub does; one that is there twice is not.
  static Result<SasToken> parse(std::string_view text);
  // Compares in constant time.  An empty key has signed nothing.
  bool signedWith(std::string_view key) const;
};

// `resource` is percent-encoded here: "edge-1.local/devices/car-7".
std::string makeSasToken(std::string_view resource, std::string_view key, std::int64_t expires_s,
                         std::string_view key_name = {});

// Whether the resource that a token names ("HOST/devices/ID", percent-encoded) is `wanted`
// ("devices/ID", "devices/ID/modules/NAME") at `host`, or a part of the tree that it lies in, but
// no more than one device: "HOST/devices/ID" is good for its modules, "HOST" for nothing.  Host and
// ids compare without case, as IoT Hub does: whose key it is decides, and that was looked up
// exactly.
bool resourceCovers(std::string_view resource, std::string_view host, std::string_view wanted);

}  // namespace kante
