// What an Azure SDK is given to connect:
//
//   HostName=HOST;DeviceId=ID[;ModuleId=NAME];(SharedAccessKey=BASE64 |
//   x509=true)[;GatewayHostName=HOST]
#pragma once

#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/identity/principal_name.h"
#include "host/identity/secret.h"

namespace kante {

struct ConnectionString {
  static constexpr std::size_t kBytesMax = 4096;

  std::string host;
  PrincipalName principal;
  Secret key;           // Empty: X.509.
  std::string gateway;  // Empty: connects to `host` itself.

  // kInvalid names the part that is wrong or missing, without its value.
  static Result<ConnectionString> parse(std::string_view text);
  // kUnsupported: SDKs know no way to write this principal.
  Result<std::string> text() const;
};

}  // namespace kante
