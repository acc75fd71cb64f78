#include "host/cli/gateway_commands.h"

#include <algorithm>
#include <boost/json.hpp>

#include "host/api/endpoints.h"
#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/base/log.h"
#include "host/placement/module_host.h"
#include "host/support/redactor.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

constexpr JsonBounds kArguments{4096, 4};
constexpr int kOk = 200;
constexpr int kFailed = 500;
constexpr int kForbidden = 403;

std::string message(const std::string& text) { return writeJson(json::object{{"message", text}}); }

std::string textOf(const json::object& arguments, const char* name) {
  const json::value* value = arguments.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::uint64_t numberOf(const json::object& arguments, const char* name, std::uint64_t otherwise) {
  const json::value* value = arguments.if_contains(name);
  boost::system::error_code failed;
  const auto number = value != nullptr ? value->to_number<std::uint64_t>(failed) : otherwise;
  return failed ? otherwise : number;
}

bool mayCall(const std::string& caller) {
  return !caller.starts_with("module/") && !caller.starts_with("device/") &&
         !caller.starts_with("gateway/");
}

}  // namespace

GatewayCommands::GatewayCommands(Parts parts)
    : parts_(parts),
      started_ns_(parts.clock.bootNs()),
      support_({parts.control, parts.log, parts.router, parts.config, parts.secrets}),
      registration_(parts.methods.add(
          "gateway", [this](const MethodCall& one) { call(one); }, kAnswerBytesMax)) {
  addSupportEndpoint(parts.router, [this](std::string checks, auto done) {
    support_.make({std::move(checks)}, std::move(done));
  });
}

void GatewayCommands::call(const MethodCall& call) {
  const auto refuse = [&](int status, const std::string& why) {
    (void)parts_.methods.reply(call.id, status, message(why));
  };
  if (!mayCall(call.caller))
    return refuse(kForbidden, call.caller + " may not call methods of the gateway");
  const auto given = parseJson(call.payload, kArguments);
  const json::object arguments = given && given->is_object() ? given->get_object() : json::object();
  const std::string module = textOf(arguments, "module");
  if (call.name == "ping") {
    const std::int64_t up_ns = parts_.clock.bootNs() - started_ns_;
    (void)parts_.methods.reply(
        call.id, kOk,
        writeJson(json::object{{"version", KANTE_VERSION}, {"uptime_s", up_ns / 1'000'000'000}}));
  } else if (call.name == "support-bundle") {
    supportBundle(call.id);
  } else if (call.name != "restart" && call.name != "logs") {
    refuse(kMethodNotFound, "the gateway has no method " + call.name +
                                "; it has ping, restart, logs, support-bundle");
  } else if (module.empty()) {
    refuse(kMethodBadRequest, call.name + R"( needs {"module": NAME})");
  } else if (call.name == "restart") {
    restart(call.id, module);
  } else {
    logs(call.id, module, numberOf(arguments, "tail", kLogLinesDefault));
  }
}

void GatewayCommands::restart(std::uint64_t id, const std::string& module) {
  parts_.modules.restart(
      module, [this, id, module, alive = std::weak_ptr(alive_)](const Status& done) {
        if (alive.expired()) return;
        if (done) {
          (void)parts_.methods.reply(id, kOk, writeJson(json::object{{"module", module}}));
        } else {
          const bool missing = done.error().code == Errc::kNotFound;
          (void)parts_.methods.reply(id, missing ? kMethodNotFound : kFailed,
                                     message(done.error().text));
        }
      });
}

void GatewayCommands::logs(std::uint64_t id, const std::string& module, std::uint64_t tail) {
  const auto kept = parts_.log.kept("module/" + module);
  const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(tail, kept.size()));
  Redactor redactor;
  json::array lines;
  for (std::size_t i = kept.size() - most; i < kept.size(); ++i) {
    auto line = json::parse(formatJson(kept[i]));
    redactor.json(line);
    lines.push_back(std::move(line));
  }
  (void)parts_.methods.reply(id, kOk, writeJson(json::object{{"lines", std::move(lines)}}));
}

void GatewayCommands::supportBundle(std::uint64_t id) {
  support_.make({{}, kBundleBytesMax}, [this, id, alive = std::weak_ptr(alive_)](
                                           const Result<std::string>& bundle) {
    if (alive.expired()) return;
    if (!bundle) {
      (void)parts_.methods.reply(id, kMethodTooMany, message(bundle.error().text));
      return;
    }
    (void)parts_.methods.reply(
        id, kOk,
        writeJson(json::object{{"format", "tar.zst"}, {"data_base64", toBase64(*bundle)}}));
  });
}

}  // namespace kante::cli
