#include "host/placement/device_grant.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace kante {
namespace {

constexpr std::size_t kPathBytesMax = 1024;
constexpr std::size_t kHostBytesMax = 255;

struct HostPort {
  std::string_view host;  // Without brackets; "*": any.
  std::string_view port;
};

std::optional<HostPort> split(std::string_view target) {
  if (target.starts_with('[')) {
    const std::size_t end = target.find("]:");
    if (end == std::string_view::npos) return std::nullopt;
    return HostPort{target.substr(1, end - 1), target.substr(end + 2)};
  }
  const std::size_t colon = target.rfind(':');
  if (colon == std::string_view::npos || target.find(':') != colon) return std::nullopt;
  return HostPort{target.substr(0, colon), target.substr(colon + 1)};
}

std::optional<std::uint16_t> portOf(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

std::string pathFault(std::string_view path) {
  if (!path.starts_with('/')) return "is no absolute path";
  if (path.size() > kPathBytesMax) return "is longer than 1,024 bytes";
  if (path.find('\0') != std::string_view::npos) return "has a NUL in it";
  std::size_t from = 1;
  while (from <= path.size()) {
    const std::size_t to = std::min(path.find('/', from), path.size());
    const std::string_view part = path.substr(from, to - from);
    if (part == "." || part == "..") return "has a \"" + std::string(part) + "\" in it";
    if (part.empty() && to < path.size()) return "has an empty part";
    from = to + 1;
  }
  return {};
}

bool isBeneath(std::string_view wide, std::string_view narrow) {
  if (wide.size() > 1 && wide.ends_with('/')) wide.remove_suffix(1);
  if (narrow.size() > 1 && narrow.ends_with('/')) narrow.remove_suffix(1);
  if (wide == "/" || wide == narrow) return true;
  return narrow.size() > wide.size() && narrow.starts_with(wide) && narrow[wide.size()] == '/';
}

// "?baud=19200&parity=even&stop=2"
bool parseLine(std::string_view query, DeviceWish& wish) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view one = query.substr(0, end);
    const std::size_t equals = one.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view key = one.substr(0, equals);
    const std::string_view value = one.substr(equals + 1);
    if (key == "baud") {
      const auto [at, error] =
          std::from_chars(value.data(), value.data() + value.size(), wish.baud);
      if (error != std::errc() || at != value.data() + value.size() || wish.baud == 0) return false;
    } else if (key == "parity" && (value == "none" || value == "even" || value == "odd")) {
      wish.parity = value[0];
    } else if (key == "stop" && (value == "1" || value == "2")) {
      wish.stop_bits = static_cast<std::uint8_t>(value[0] - '0');
    } else {
      return false;
    }
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return true;
}

struct Scheme {
  std::string_view name;
  DeviceWish::How how;
  DeviceKind kind;
};
constexpr std::array<Scheme, 9> kSchemes{
    {{"read", DeviceWish::How::kRead, DeviceKind::kRead},
     {"write", DeviceWish::How::kWrite, DeviceKind::kWrite},
     {"append", DeviceWish::How::kAppend, DeviceKind::kWrite},
     {"list", DeviceWish::How::kList, DeviceKind::kRead},
     {"space", DeviceWish::How::kSpace, DeviceKind::kSpace},
     {"device", DeviceWish::How::kDevice, DeviceKind::kDevice},
     {"tcp", DeviceWish::How::kTcp, DeviceKind::kTcp},
     {"udp", DeviceWish::How::kUdp, DeviceKind::kUdp},
     {"listen", DeviceWish::How::kListen, DeviceKind::kListen}}};

}  // namespace

const char* name(DeviceKind kind) {
  constexpr std::array kNames{"files.read", "files.write", "files.space", "devices",
                              "tcp",        "udp",         "listen"};
  return kNames[static_cast<std::size_t>(kind)];
}

bool isPath(DeviceKind kind) { return kind <= DeviceKind::kDevice; }

std::string targetFault(DeviceKind kind, std::string_view target) {
  if (isPath(kind)) return pathFault(target);
  const auto parts = split(target);
  if (!parts || parts->host.empty() || parts->host.size() > kHostBytesMax)
    return "is not HOST:PORT (an IPv6 address in brackets)";
  if (parts->port != "*" && !portOf(parts->port)) return "has no port from 1 to 65535, nor \"*\"";
  return {};
}

bool covers(const DeviceGrant& wide, const DeviceGrant& narrow) {
  if (wide.kind != narrow.kind) return false;
  if (isPath(wide.kind)) return isBeneath(wide.target, narrow.target);
  const auto a = split(wide.target);
  const auto b = split(narrow.target);
  return a && b && (a->host == "*" || a->host == b->host) && (a->port == "*" || a->port == b->port);
}

std::optional<DeviceWish> parseDeviceWish(std::string_view what, std::string& fault) {
  const std::size_t colon = what.find(':');
  const auto scheme = std::find_if(kSchemes.begin(), kSchemes.end(), [&](const Scheme& one) {
    return colon != std::string_view::npos && one.name == what.substr(0, colon);
  });
  if (scheme == kSchemes.end()) {
    fault = "begins with none of read: write: append: list: space: device: tcp: udp: listen:";
    return std::nullopt;
  }
  DeviceWish wish;
  wish.how = scheme->how;
  std::string_view target = what.substr(colon + 1);
  if (wish.how == DeviceWish::How::kDevice) {
    const std::size_t query = std::min(target.find('?'), target.size());
    if (query < target.size() && !parseLine(target.substr(query + 1), wish)) {
      fault = "has something else than baud=N, parity=none|even|odd, stop=1|2 behind its \"?\"";
      return std::nullopt;
    }
    target = target.substr(0, query);
  }
  fault = targetFault(scheme->kind, target);
  if (!fault.empty()) return std::nullopt;
  wish.grant = {scheme->kind, std::string(target)};
  if (isPath(scheme->kind)) return wish;
  const auto parts = split(target);
  const auto port = portOf(parts->port);
  if (parts->host == "*" || !port) {
    fault = "names no single peer or port";
    return std::nullopt;
  }
  wish.host = parts->host;
  wish.port = *port;
  return wish;
}

}  // namespace kante
