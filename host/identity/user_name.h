// What a client says of itself in the user name of its CONNECT (CONTRACTS, section 9):
//
//   HOST/ID[/MODULE]/?api-version=…[&name=value…]   IoT Hub's contract; HOST is compared with
//   nothing ID, ID/module/NAME, gateway/ID                  plain MQTT
#pragma once

#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/identity/principal_name.h"

namespace kante {

struct UserName {
  static constexpr std::size_t kBytesMax = 2048;
  enum class Contract { kIotHub, kPlain };

  Contract contract = Contract::kPlain;
  PrincipalName principal;
  std::string product;     // DeviceClientType, decoded.
  std::string model_id;    // model-id, decoded.
  std::string auth_chain;  // Who speaks for whom, from a gateway below.

  // Whether it is meant for IoT Hub's contract, also when it is wrong.
  static bool isIotHub(std::string_view text);
  static Result<UserName> parse(std::string_view text);
};

}  // namespace kante
