#include "host/identity/identity.h"

#include <array>
#include <boost/json.hpp>

#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/identity/seal.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr std::array kKindNames = {"sas", "selfSigned", "certificateAuthority"};
constexpr std::array kStateNames = {"enabled", "disabled"};
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kSha1Bytes = 20, kSha256Bytes = 32;
constexpr JsonBounds kRecordBounds{1 << 20, 4};

// Both secrets in one: a byte for the length of the first.
std::string join(const Verifier& verifier) {
  std::string out(1, static_cast<char>(verifier.primary.view().size()));
  out += verifier.primary.view();
  out += verifier.secondary.view();
  return out;
}

Status split(std::string_view joined, Verifier& out) {
  if (joined.empty() || static_cast<std::uint8_t>(joined[0]) > joined.size() - 1)
    return fail(Errc::kCorrupt, "verifier have no length");
  const std::size_t first = static_cast<std::uint8_t>(joined[0]);
  KANTE_TRY(primary, Secret::of(joined.substr(1, first)));
  KANTE_TRY(secondary, Secret::of(joined.substr(1 + first)));
  out.primary = primary;
  out.secondary = secondary;
  return out.check();
}

template <typename Names>
bool indexOf(const Names& names, std::string_view text, std::size_t& out) {
  for (out = 0; out < names.size(); ++out) {
    if (text == names[out]) return true;
  }
  return false;
}

std::string_view textIn(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string())
                                                : std::string_view();
}

template <typename Number>
bool numberIn(const json::object& object, const char* key, Number& out) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return false;
  json::error_code error;
  out = value->to_number<Number>(error);
  return !error;
}

}  // namespace

const char* name(Verifier::Kind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }
const char* name(Identity::State state) { return kStateNames[static_cast<std::size_t>(state)]; }

Result<Verifier::Kind> parseVerifierKind(std::string_view text) {
  std::size_t index = 0;
  if (!indexOf(kKindNames, text, index))
    return fail(Errc::kInvalid, "authentication \"" + std::string(text) +
                                    "\" is none of sas, selfSigned and certificateAuthority");
  return static_cast<Verifier::Kind>(index);
}

Verifier Verifier::randomKeys() {
  Verifier out;
  out.primary = *Secret::of(randomBytes(kKeyBytes));
  out.secondary = *Secret::of(randomBytes(kKeyBytes));
  return out;
}

Verifier Verifier::authority() {
  Verifier out;
  out.kind = Kind::kAuthority;
  return out;
}

Status Verifier::check() const {
  const auto digest = [](const Secret& secret) {
    return secret.view().size() == kSha1Bytes || secret.view().size() == kSha256Bytes;
  };
  const auto key = [](const Secret& secret) { return secret.view().size() >= kKeyBytesMin; };
  switch (kind) {
    case Kind::kSas:
      if (key(primary) && key(secondary)) return {};
      return fail(Errc::kInvalid, "a key has 16 to 64 bytes in base64; there are two of them");
    case Kind::kThumbprint:
      if (digest(primary) && (secondary.empty() || digest(secondary))) return {};
      return fail(Errc::kInvalid,
                  "a thumbprint is the SHA-1 or SHA-256 of a certificate: 40 or 64 hexadecimal "
                  "digits");
    case Kind::kAuthority:
      if (primary.empty() && secondary.empty()) return {};
      return fail(Errc::kInvalid, "certificateAuthority has neither keys nor thumbprints");
  }
  return {};
}

std::string encodeIdentity(const std::string& principal, const Identity& identity,
                           const Seal& seal) {
  json::array grants;
  for (const std::string& grant : identity.grants->texts()) grants.emplace_back(grant);
  json::object out{{"state", name(identity.state)},
                   {"auth", name(identity.verifier.kind)},
                   {"sealed", toBase64(seal.seal(join(identity.verifier), principal))},
                   {"generation", identity.generation},
                   {"created", identity.created_s},
                   {"updated", identity.updated_s},
                   {"grants", std::move(grants)}};
  if (!identity.parent.empty()) out["parent"] = identity.parent;
  return writeJson(out);
}

Result<DecodedIdentity> decodeIdentity(const std::string& principal, const std::string& record,
                                       const Seal& seal) {
  KANTE_TRY(object, parseJsonObject(record, kRecordBounds));
  const auto broken = [](const char* what) {
    return fail(Errc::kCorrupt, std::string("the record has no good \"") + what + "\"");
  };
  DecodedIdentity out;
  Identity& identity = out.identity;
  std::size_t index = 0;
  if (!indexOf(kStateNames, textIn(object, "state"), index)) return broken("state");
  identity.state = static_cast<Identity::State>(index);
  if (!indexOf(kKindNames, textIn(object, "auth"), index)) return broken("auth");
  identity.verifier.kind = static_cast<Verifier::Kind>(index);
  if (!numberIn(object, "generation", identity.generation)) return broken("generation");
  if (!numberIn(object, "created", identity.created_s)) return broken("created");
  if (!numberIn(object, "updated", identity.updated_s)) return broken("updated");
  identity.parent = textIn(object, "parent");
  const json::value* grants = object.if_contains("grants");
  if (grants == nullptr || !grants->is_array()) return broken("grants");
  for (const json::value& grant : grants->get_array()) {
    if (!grant.is_string()) return broken("grants");
    out.grants.emplace_back(grant.get_string());
  }
  KANTE_TRY(sealed, fromBase64(textIn(object, "sealed")));
  KANTE_TRY(joined, seal.unseal(sealed, principal));
  KANTE_CHECK(split(joined, identity.verifier));
  return out;
}

}  // namespace kante
