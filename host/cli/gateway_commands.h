// Direct methods of the gateway itself (principal "gateway"), for who manages it from afar:
//
//   ping            {"version", "uptime_s"}
//   restart         {"module": NAME}: ends it and starts it again
//   logs            {"module": NAME, "tail": n}: its last lines, secrets replaced
//   support-bundle  {"format": "tar.zst", "data_base64": …}
//
// Modules and devices may call none of them, whatever they are granted.  Control thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "host/cli/gateway_support.h"
#include "host/hub/methods.h"

namespace kante {
class Clock;
class ModuleHost;
}  // namespace kante

namespace kante::cli {

class GatewayCommands {
 public:
  static constexpr std::size_t kBundleBytesMax = 4u << 20;  // Before it is packed.
  static constexpr std::size_t kAnswerBytesMax = 8u << 20;
  static constexpr std::uint64_t kLogLinesDefault = 100;

  // All borrowed; they outlive it.
  struct Parts {
    boost::asio::io_context& control;
    const Log& log;
    const Clock& clock;
    const Config& config;
    Router& router;  // Which it asks, and to which it adds the support bundle.
    Methods& methods;
    ModuleHost& modules;
    std::function<std::vector<std::string>()> secrets;
  };
  explicit GatewayCommands(Parts parts);

 private:
  void call(const MethodCall& call);
  void restart(std::uint64_t id, const std::string& module);
  void logs(std::uint64_t id, const std::string& module, std::uint64_t tail);
  void supportBundle(std::uint64_t id);

  const Parts parts_;
  const std::int64_t started_ns_;
  GatewaySupport support_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>();  // What comes late sees it gone.
  Methods::Registration registration_;
};

}  // namespace kante::cli
