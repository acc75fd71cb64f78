#include "host/uplink/broker_url.h"

#include <charconv>
#include <string_view>

namespace kante {

Result<BrokerUrl> parseBrokerUrl(const std::string& what, const std::string& url) {
  if (url.find('@') != std::string::npos)  // Not repeated: there is a password in it.
    return fail(Errc::kInvalid,
                what + " holds a user or a password; give them apart, the password in a file");
  const auto bad = [&](const char* why) {
    return fail(Errc::kInvalid, what + " \"" + url + "\": " + why);
  };
  BrokerUrl endpoint;
  std::string_view rest = url;
  if (rest.starts_with("mqtts://")) {
    endpoint.tls = true;
  } else if (!rest.starts_with("mqtt://")) {
    return bad("begins with neither mqtts:// nor mqtt://");
  }
  rest.remove_prefix(endpoint.tls ? 8 : 7);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  std::string_view port;
  if (rest.starts_with('[')) {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return bad("has an address without its closing bracket");
    endpoint.host = rest.substr(1, close - 1);
    port = rest.substr(close + 1);
    if (!port.empty() && !port.starts_with(':'))
      return bad("has something other than a port after the address");
  } else {
    const std::size_t colon = rest.find(':');
    endpoint.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) port = rest.substr(colon);
  }
  if (endpoint.host.empty() || endpoint.host.find_first_of("/@?# ") != std::string::npos) {
    return bad("has no host");
  }
  endpoint.port = endpoint.tls ? 8883 : 1883;
  if (port.empty()) return endpoint;
  port.remove_prefix(1);
  unsigned number = 0;
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != port.data() + port.size() || number == 0 ||
      number > 65535) {
    return bad("has no port from 1 to 65535");
  }
  endpoint.port = static_cast<std::uint16_t>(number);
  return endpoint;
}

bool BrokerUrl::isLoopback() const {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

}  // namespace kante
