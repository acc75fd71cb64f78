// A clock that moves when told to, and certificates made for its time.
#pragma once

#include <openssl/x509v3.h>

#include "host/base/certificate.h"
#include "host/base/trusted_clock.h"

namespace kante::testing {

inline constexpr std::int64_t kNowS = 1'760'000'000;  // Where a ManualClock begins.
inline constexpr std::int64_t kDayS = 86'400;

// Trusted while not before its build, which was a day before kNowS.
struct ClockKit {
  ManualClock clock;
  TrustedClock trusted{clock, kNowS - kDayS, [] { return false; }};
  void stepTo(std::int64_t wall_s) { clock.stepWall(wall_s * 1'000'000'000 - clock.wallNs()); }
};

struct Issued {
  KeyPtr key;
  X509Ptr certificate;
  std::string der() const {
    unsigned char* bytes = nullptr;
    const int size = i2d_X509(certificate.get(), &bytes);
    std::string out(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(size));
    OPENSSL_free(bytes);
    return out;
  }
};

enum class Role { kCa, kClient, kServer };

// Valid from a day before kNowS for `days` after it; by itself without an issuer.
inline Issued issue(const std::string& name, Role role, const Issued* by = nullptr,
                    std::int64_t days = 10, std::int64_t begins_s = kNowS - kDayS) {
  CertificateSpec spec;
  spec.common_name = name;
  spec.not_before_s = begins_s;
  spec.not_after_s = kNowS + days * kDayS;
  spec.extensions = {{NID_basic_constraints, role == Role::kCa ? "critical,CA:TRUE" : "CA:FALSE"}};
  if (role != Role::kCa)
    spec.extensions.emplace_back(NID_ext_key_usage,
                                 role == Role::kClient ? "clientAuth" : "serverAuth");
  Issued out;
  out.key = *makeKey();
  out.certificate = *makeCertificate(
      spec, out.key.get(), by != nullptr ? Issuer{by->certificate.get(), by->key.get()} : Issuer{});
  return out;
}

}  // namespace kante::testing
