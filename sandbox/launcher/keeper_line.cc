#include "sandbox/launcher/keeper_line.h"

#include <time.h>

#include <cstdio>

namespace kante::launcher {

bool wantsJson(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--log=json") return true;
    if (arguments[i] == "--log" && i + 1 < arguments.size() && arguments[i + 1] == "json")
      return true;
  }
  return false;
}

std::string jsonLine(std::int64_t wall_ms, std::string_view text) {
  const time_t seconds = wall_ms / 1000;
  tm utc{};
  ::gmtime_r(&seconds, &utc);
  char day[32];
  ::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
  char milliseconds[8];
  std::snprintf(milliseconds, sizeof milliseconds, ".%03dZ", static_cast<int>(wall_ms % 1000));
  std::string out = std::string("{\"time\":\"") + day + milliseconds +
                    "\",\"level\":\"warn\",\"who\":\"keeper\",\"text\":\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte > 0x7e ? '?' : c;  // Of names and numbers: all is ASCII.
  }
  return out + "\"}";
}

}  // namespace kante::launcher
