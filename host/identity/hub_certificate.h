// The certificate that the hub shows: issued by the gateway's own CA and renewed at two thirds of
// its life, or the operator's, read again when its files change.  Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/base/result.h"
#include "host/identity/gateway_ca.h"

namespace kante {

class TrustedClock;

class HubCertificate {
 public:
  static constexpr std::size_t kFileBytesMax = 256 * 1024;

  struct Files {
    std::string cert;  // PEM: its own certificate first, then what leads to a root.
    std::string key;   // PEM.
  };
  using OnChange = std::function<void(const ServerCredential&)>;

  // All it is given outlives it.
  static Result<std::unique_ptr<HubCertificate>> issued(GatewayCa& ca, const TrustedClock& clock,
                                                        std::vector<std::string> names);
  static Result<std::unique_ptr<HubCertificate>> fromFiles(Files files, const TrustedClock& clock);

  const ServerCredential& current() const { return current_; }
  // Called with each new one; connections that are there keep theirs.
  void onChange(OnChange on_change) { on_change_ = std::move(on_change); }
  // Renews when it is time; a few times an hour is often enough.  Fails with why it could not be
  // renewed or read, once for each reason; the one before goes on then.
  Status tick();

 private:
  explicit HubCertificate(const TrustedClock& clock) : clock_(clock) {}
  bool due() const;
  Status renew();
  std::string stamp() const;

  const TrustedClock& clock_;
  GatewayCa* ca_ = nullptr;  // Null: from files.
  std::vector<std::string> names_;
  Files files_;
  std::string stamp_;  // Of the files as they were read last.
  ServerCredential current_;
  OnChange on_change_;
  std::string failure_;  // As it was told last.
};

}  // namespace kante
