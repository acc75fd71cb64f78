// The registry as what the hub asks at each CONNECT: who is it, and what may it do.
//
// Any thread.  Everybody who is refused hears the same, whatever the reason; log and counters know
// it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/hub/access.h"
#include "host/identity/principal_name.h"
#include "host/identity/registry.h"

namespace kante {

class MetricWriter;
class TrustedClock;

class RegisteredAccess final : public hub::Access {
 public:
  // A token is taken so long after its expiry, and its session ended then: clocks of devices
  // differ.
  static constexpr std::int64_t kToleranceS = 300;  // As IoT Hub.

  // `hosts`: what a token may name as its host.  Registry and clock outlive this.
  RegisteredAccess(const Registry& registry, const TrustedClock& clock,
                   std::vector<std::string> hosts, std::string gateway_id = {});

  hub::Admission authenticate(const hub::Credentials& credentials) const override;
  hub::Admission verify(const hub::RequestCredentials& credentials) const override;
  std::shared_ptr<const hub::Principal> current(const hub::Principal& principal) const override;
  std::shared_ptr<const hub::Principal> find(std::string_view name) const override;

  void collect(MetricWriter& metrics) const;  // Control thread.

  enum class Refusal : std::uint8_t {
    kName,     // No user name, or none of anybody.
    kUnknown,  // Not registered.
    kDisabled,
    kKind,         // Registered for another way to prove itself.
    kToken,        // No token, or not made as one.
    kAudience,     // A token for another host or device.
    kSignature,    // Not made with a key of it, or a wrong key.
    kExpired,      // Token or certificate.
    kCertificate,  // Another one, or from nobody who is trusted.
    kChannel,      // A key over plain text.
    kCount
  };
  std::uint64_t refused(Refusal why) const;

 private:
  struct Verdict;
  Verdict judge(const PrincipalName& principal, const Registry::Found& found,
                const hub::Credentials& credentials) const;
  Verdict judgeToken(const PrincipalName& principal, const Registry::Found& found,
                     std::string_view text, std::string_view resource) const;
  Verdict judgeKey(const Registry::Found& found, std::string_view text,
                   const hub::Peer& peer) const;
  Verdict judgeCertificate(const PrincipalName& principal, const Registry::Found& found,
                           const hub::Peer& peer) const;
  enum class Way : bool { kPlain, kContract };
  hub::Admission admit(const PrincipalName& principal, const Registry::Found& found,
                       const Verdict& verdict, mqtt::Reason reason, Way way) const;
  hub::Admission refuse(const std::string& who, Refusal why, const std::string& text,
                        mqtt::Reason reason) const;
  std::int64_t endNs(std::int64_t at_s) const;

  const Registry& registry_;
  const TrustedClock& clock_;
  const std::vector<std::string> hosts_;
  const std::string gateway_id_;
  mutable std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Refusal::kCount)>
      refused_{};
};

const char* name(RegisteredAccess::Refusal why);

}  // namespace kante
