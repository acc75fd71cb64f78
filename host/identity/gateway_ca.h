// The gateway's own certificate authority, which vouches for its hub: data_dir/identity/ca.pem,
// which clients are given, and ca.key.sealed.  Control thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/base/result.h"
#include "host/identity/seal.h"

namespace kante {

// What a TLS server shows, in PEM; the key is secret.
struct ServerCredential {
  std::string chain;  // Its own certificate first.
  std::string key;
  std::string fingerprint;  // SHA-256 of its own certificate, hexadecimal.
  std::int64_t not_before_s = 0;
  std::int64_t not_after_s = 0;
};

class GatewayCa {
 public:
  static constexpr std::int64_t kLifeS = 3'650LL * 86'400;
  static constexpr std::int64_t kLeafLifeS = 90LL * 86'400;

  struct Order {
    enum class For { kServer, kClient };

    For purpose = For::kServer;
    std::string common_name;
    std::vector<std::string> names;  // DNS or IP.
    std::string uri;                 // Of a client; empty: none.
    std::int64_t life_s = kLeafLifeS;
  };

  // With less left it gets a new certificate under the same key and name: clients that have the
  // older one go on until that ends.
  static constexpr std::int64_t kRenewLeftS = 365LL * 86'400;
  static constexpr std::int64_t kBackdatedS = 3'600;  // Clocks of clients may be behind.
  static constexpr const char* kFileName = "ca.pem";
  static constexpr const char* kKeyFileName = "ca.key.sealed";

  // Reads it, or makes it: ECDSA on P-256.  `now_s` as judged: no certificate begins before the
  // gateway was built.  The directory stays open as long as this.
  static Result<std::unique_ptr<GatewayCa>> open(int identity_dir_fd, const Seal& seal,
                                                 const std::string& gateway_id, std::int64_t now_s);
  ~GatewayCa();
  GatewayCa(const GatewayCa&) = delete;
  GatewayCa& operator=(const GatewayCa&) = delete;

  // A new key and a certificate for a server with these names, DNS or IP; the first is its common
  // name.  kInvalid names the one that is neither.
  Result<ServerCredential> issue(const std::vector<std::string>& names, std::int64_t now_s);
  // The same for whatever the order says; never longer than this CA holds.
  Result<ServerCredential> issueFor(const Order& order, std::int64_t now_s);

  const std::string& pem() const;
  std::string fingerprint() const;
  std::int64_t notAfterS() const;

 private:
  struct State;
  explicit GatewayCa(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kante
