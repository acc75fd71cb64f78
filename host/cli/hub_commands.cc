#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/value.hpp>
#include <cstdio>

#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/cli/host_command.h"
#include "host/cli/json_view.h"
#include "host/cli/output.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

// "module/filter" keeps its slash: the API takes it either way, and people read it so.
std::string principalPath(const std::string& principal) {
  std::string out;
  for (std::size_t at = 0; at <= principal.size();) {
    const std::size_t end = std::min(principal.find('/', at), principal.size());
    out += (out.empty() ? "" : "/") + percentEncode(principal.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

void printTwin(const json::value& twin) {
  for (const char* section : {"desired", "reported"}) {
    std::printf("%s %s\n", paint(Colour::kBold, section).c_str(),
                prettyJson(member(twin, section)).c_str());
  }
}

Result<int> showTwin(const HostOptions& options, const std::string& body) {
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(twin, parseReply(body));
  printTwin(twin);
  return 0;
}

Result<int> invoke(const HostOptions& options, const std::string& principal,
                   const std::string& method, const std::string& payload, double timeout_s) {
  KANTE_TRY(client, options.connect());
  const int timeout_ms = static_cast<int>(timeout_s * 1000);
  const std::string target = "/v1/methods/" + principalPath(principal) + "/" +
                             percentEncode(method) + "?timeout_ms=" + std::to_string(timeout_ms);
  KANTE_TRY(body, client.send("POST", target, payload, "application/json",
                              timeout_ms + Client::kTimeoutMs));
  KANTE_TRY(reply, parseReply(body));
  const std::uint64_t status = number(reply, "status");
  const bool done = status >= 200 && status <= 299;
  if (options.json) {
    printJson(body);
  } else {
    printJson(prettyJson(member(reply, "payload")));
    if (!done) std::fprintf(stderr, "kante invoke: status %s\n", std::to_string(status).c_str());
  }
  return done ? 0 : 1;
}

Result<int> routeList(const HostOptions& options) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body, client.get("/v1/routes"));
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(routes, parseReply(body));
  Table table(
      {{"ROUTE"}, {"MESSAGES", Table::Align::kRight}, {"DROPPED", Table::Align::kRight}, {""}});
  if (!routes.is_array()) return 0;
  for (const json::value& route : routes.as_array()) {
    table.add({printable(textOf(route, "name")), formatCount(real(route, "messages")),
               formatCount(real(route, "dropped")), printable(textOf(route, "route"))});
  }
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

}  // namespace

void addTwinCommands(CLI::App& app, Context& context) {
  CLI::App* twin = app.add_subcommand("twin", "Desired and reported properties");
  twin->require_subcommand(1);
  const auto principal = std::make_shared<std::string>();
  const auto patch = std::make_shared<std::string>();
  CLI::App* get =
      addHostCommand(*twin, context, "get", "Show both sections", Prints::kData,
                     [principal](const HostOptions& options) -> Result<int> {
                       KANTE_TRY(client, options.connect());
                       KANTE_TRY(body, client.get("/v1/twins/" + principalPath(*principal)));
                       return showTwin(options, body);
                     });
  get->add_option("PRINCIPAL", *principal, "module/NAME or device/ID")->required();
  CLI::App* change = addHostCommand(
      *twin, context, "patch", "Merge a JSON patch into the desired properties", Prints::kData,
      [principal, patch](const HostOptions& options) -> Result<int> {
        KANTE_TRY(client, options.connect());
        KANTE_TRY(body, client.send("PATCH", "/v1/twins/" + principalPath(*principal), *patch,
                                    "application/merge-patch+json"));
        return showTwin(options, body);
      });
  change->add_option("PRINCIPAL", *principal, "module/NAME or device/ID")->required();
  change->add_option("JSON", *patch, "Merge patch; null removes a member")->required();
}

void addInvokeCommand(CLI::App& app, Context& context) {
  struct InvokeOptions {
    std::string principal, method, payload;
    double timeout_s = 30;
  };
  const auto what = std::make_shared<InvokeOptions>();
  CLI::App* command = addHostCommand(
      app, context, "invoke", "Call a direct method; done for a status of 200 to 299",
      Prints::kData, [what](const HostOptions& options) {
        return invoke(options, what->principal, what->method, what->payload, what->timeout_s);
      });
  command->add_option("PRINCIPAL", what->principal, "module/NAME or device/ID")->required();
  command->add_option("METHOD", what->method, "Name of the method")->required();
  command->add_option("JSON", what->payload, "Arguments");
  command->add_option("--timeout", what->timeout_s, "Seconds to wait for the answer")
      ->check(CLI::Range(0.001, 300.0))
      ->capture_default_str();
}

void addSendCommand(CLI::App& app, Context& context) {
  struct SendOptions {
    std::string device, body, content_type, message_id;
    std::vector<std::string> properties;
    std::uint32_t ttl_s = 0;
  };
  const auto what = std::make_shared<SendOptions>();
  CLI::App* command = addHostCommand(
      app, context, "send", "Send a message to a device, which waits for it if need be",
      Prints::kNothing, [what](const HostOptions& options) -> Result<int> {
        json::object properties;
        for (const std::string& one : what->properties) {
          const std::size_t equals = one.find('=');
          properties[one.substr(0, equals)] = one.substr(equals + 1);
        }
        json::object message{{"body", what->body}, {"properties", std::move(properties)}};
        if (!what->content_type.empty()) message["content_type"] = what->content_type;
        if (!what->message_id.empty()) message["message_id"] = what->message_id;
        if (what->ttl_s != 0) message["ttl_s"] = what->ttl_s;
        KANTE_TRY(client, options.connect());
        KANTE_TRY(body, client.send("POST", "/v1/messages/" + principalPath(what->device),
                                    writeJson(message), "application/json"));
        return 0;
      });
  command->add_option("DEVICE", what->device, "device/ID")->required();
  command->add_option("BODY", what->body, "What it says")->required();
  command->add_option("--property", what->properties, "NAME=VALUE; more than once")
      ->check([](const std::string& given) {
        const std::size_t equals = given.find('=');
        const bool is_pair = equals != std::string::npos && equals != 0;
        return is_pair ? std::string() : given + " is no NAME=VALUE";
      });
  command->add_option("--content-type", what->content_type, "Such as application/json");
  command->add_option("--message-id", what->message_id, "For whoever wants to recognise it");
  command->add_option("--ttl", what->ttl_s, "Seconds that it waits at most; 3600");
}

void addRouteCommands(CLI::App& app, Context& context) {
  CLI::App* route = app.add_subcommand("route", "Routes between modules and the uplink");
  route->require_subcommand(1);
  addHostCommand(*route, context, "list", "The routes of the running host and what they carried",
                 Prints::kData, routeList);
  addRouteTestCommand(*route, context);
}

}  // namespace kante::cli
