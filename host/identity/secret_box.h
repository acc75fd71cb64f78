// What secrets are encrypted to, so that nobody on their way reads them: a key of the gateway's own
// (data_dir/identity/secrets.key.sealed) and the certificate that says whose it is (secrets.pem).
// Control thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/identity/seal.h"

namespace kante {

class SecretBox {
 public:
  static constexpr const char* kFileName = "secrets.pem";
  static constexpr const char* kKeyFileName = "secrets.key.sealed";
  static constexpr std::size_t kBytesMax = 4u << 20;
  static constexpr std::size_t kRecipientsMax = 1000;

  // Reads it, or makes it: P-256.  One that cannot be read any more (another seal.key) is set aside
  // as *.broken, and a new one made: a gateway without it would not start, and what was encrypted
  // to the old one nobody can open in any case.
  static Result<std::unique_ptr<SecretBox>> open(int identity_dir_fd, const Seal& seal,
                                                 const std::string& gateway_id, std::int64_t now_s);
  ~SecretBox();
  SecretBox(const SecretBox&) = delete;
  SecretBox& operator=(const SecretBox&) = delete;

  // kDenied: for somebody else; kCorrupt: no CMS message that is encrypted with authentication, or
  // changed.
  Result<std::string> open(std::string_view cms) const;
  // Why a new one was made in the place of one that was there; empty: it was not.
  const std::string& broken() const;
  const std::string& pem() const;
  std::string fingerprint() const;
  std::int64_t notAfterS() const;

 private:
  struct State;
  explicit SecretBox(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// For the gateways whose certificates are in the PEM text: a CMS AuthEnvelopedData, DER,
// AES-256-GCM.
Result<std::string> encryptFor(std::string_view recipients_pem, std::string_view text);

}  // namespace kante
