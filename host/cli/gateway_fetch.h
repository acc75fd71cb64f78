// How the gateway fetches bundles: what its configuration says, and its uplink.
#pragma once

#include <functional>
#include <memory>

#include "host/fetch/fetcher.h"

namespace kante {
struct Config;
class MqttUplink;
}  // namespace kante

namespace kante::cli {

// `uplink` may be null; it outlives the fetcher.
Result<std::unique_ptr<Fetcher>> makeFetcher(const Config& config, Log& log,
                                             std::function<void(std::function<void()>)> post,
                                             std::function<void()> changed, MqttUplink* uplink);

}  // namespace kante::cli
