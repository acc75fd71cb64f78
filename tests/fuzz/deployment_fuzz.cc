// A deployment document as anyone may write it: refused with a sentence or read, and what was read
// reads the same again.
// fuzz-links: kante_agent
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/agent/deployment.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto deployment = kante::parseDeployment(text);
  if (!deployment) {
    if (deployment.error().text.empty()) std::abort();
    return 0;
  }
  const auto again = kante::parseDeployment(deployment->json);
  if (!again || again->json != deployment->json) std::abort();
  return 0;
}
