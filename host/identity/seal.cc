#include "host/identity/seal.h"

#include <openssl/evp.h>
#include <sys/stat.h>

#include "host/base/encoding.h"
#include "host/base/fd.h"
#include "host/base/openssl.h"

namespace kante {
namespace {

constexpr std::size_t kNonceBytes = 12, kTagBytes = 16;
using CipherPtr = std::unique_ptr<EVP_CIPHER_CTX, OpensslFree<EVP_CIPHER_CTX_free>>;

unsigned char* raw(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }
const unsigned char* raw(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
constexpr const char* kWhat = "identity/seal.key";

int size(std::string_view text) { return static_cast<int>(text.size()); }

}  // namespace

Seal Seal::random() { return Seal(*Secret::of(randomBytes(kKeyBytes))); }

Result<Seal> Seal::open(int dir) {
  const auto file = openAt(dir, kFileName, O_RDONLY | O_NOFOLLOW);
  if (!file && file.error().code != Errc::kNotFound) return within(kWhat, file.error());
  if (!file) {
    Seal made = random();
    if (const Status kept = replaceFile(dir, kFileName, made.key_.view()); !kept)
      return within(kWhat, kept.error());
    return made;
  }
  struct stat status {};
  if (::fstat(file->get(), &status) != 0) return failErrno(kWhat);
  if ((status.st_mode & 077) != 0)
    return fail(Errc::kDenied,
                std::string(kWhat) +
                    " may be read by others; make it 0600, and keys of devices new if they did");
  const auto key = readFile(dir, kFileName, kKeyBytes);
  if (!key || key->size() != kKeyBytes)
    return fail(Errc::kCorrupt, std::string(kWhat) + " is no key of " + std::to_string(kKeyBytes) +
                                    " bytes; put the one of a backup there, or take it away and "
                                    "make all keys of devices new");
  return Seal(*Secret::of(*key));
}

std::string Seal::seal(std::string_view bytes, std::string_view context) const {
  std::string out = randomBytes(kNonceBytes);
  out.resize(kNonceBytes + bytes.size() + kTagBytes);
  const CipherPtr cipher(EVP_CIPHER_CTX_new());
  int n = 0;
  const bool done =
      cipher != nullptr &&
      EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, raw(key_.view()), raw(out)) ==
          1 &&
      EVP_EncryptUpdate(cipher.get(), nullptr, &n, raw(context), size(context)) == 1 &&
      EVP_EncryptUpdate(cipher.get(), raw(out) + kNonceBytes, &n, raw(bytes), size(bytes)) == 1 &&
      EVP_EncryptFinal_ex(cipher.get(), raw(out) + kNonceBytes + bytes.size(), &n) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes,
                          raw(out) + kNonceBytes + bytes.size()) == 1;
  KANTE_ASSERT(done);
  return out;
}

Result<std::string> Seal::unseal(std::string_view sealed, std::string_view context) const {
  const auto broken =
      fail(Errc::kCorrupt, std::string("a sealed secret cannot be opened: it was changed, or ") +
                               kWhat + " is another one");
  if (sealed.size() < kOverheadBytes) return broken;
  std::string nonce(sealed.substr(0, kNonceBytes)), tag(sealed.substr(sealed.size() - kTagBytes));
  const auto inner = sealed.substr(kNonceBytes, sealed.size() - kOverheadBytes);
  std::string out(inner.size(), '\0');
  const CipherPtr cipher(EVP_CIPHER_CTX_new());
  int n = 0;
  const bool done =
      cipher != nullptr &&
      EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, raw(key_.view()), raw(nonce)) ==
          1 &&
      EVP_DecryptUpdate(cipher.get(), nullptr, &n, raw(context), size(context)) == 1 &&
      EVP_DecryptUpdate(cipher.get(), raw(out), &n, raw(inner), size(inner)) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, raw(tag)) == 1 &&
      EVP_DecryptFinal_ex(cipher.get(), raw(out) + inner.size(), &n) == 1;
  if (!done) return broken;
  return out;
}

}  // namespace kante
