// Topics that come from a broker, and sources that go into one.

// fuzz-links: kante_uplink
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/uplink/document_topics.h"
#include "host/uplink/topics.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto down = kante::parseDownTopic(text);
  if (!down.has_error()) {
    if (down->principal.empty() || down->principal.find('\0') != std::string::npos) std::abort();
    if (down->principal.find_first_of("+#") != std::string::npos) std::abort();
    const bool method = down->kind == kante::DownTopic::Kind::kMethod;
    if (method && (down->method.empty() || down->request_id.empty())) std::abort();
  }
  const auto document = kante::parseDocumentTopic(text);
  if (!document.has_error() && document->name.find('\0') != std::string::npos) std::abort();
  const auto up = kante::hub::parseGatewayTopic(text, "edge-1");
  const auto by = kante::hub::saidBy(up.rest.empty() ? text : up.rest, "edge-1");
  if (by && by->principal.find_first_of(std::string_view("+#\0", 3)) != std::string::npos)
    std::abort();
  const auto principal = kante::hub::decodePrincipal(text);
  if (principal) {
    const std::string above = kante::hub::nameAbove(*principal, "edge-1");
    if (above == *principal ? kante::hub::placeOf(above).empty()
                            : kante::hub::nameBelow(above, "edge-1") != *principal)
      std::abort();
  }
  (void)kante::hub::gatewayInterestsOf(text);
  for (const char c : kante::encodeLevels(text)) {
    if (c == '+' || c == '#' || c == '\0' || static_cast<unsigned char>(c) > 0x7e) std::abort();
  }
  const auto topic = kante::TelemetryTopic::parse(text, "edge-1");
  if (!topic.has_error() && topic->fill("module/a/out").find_first_of("+#") != std::string::npos) {
    std::abort();
  }
  return 0;
}
