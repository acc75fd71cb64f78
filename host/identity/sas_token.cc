#include "host/identity/sas_token.h"

#include <openssl/crypto.h>

#include <charconv>

#include "host/identity/secret.h"

namespace kante {
namespace {

Error wrong(const char* what) {
  return fail(Errc::kInvalid, std::string("the token is no shared access signature: ") + what);
}

struct Fields {
  std::string_view sr, sig, se, skn;
  bool has_skn = false;
};

Status readField(std::string_view field, Fields& out) {
  const auto equals = field.find('=');
  if (equals == std::string_view::npos || equals == 0) return wrong("a field is NAME=VALUE");
  const std::string_view name = field.substr(0, equals), value = field.substr(equals + 1);
  if (name == "skn") {
    if (out.has_skn) return wrong("a field is there twice");
    out.has_skn = true;
    out.skn = value;
    return {};
  }
  std::string_view* const known = name == "sr"    ? &out.sr
                                  : name == "sig" ? &out.sig
                                  : name == "se"  ? &out.se
                                                  : nullptr;
  if (known == nullptr) return {};
  if (!known->empty()) return wrong("a field is there twice");
  if (value.empty()) return wrong("a field is empty");
  *known = value;
  return {};
}

bool sameLetters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c; };
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

}  // namespace

Result<SasToken> SasToken::parse(std::string_view text) {
  if (text.size() > kBytesMax) return wrong("it is too long");
  if (!text.starts_with(kPrefix)) return wrong("it does not begin with its name and one space");
  if (text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                             "-._~!$'()*+,;:@/?%&=#",
                             kPrefix.size()) != std::string_view::npos)
    return wrong("it holds a character that none has");
  Fields fields;
  for (std::string_view rest = text.substr(kPrefix.size());;) {
    const auto end = rest.find('&');
    KANTE_CHECK(readField(rest.substr(0, end), fields));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  if (fields.sr.empty()) return wrong("sr is missing");
  if (fields.sig.empty()) return wrong("sig is missing");
  if (fields.se.empty()) return wrong("se is missing");
  SasToken token;
  token.resource = fields.sr;
  token.expiry = fields.se;
  token.key_name = fields.skn;
  const char* const end = fields.se.data() + fields.se.size();
  const auto read = std::from_chars(fields.se.data(), end, token.expires_s);
  if (read.ec != std::errc() || read.ptr != end || token.expires_s < 0)
    return wrong("se is no number of seconds");
  const auto encoded = percentDecode(fields.sig);
  const auto signature = encoded ? fromBase64(*encoded) : encoded;
  if (!signature || signature->size() != token.signature.size())
    return wrong("sig is not 32 bytes in base64");
  signature->copy(reinterpret_cast<char*>(token.signature.data()), token.signature.size());
  return token;
}

bool SasToken::signedWith(std::string_view key) const {
  if (key.empty()) return false;
  std::string text(resource);
  text += '\n';
  text += expiry;
  const Sha256 expected = hmacSha256(key, text);
  return CRYPTO_memcmp(expected.data(), signature.data(), expected.size()) == 0;
}

std::string makeSasToken(std::string_view resource, std::string_view key, std::int64_t expires_s,
                         std::string_view key_name) {
  const std::string encoded = percentEncode(resource);
  const std::string expiry = std::to_string(expires_s);
  const Sha256 signature = hmacSha256(key, encoded + "\n" + expiry);
  std::string token(SasToken::kPrefix);
  token += "sr=" + encoded + "&sig=";
  token +=
      percentEncode(toBase64({reinterpret_cast<const char*>(signature.data()), signature.size()}));
  token += "&se=" + expiry;
  if (!key_name.empty()) token += "&skn=" + percentEncode(key_name);
  return token;
}

bool resourceCovers(std::string_view resource, std::string_view host, std::string_view wanted) {
  const auto decoded = percentDecode(resource);
  if (!decoded) return false;
  std::string_view named = *decoded;
  if (named.ends_with('/')) named.remove_suffix(1);
  const auto slash = named.find('/');
  if (slash == std::string_view::npos || !sameLetters(named.substr(0, slash), host)) return false;
  named.remove_prefix(slash + 1);
  const auto kind = named.find('/');
  if (kind == std::string_view::npos || kind + 1 == named.size()) return false;  // No device.
  if (named.size() > wanted.size() || !sameLetters(named, wanted.substr(0, named.size())))
    return false;
  return named.size() == wanted.size() || wanted[named.size()] == '/';
}

}  // namespace kante
