#include "host/identity/principal_name.h"

namespace kante {
namespace {

constexpr std::string_view kIdChars =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-:.+%_#*?!(),=@;$'";

std::string shown(std::string_view id) {
  std::string out;
  for (const signed char c : id.substr(0, kIdBytesMax))
    out += c < 0x20 || c == 0x7f
               ? '?'
               : static_cast<char>(c);  // Also what is not ASCII: it may be cut in a character.
  return '"' + out + (id.size() > kIdBytesMax ? "…\"" : "\"");
}

}  // namespace

Status checkId(std::string_view id) {
  if (id.empty() || id.size() > kIdBytesMax)
    return fail(Errc::kInvalid, shown(id) + " is no id: it has " + std::to_string(id.size()) +
                                    " characters, 1 to " + std::to_string(kIdBytesMax) +
                                    " are allowed");
  if (id.find_first_not_of(kIdChars) != std::string_view::npos)
    return fail(Errc::kInvalid, shown(id) +
                                    " is no id: letters, digits and - : . + % _ # * ? ! ( ) , = @ "
                                    "; $ ' are allowed");
  if (id == "." || id == "..") return fail(Errc::kInvalid, shown(id) + " is no id; choose another");
  return {};
}

Result<PrincipalName> PrincipalName::device(std::string_view id) {
  KANTE_CHECK(checkId(id));
  return PrincipalName(Kind::kDevice, id, {});
}

Result<PrincipalName> PrincipalName::deviceModule(std::string_view id, std::string_view module) {
  KANTE_CHECK(checkId(id));
  KANTE_CHECK(checkId(module));
  if (module == "$edgeAgent" || module == "$edgeHub")
    return fail(Errc::kInvalid,
                shown(module) + " is the runtime of a gateway, no module of a device");
  return PrincipalName(Kind::kDeviceModule, id, module);
}

Result<PrincipalName> PrincipalName::gateway(std::string_view id) {
  KANTE_CHECK(checkId(id));
  return PrincipalName(Kind::kGateway, id, {});
}

Result<PrincipalName> PrincipalName::parse(std::string_view text) {
  constexpr std::string_view kDevice = "device/", kGateway = "gateway/", kModule = "/module/";
  if (text.starts_with(kGateway)) return gateway(text.substr(kGateway.size()));
  if (text.starts_with(kDevice)) text.remove_prefix(kDevice.size());
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return device(text);
  if (!text.substr(slash).starts_with(kModule))
    return fail(Errc::kInvalid,
                shown(text) + " is no device; there are ID, ID/module/NAME and gateway/ID");
  return deviceModule(text.substr(0, slash), text.substr(slash + kModule.size()));
}

std::string PrincipalName::name() const {
  switch (kind_) {
    case Kind::kDevice: return "device/" + id_;
    case Kind::kDeviceModule: return "device/" + id_ + "/module/" + module_;
    case Kind::kGateway: return "gateway/" + id_;
  }
  return {};
}

std::string PrincipalName::nameAt(std::string_view gateway_id) const {
  return kind_ == Kind::kDeviceModule && id_ == gateway_id ? "module/" + module_ : name();
}

std::string PrincipalName::resource() const {
  switch (kind_) {
    case Kind::kDevice: return "devices/" + id_;
    case Kind::kDeviceModule: return "devices/" + id_ + "/modules/" + module_;
    case Kind::kGateway: return "gateways/" + id_;
  }
  return {};
}

std::string PrincipalName::commonName() const {
  return module_.empty() ? id_ : id_ + "/" + module_;
}

}  // namespace kante
