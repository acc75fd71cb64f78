// The "gateway" section of a deployment, as it changes the tree of a configuration file.
#pragma once

#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/config/toml_value.h"

namespace kante {

// The JSON merge patch over [uplink], [hub], [store] and [log]; errors begin with the JSON pointer.
Status mergeGatewaySection(std::string_view patch, TomlValue& document);
// "[uplink] window: …" as "/gateway/uplink/window: …".
Error asPointer(const Error& error);
// Those sections of the tree as JSON.
std::string shownSections(const TomlValue& document);

}  // namespace kante
