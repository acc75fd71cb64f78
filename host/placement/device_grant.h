// What a module may have opened outside of the gateway's own: files, devices, peers, ports.
//
// The manifest asks by kind and target, the deployment grants by the same words, and what a module
// opens has to be covered by both.  A path covers itself and all below it; in HOST:PORT either part
// may be "*".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kante {

enum class DeviceKind : std::uint8_t { kRead, kWrite, kSpace, kDevice, kTcp, kUdp, kListen };

// As permissions and grants name them: "files.read", "files.write", "files.space", "devices",
// "tcp", "udp", "listen".
const char* name(DeviceKind kind);
bool isPath(DeviceKind kind);

struct DeviceGrant {
  DeviceKind kind = DeviceKind::kRead;
  std::string target;  // "/var/log", "10.0.0.5:502", "*:502", "[::1]:1883"
  friend bool operator==(const DeviceGrant&, const DeviceGrant&) = default;
};

// What is wrong with a target of this kind, as a sentence without a subject; empty: nothing.
// Absolute paths without "." and ".." components, or HOST:PORT.
std::string targetFault(DeviceKind kind, std::string_view target);
bool covers(const DeviceGrant& wide, const DeviceGrant& narrow);

// What a module wants to open, in the words of kante.device/1.
struct DeviceWish {
  enum class How : std::uint8_t {
    kRead,
    kWrite,
    kAppend,
    kList,
    kSpace,
    kDevice,
    kTcp,
    kUdp,
    kListen
  };
  How how = How::kRead;
  DeviceGrant grant;  // What it takes.
  std::string host;   // Of peers and ports, without brackets.
  std::uint16_t port = 0;
  std::uint32_t baud = 0;  // Of a serial line; 0: left as it is.
  char parity = 'n';       // n e o
  std::uint8_t stop_bits = 1;
};
// Nothing, and why in `fault`.
std::optional<DeviceWish> parseDeviceWish(std::string_view what, std::string& fault);

}  // namespace kante
