// A target condition of IoT Hub in what anyone may apply: refused with a sentence, or a condition
// that is journalled as what it is.
// fuzz-links: kante_agent
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/agent/iothub_condition.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto read = kante::parseIotHubCondition({reinterpret_cast<const char*>(data), size});
  if (!read) {
    if (read.error().text.empty()) std::abort();
    return 0;
  }
  const auto again = kante::parseTarget(kante::toJson(*read), "");
  if (!again || !(*again == *read)) std::abort();
  const kante::Tags tags{{"site", "muc"}, {"line", "4"}};
  if (kante::holds(*read, {"edge-1", tags}) != kante::holds(*again, {"edge-1", tags})) std::abort();
  return 0;
}
