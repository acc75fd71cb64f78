#include "host/cli/gateway_fetch.h"

#include <utility>

#include "host/config/config.h"
#include "host/uplink/bundle_chunks.h"
#include "host/uplink/mqtt_uplink.h"

namespace kante::cli {

static_assert(Fetcher::kChunkBytes == BundleChunks::kBytes);

Result<std::unique_ptr<Fetcher>> makeFetcher(const Config& config, Log& log,
                                             std::function<void(std::function<void()>)> post,
                                             std::function<void()> changed, MqttUplink* uplink) {
  const FetchConfig& fetch = config.fetch;
  Fetcher::Host host{log, std::move(post), std::move(changed)};
  if (uplink != nullptr)
    host.chunk = [uplink](const std::string& digest, const std::string& base, std::uint32_t n,
                          const std::function<bool()>& goes_on) {
      return uplink->bundleChunk(digest, base, n, goes_on);
    };
  auto made = Fetcher::make(
      {config.gateway.data_dir + "/fetch", {fetch.ca, fetch.proxy, fetch.bytes_per_s}, {}},
      std::move(host));
  if (!made) return within("[fetch]", made.error());
  return made;
}

}  // namespace kante::cli
