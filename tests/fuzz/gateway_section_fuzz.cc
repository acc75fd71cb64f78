// The "gateway" section of a deployment as a deployer may write it: refused with a sentence that
// begins with its pointer, or a configuration that shows what it is.
// fuzz-links: kante_config
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const kante::Config file =
      kante::parseConfig(
          "[gateway]\nid = \"edge-1\"\n[uplink]\nkind = \"mqtt\"\nurl = \"mqtts://broker:8883\"\n"
          "ca = \"ca.pem\"\n[hub.mqtt]\nlisten = [\"127.0.0.1:1883\"]\n",
          "gateway.toml")
          .value();
  const auto merged =
      kante::withGatewaySection(file, std::string_view(reinterpret_cast<const char*>(data), size));
  if (!merged) {
    if (!merged.error().text.starts_with("/gateway")) std::abort();
    return 0;
  }
  // What names files is the file's alone, whatever the section says.
  if (merged->uplink.ca != file.uplink.ca || !merged->hub.tls.cert.empty()) std::abort();
  if (merged->gateway.id != "edge-1" || merged->shown.empty()) std::abort();
  return 0;
}
