// The topics by which clients of IoT Hub's contract speak to it, and those by which it answers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace kante::hub {

struct ContractTopic {
  enum class Kind : std::uint8_t {
    kNone,          // An ordinary topic.
    kEvents,        // devices/ID[/modules/MODULE]/messages/events[/BAG]
    kTwinGet,       // $iothub/twin/GET/?$rid=RID
    kReported,      // $iothub/twin/PATCH/properties/reported/?$rid=RID
    kMethodAnswer,  // $iothub/methods/res/STATUS/?$rid=RID
    kUnknown,       // Another one below $iothub/.
  };
  Kind kind = Kind::kNone;
  std::string_view device;  // Of kEvents.
  std::string_view module;
  std::string_view bag;
  std::string_view address;  // The topic without its bag.
  std::string_view rid;      // As it came; may be empty.
  int status = 0;
};
// Borrows from the topic.
ContractTopic parseContractTopic(std::string_view topic);

// What a client hears of by its subscriptions; a bit each, with those of HearsAsGateway.
enum HearsOf : std::uint8_t {
  kTwinAnswers = 1,  // $iothub/twin/res/#
  kDesiredPatches = 2,
  kMethodCalls = 4,
  kCloudMessages = 8,  // devices/ID/messages/devicebound/#
};
// Of one filter, whoever has it: "$iothub/#" is of all three.
std::uint8_t interestsOf(std::string_view filter);

// The path of reported twin changes as messages, for routes.
inline constexpr std::string_view kTwinChangePath = "/twinChangeNotifications";

// The ids of "device/ID", "device/ID/module/NAME" and, of the gateway itself, "module/NAME"; empty
// texts where there is none.
std::pair<std::string, std::string> deviceAndModule(std::string_view principal,
                                                    std::string_view gateway_id);

std::string twinAnswerTopic(int status, std::string_view rid);
std::string desiredPatchTopic(std::uint64_t version);
std::string methodTopic(std::string_view method, std::string_view rid);
// To be followed by a bag.
std::string deviceboundTopic(std::string_view device);
std::string inputTopic(std::string_view device, std::string_view module, std::string_view input);

}  // namespace kante::hub
