// What a gateway below forwards, as a packet of MQTT 5: whatever it says is refused or a message
// that is whole, numbered, and of an origin that is.

// fuzz-links: kante_hub
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/hub/gateways/child_message.h"
#include "host/message/hop.h"
#include "host/mqtt/parse.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kante;
  mqtt::Frame frame;
  mqtt::Fault fault;
  mqtt::Publish publish;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (mqtt::frameOf(bytes, 1u << 20, frame, fault) != mqtt::Framing::kPacket) return 0;
  if (frame.type != mqtt::PacketType::kPublish ||
      !mqtt::parsePublish(frame, mqtt::Version::k5, publish, fault))
    return 0;
  Stamp stamp;
  const auto said = hub::readChildMessage(publish, "leaf", stamp);
  if (!said) return 0;
  require(said->number != 0 && !said->epoch.empty());
  require(said->origin_number != 0 && !said->origin_gateway.empty() && !said->origin_epoch.empty());
  require(said->hops >= 1 && said->hops <= kHopsMax);
  require(said->message.view().body().size() == publish.payload.size());
  return 0;
}
