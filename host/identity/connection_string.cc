#include "host/identity/connection_string.h"

#include <array>

#include "host/base/encoding.h"

namespace kante {
namespace {

constexpr std::array kNames = {"HostName", "DeviceId",        "ModuleId",
                               "x509",     "SharedAccessKey", "GatewayHostName"};

Error wrong(const std::string& what) { return fail(Errc::kInvalid, "connection string: " + what); }

bool isHost(std::string_view text) {
  return !text.empty() && text.size() <= 253 &&
         text.find_first_not_of(
             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
             ".-_:[]") == std::string_view::npos;
}

using Values = std::array<std::string_view, kNames.size()>;

// In the order of kNames; empty: absent.
Result<Values> split(std::string_view text) {
  Values values;
  if (text.ends_with(';')) text.remove_suffix(1);
  for (bool more = true; more;) {
    const std::size_t end = text.find(';');
    const std::string_view part = text.substr(0, end);
    more = end != std::string_view::npos;
    if (more) text.remove_prefix(end + 1);
    const std::size_t equals = part.find('=');
    std::size_t which = 0;
    while (which < kNames.size() && part.substr(0, equals) != kNames[which]) ++which;
    if (equals == std::string_view::npos || which == kNames.size())
      return wrong(
          "its parts are HostName=, DeviceId=, ModuleId=, SharedAccessKey= or x509=true, and "
          "GatewayHostName=, with ; between");
    if (!values[which].empty()) return wrong(std::string(kNames[which]) + " is there twice");
    values[which] = part.substr(equals + 1);
    if (values[which].empty()) return wrong(std::string(kNames[which]) + " is empty");
  }
  return values;
}

}  // namespace

Result<ConnectionString> ConnectionString::parse(std::string_view text) {
  if (text.size() > kBytesMax) return wrong("it is too long");
  KANTE_TRY(values, split(text));
  const auto [host, device, module, x509, key, gateway] = values;
  if (host.empty()) return wrong("HostName is missing");
  if (device.empty()) return wrong("DeviceId is missing");
  if (!isHost(host)) return wrong("HostName is no host");
  if (!gateway.empty() && !isHost(gateway)) return wrong("GatewayHostName is no host");
  auto principal =
      module.empty() ? PrincipalName::device(device) : PrincipalName::deviceModule(device, module);
  if (!principal) return within("connection string", principal.error());
  ConnectionString out{std::string(host), std::move(*principal), {}, std::string(gateway)};
  if (x509.empty() == key.empty()) return wrong("either SharedAccessKey or x509=true is needed");
  if (!x509.empty()) {
    if (x509 != "true") return wrong("x509 is true, or absent");
    return out;
  }
  const auto bytes = fromBase64(key);
  auto secret = bytes ? Secret::of(*bytes) : Result<Secret>(bytes.error());
  if (!secret || secret->empty()) return wrong("SharedAccessKey is no key in base64");
  out.key = *secret;
  return out;
}

Result<std::string> ConnectionString::text() const {
  if (principal.kind() == PrincipalName::Kind::kGateway)
    return fail(Errc::kUnsupported, principal.name() + ": a gateway has no connection string");
  if ((principal.id() + principal.module()).find(';') != std::string::npos)
    return fail(Errc::kUnsupported,
                principal.name() + ": an id with ; in it has no connection string");
  std::string out = "HostName=" + host + ";DeviceId=" + principal.id();
  if (!principal.module().empty()) out += ";ModuleId=" + principal.module();
  out += key.empty() ? ";x509=true" : ";SharedAccessKey=" + toBase64(key.view());
  if (!gateway.empty()) out += ";GatewayHostName=" + gateway;
  return out;
}

}  // namespace kante
