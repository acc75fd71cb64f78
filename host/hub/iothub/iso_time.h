// Times as SDKs write them: ISO 8601, "2026-01-31T12:00:00[.1234567](Z|+01:00)".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace kante::hub {

// Nanoseconds since 1970, UTC; without a zone it is UTC.  Years 1970 to 2200.
std::optional<std::int64_t> parseIsoTime(std::string_view text);

}  // namespace kante::hub
