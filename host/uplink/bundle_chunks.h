// Pieces of bundles that the broker holds, retained, for gateways that reach nothing but it:
// kante/v1/$bundles/HEX/N, where HEX is the digest of the bundle and N counts from 0; of deltas
// that make it, kante/v1/$bundles/HEX/from/HEX/N, where the second is the digest of the base.
//
// One piece at a time is subscribed to, so that no more than that is on its way whatever the size.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/uplink/client.h"

namespace kante {

class BundleChunks {
 public:
  static constexpr std::size_t kBytes = 65'536;  // Of each but the last.
  static constexpr std::chrono::seconds kSilence{30};

  // `digest`, `base`: "sha256:HEX"; base empty: of the whole bundle.
  static std::string topic(std::string_view digest, std::string_view base, std::uint32_t n);

  explicit BundleChunks(UplinkClient& client) : client_(client) {}

  // Blocks; any thread but the client's, one at a time.  `goes_on` is asked about four times a
  // second.  kUnavailable: no link; kTimeout: nothing came of it, so nobody has put it there, or
  // the broker does not let this gateway read it; kCancelled.
  Result<std::string> get(const std::string& digest, const std::string& base, std::uint32_t n,
                          const std::function<bool()>& goes_on);
  // The client's thread: whether it is one of them, wanted or not.
  bool arrived(const Arrival& arrival);

 private:
  Result<std::string> await(std::uint32_t n, const std::function<bool()>& goes_on);

  UplinkClient& client_;
  std::mutex mutex_;  // Around all below.
  std::condition_variable came_;
  std::string wanted_;  // A topic; empty: none.
  std::optional<std::string> piece_;
};

}  // namespace kante
