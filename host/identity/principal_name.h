// Names of those who connect from outside: devices, modules of devices, and gateways below this
// one.
//
// As IoT Hub: 1 to 128 of A-Z a-z 0-9 and - : . + % _ # * ? ! ( ) , = @ ; $ ', compared exactly.
// Holding a PrincipalName proves that its ids are such.
#pragma once

#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante {

inline constexpr std::size_t kIdBytesMax = 128;

// kInvalid says what is wrong with it.  "." and ".." are refused besides: no path of HTTP holds
// them.
Status checkId(std::string_view id);

class PrincipalName {
 public:
  enum class Kind { kDevice, kDeviceModule, kGateway };

  static Result<PrincipalName> device(std::string_view id);
  static Result<PrincipalName> deviceModule(std::string_view id, std::string_view module);
  static Result<PrincipalName> gateway(std::string_view id);
  // "device/ID", "device/ID/module/NAME", "gateway/ID"; for people also "ID" and "ID/module/NAME".
  static Result<PrincipalName> parse(std::string_view text);

  Kind kind() const { return kind_; }
  const std::string& id() const { return id_; }  // Of the device or gateway.
  const std::string& module() const { return module_; }
  // "device/ID", "device/ID/module/NAME", "gateway/ID".
  std::string name() const;
  // What it is called inside the gateway of that id: "module/NAME" if it is a module of the gateway
  // itself that runs elsewhere, in a container; else name().
  std::string nameAt(std::string_view gateway_id) const;
  // What a SAS token names behind the host: "devices/ID", "devices/ID/modules/NAME", "gateways/ID".
  std::string resource() const;
  // The common name of its certificates: "ID", "ID/NAME".
  std::string commonName() const;

  bool operator==(const PrincipalName&) const = default;

 private:
  PrincipalName(Kind kind, std::string_view id, std::string_view module)
      : kind_(kind), id_(id), module_(module) {}
  Kind kind_;
  std::string id_;
  std::string module_;
};

}  // namespace kante
