// What the registry knows of one principal, and how it is kept.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/identity/grants.h"
#include "host/identity/secret.h"

namespace kante {

class Seal;

// What a principal's proof is held against.  Two of each, so that one can be replaced while the
// other serves.
struct Verifier {
  enum class Kind : std::uint8_t {
    kSas,         // Symmetric keys of 16 to 64 bytes.
    kThumbprint,  // SHA-1 or SHA-256 of its certificate, which may be signed by anybody.
    kAuthority,   // A certificate for its id from a CA that the configuration names.
  };
  Kind kind = Kind::kSas;
  Secret primary;
  Secret secondary;

  static constexpr std::size_t kKeyBytesMin = 16;
  static Verifier randomKeys();  // 256 bits each.
  static Verifier authority();
  // kInvalid: not as long as the kind wants it, or a key that is missing.
  Status check() const;
};
// "sas", "selfSigned", "certificateAuthority", as IoT Hub calls them.
const char* name(Verifier::Kind kind);
Result<Verifier::Kind> parseVerifierKind(std::string_view text);

struct Identity {
  enum class State : std::uint8_t { kEnabled, kDisabled };
  State state = State::kEnabled;
  Verifier verifier;
  std::string parent = {};       // The gateway that it is behind for good; empty: any, or none.
  GrantsPtr grants;              // Shared with all who have the same, and with sessions.
  std::uint64_t generation = 0;  // Another one for each registration under the same name.
  std::uint32_t epoch = 0;       // Rises when its sessions are to end; of this life only.
  std::int64_t created_s = 0;    // Since 1970.
  std::int64_t updated_s = 0;
};
const char* name(Identity::State state);  // "enabled", "disabled"

// A record of the registry: JSON, with the secrets sealed for this principal alone.
std::string encodeIdentity(const std::string& principal, const Identity& identity,
                           const Seal& seal);
struct DecodedIdentity {
  Identity identity;  // Without its compiled grants.
  std::vector<std::string> grants;
};
// kCorrupt: no record, or sealed under another key.
Result<DecodedIdentity> decodeIdentity(const std::string& principal, const std::string& record,
                                       const Seal& seal);

}  // namespace kante
