// A client's topic and the bag in it: what is read borrows from the topic, and is the same when it
// is written and read again.

// fuzz-links: kante_hub
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "host/hub/iothub/contract_topic.h"
#include "host/hub/iothub/device_message.h"
#include "host/hub/iothub/property_bag.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kante::hub;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)interestsOf(text);
  const ContractTopic topic = parseContractTopic(text);
  if (topic.kind == ContractTopic::Kind::kEvents) {
    if (topic.device.empty() || topic.device.find('/') != std::string_view::npos ||
        topic.bag.find('/') != std::string_view::npos || !text.starts_with(topic.address))
      std::abort();
  }
  DeviceMessage said;
  const bool is_events = topic.kind == ContractTopic::Kind::kEvents;
  if (!readBag(is_events ? topic.bag : text, said)) return 0;
  kante::Stamp stamp;
  const auto message = messageOf(said, "", stamp);
  if (!message) return 0;
  std::string bag;
  writeBag(message->view(), nullptr, bag);
  DeviceMessage again;
  if (!readBag(bag, again) || again.properties != said.properties) std::abort();
  return 0;
}
