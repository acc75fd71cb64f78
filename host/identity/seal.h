// Secrets at rest: AES-256-GCM under a random key of this gateway, data_dir/identity/seal.key
// (0600).
//
// What is sealed is bound to a context (whose key it is), so that nobody who can write the store
// but not read the key moves one principal's secret to another.  Any thread once made.
#pragma once

#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/identity/secret.h"

namespace kante {

class Seal {
 public:
  static constexpr const char* kFileName = "seal.key";
  static constexpr std::size_t kKeyBytes = 32;
  static constexpr std::size_t kOverheadBytes = 12 + 16;  // Nonce in front, tag behind.

  // Reads the key in this directory, or makes it.  kDenied when others may read it, kCorrupt when
  // it is no key.
  static Result<Seal> open(int identity_dir_fd);
  // For tests: a key of this life only.
  static Seal random();

  std::string seal(std::string_view bytes, std::string_view context) const;
  // kCorrupt: changed, of another context or under another key.
  Result<std::string> unseal(std::string_view sealed, std::string_view context) const;

 private:
  explicit Seal(const Secret& key) : key_(key) {}
  Secret key_;
};

}  // namespace kante
