// What the keeper says: a line on stderr, in the form of the host's log.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kante::launcher {

// Whether those arguments of the host ask for JSON (`--log json`).
bool wantsJson(const std::vector<std::string>& arguments);

// {"time":"…","level":"warn","who":"keeper","text":"…"}; time in milliseconds since 1970.
std::string jsonLine(std::int64_t wall_ms, std::string_view text);

}  // namespace kante::launcher
