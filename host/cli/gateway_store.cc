#include "host/cli/gateway_store.h"

#include "host/base/clock.h"
#include "host/base/trusted_clock.h"
#include "host/config/config.h"

namespace kante::cli {

StoreOptions storeOptions(const Config& config, const TrustedClock& wall) {
  StoreOptions out;
  out.directory = config.gateway.data_dir + "/store";
  out.max_bytes = config.store.max_bytes;
  out.full =
      config.store.full == StoreFull::kRefuse ? FullPolicy::kRefuse : FullPolicy::kDropLowest;
  out.sync =
      config.store.sync == StoreSync::kInterval ? SyncPolicy::kInterval : SyncPolicy::kAlways;
  out.sync_ms = config.store.sync_ms;
  out.wall = [&wall] {
    const ClockReading now = wall.read();
    if (!now.trusted) return StoreClock::Wall::kUntrusted;
    return now.synchronised ? StoreClock::Wall::kSynchronised : StoreClock::Wall::kTrusted;
  };
  out.boot_id = bootId();
  return out;
}

}  // namespace kante::cli
