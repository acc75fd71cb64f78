#include "host/uplink/server_reference.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace kante {
namespace {

constexpr std::size_t kNameMax = 253;

bool isName(std::string_view host) {
  return !host.empty() && host.size() <= kNameMax && host.front() != '.' && host.front() != '-' &&
         std::all_of(host.begin(), host.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_';
         });
}

}  // namespace

bool BrokerAddress::isLoopback() const {
  if (host == "localhost" || host == "::1") return true;
  in_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

std::string BrokerAddress::text() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return name + ":" + std::to_string(port);
}

Result<BrokerAddress> parseServerReference(std::string_view reference, std::uint16_t port) {
  const auto bad = [] {
    return fail(Errc::kInvalid, "the broker names no usable server to go to");
  };
  reference.remove_prefix(std::min(reference.find_first_not_of(' '), reference.size()));
  reference = reference.substr(0, reference.find(' '));
  BrokerAddress address;
  address.port = port;
  std::string_view number;
  bool has_port = false;
  if (reference.starts_with('[')) {
    const std::size_t close = reference.find(']');
    if (close == std::string_view::npos) return bad();
    address.host = reference.substr(1, close - 1);
    in6_addr numeric{};
    if (::inet_pton(AF_INET6, address.host.c_str(), &numeric) != 1) return bad();
    const std::string_view rest = reference.substr(close + 1);
    has_port = !rest.empty();
    if (has_port && rest.front() != ':') return bad();
    if (has_port) number = rest.substr(1);
  } else {
    const std::size_t colon = reference.find(':');
    address.host = reference.substr(0, colon);
    if (!isName(address.host)) return bad();
    has_port = colon != std::string_view::npos;
    if (has_port) number = reference.substr(colon + 1);
  }
  if (!has_port) return address;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc() || end != number.data() + number.size() || value == 0 || value > 65535)
    return bad();
  address.port = static_cast<std::uint16_t>(value);
  return address;
}

}  // namespace kante
