// Addresses in the configuration.
#include <arpa/inet.h>

#include <charconv>

#include "host/config/config.h"

namespace kante {
namespace {

Result<std::uint16_t> parsePort(std::string_view text, std::string_view whole) {
  std::uint32_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0 || port > 65535)
    return fail(Errc::kInvalid, "\"" + std::string(whole) + "\" has no port between 1 and 65535");
  return static_cast<std::uint16_t>(port);
}

Result<std::string> checkHost(std::string_view host, std::string_view whole) {
  const bool fits = !host.empty() && host.size() <= 253 &&
                    host.find_first_of(" \t\r\n/@[]?#\"'\\") == std::string_view::npos;
  if (!fits) return fail(Errc::kInvalid, "\"" + std::string(whole) + "\" has no valid host");
  return std::string(host);
}

Result<Endpoint> split(std::string_view text, std::string_view whole, std::uint16_t port_default) {
  Endpoint endpoint;
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos)
      return fail(Errc::kInvalid, "\"" + std::string(whole) + "\" misses a \"]\"");
    host = text.substr(1, close - 1);
    in6_addr address;
    if (inet_pton(AF_INET6, std::string(host).c_str(), &address) != 1)
      return fail(Errc::kInvalid, "\"" + std::string(whole) + "\" has no valid IPv6 address");
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && rest[0] != ':')
      return fail(Errc::kInvalid, "\"" + std::string(whole) + "\": a port follows after \":\"");
    port = rest.empty() ? rest : rest.substr(1);
    if (rest == ":") port = "0";
  } else if (const auto colon = text.rfind(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.find(':') != std::string_view::npos)
      return fail(Errc::kInvalid, "\"" + std::string(whole) + "\": write an IPv6 address in []");
    if (port.empty()) port = "0";
  }
  KANTE_TRY(checked_host, checkHost(host, whole));
  endpoint.host = std::move(checked_host);
  endpoint.port = port_default;
  if (!port.empty() || port_default == 0) {
    KANTE_TRY(number, parsePort(port, whole));
    endpoint.port = number;
  }
  return endpoint;
}

}  // namespace

bool Endpoint::isLoopback() const {
  if (host == "localhost" || host == "::1") return true;
  in_addr address;
  return inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

Result<Endpoint> parseEndpoint(std::string_view text) { return split(text, text, 0); }

Result<UplinkUrl> parseUplinkUrl(std::string_view url) {
  UplinkUrl parsed;
  std::string_view rest = url;
  std::uint16_t port = 8883;
  if (url.starts_with("mqtts://")) {
    rest.remove_prefix(8);
  } else if (url.starts_with("mqtt://")) {
    parsed.scheme = UplinkUrl::Scheme::kMqtt;
    rest.remove_prefix(7);
    port = 1883;
  } else {
    return fail(Errc::kInvalid,
                "\"" + std::string(url) + "\" does not begin with mqtts:// or mqtt://");
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find('@') != std::string_view::npos)  // Not repeated: there is a password in it.
    return fail(Errc::kInvalid,
                "a URL holds no user and no password; say username and password_file");
  KANTE_TRY(endpoint, split(rest, url, port));
  parsed.endpoint = std::move(endpoint);
  return parsed;
}

}  // namespace kante
