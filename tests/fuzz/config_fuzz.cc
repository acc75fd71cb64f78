// gateway.toml as anyone may write it: refused or read, never a crash, a hang or a deep recursion.
// fuzz-links: kante_config
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = kante::parseConfig(text, "gateway.toml");
  if (config) {
    if (config->gateway.id.empty()) std::abort();
    (void)kante::supported(*config);
  } else if (config.error().text.empty()) {
    std::abort();
  }
  return 0;
}
