// The uplink of a gateway, as its configuration wants it.
#pragma once

#include "host/uplink/mqtt_uplink.h"

namespace kante {
struct Config;
}

namespace kante::cli {

MqttUplinkOptions uplinkOptions(const Config& config);

}  // namespace kante::cli
