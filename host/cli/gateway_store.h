// How the gateway's store is opened, by its configuration.
#pragma once

#include "host/store/store.h"

namespace kante {
struct Config;
class TrustedClock;
}  // namespace kante

namespace kante::cli {

// `wall` outlives the store.
StoreOptions storeOptions(const Config& config, const TrustedClock& wall);

}  // namespace kante::cli
