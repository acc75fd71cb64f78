#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json/value.hpp>
#include <cstdio>

#include "host/base/encoding.h"
#include "host/cli/host_command.h"
#include "host/cli/json_view.h"
#include "host/cli/output.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kBodyShown = 200;  // Characters.

Result<int> list(const HostOptions& options) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body, client.get("/v1/queues"));
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(queues, parseReply(body));
  using enum Table::Align;
  Table table({{"QUEUE"}, {"MESSAGES", kRight}, {"BYTES", kRight}, {"OLDEST", kRight}, {""}});
  if (!queues.is_array()) return 0;
  for (const json::value& queue : queues.as_array()) {
    const bool empty = number(queue, "messages") == 0;
    table.add({printable(textOf(queue, "name")), textOf(queue, "messages"),
               formatBytes(real(queue, "bytes")), empty ? "" : formatAge(real(queue, "oldest_s")),
               textOf(queue, "detached") == "true" ? "detached" : ""});
  }
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

void printMessage(const json::value& message) {
  std::printf("%s  %s  %s%s\n", paint(Colour::kBold, textOf(message, "id")).c_str(),
              textOf(message, "enqueued").c_str(), printable(textOf(message, "source")).c_str(),
              fmt::format(", attempts {}", textOf(message, "attempts")).c_str());
  if (const std::string reason = textOf(message, "reason"); !reason.empty()) {
    const std::string origin = textOf(message, "origin");
    const std::string from = origin.empty() ? "" : "from " + origin + ": ";
    std::printf("  %s\n", paint(Colour::kYellow, printable(from + reason)).c_str());
  }
  const json::value& properties = member(message, "properties");
  if (properties.is_object()) {
    for (const auto& property : properties.as_object()) {
      std::printf("  %s = %s\n", printable(std::string(property.key())).c_str(),
                  printable(asText(property.value())).c_str());
    }
  }
  const auto body = fromBase64(textOf(message, "body_base64"));
  if (!body) return;
  const std::string shown = isUtf8(*body) ? printable(*body) : toHex(*body);
  std::printf("  %s\n", cut(shown, kBodyShown).c_str());
}

Result<int> inspect(const HostOptions& options, const std::string& queue, std::uint32_t most) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body,
            client.get("/v1/queues/" + percentEncode(queue) + "?max=" + std::to_string(most)));
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(messages, parseReply(body));
  if (!messages.is_array()) return 0;
  for (const json::value& message : messages.as_array()) printMessage(message);
  return 0;
}

Result<int> purge(const HostOptions& options, const std::string& queue) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body, client.send("DELETE", "/v1/queues/" + percentEncode(queue), {}));
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(reply, parseReply(body));
  const std::string purged = textOf(reply, "purged");
  std::fprintf(stderr, "%s message%s removed from %s\n", purged.c_str(), purged == "1" ? "" : "s",
               queue.c_str());
  return 0;
}

Result<int> requeue(const HostOptions& options, const std::string& queue, const std::string& id) {
  if (queue != "quarantine") {
    std::fprintf(stderr, "kante: only messages in quarantine can be put back, not those in %s\n",
                 printable(queue).c_str());
    return 2;
  }
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body, client.send("POST", "/v1/queues/quarantine/requeue/" + percentEncode(id), {}));
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(reply, parseReply(body));
  std::fprintf(stderr, "message put back into %s\n", printable(textOf(reply, "queue")).c_str());
  return 0;
}

}  // namespace

void addQueueCommands(CLI::App& app, Context& context) {
  CLI::App* queue = app.add_subcommand("queue", "Messages that wait on disk");
  queue->require_subcommand(1);
  addHostCommand(*queue, context, "list", "Queues with what waits in them", Prints::kData, list);

  struct QueueOptions {
    std::string name;
    std::string id;
    std::uint32_t most = 20;
  };
  const auto what = std::make_shared<QueueOptions>();
  CLI::App* look = addHostCommand(
      *queue, context, "inspect", "Show the messages that are next", Prints::kData,
      [what](const HostOptions& options) { return inspect(options, what->name, what->most); });
  look->add_option("NAME", what->name, "upstream, module/NAME/INPUT, quarantine, …")->required();
  look->add_option("-n,--max", what->most, "At most so many")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  CLI::App* clear = addHostCommand(
      *queue, context, "purge", "Remove everything that has no number yet", Prints::kData,
      [what](const HostOptions& options) { return purge(options, what->name); });
  clear->add_option("NAME", what->name, "Queue")->required();
  CLI::App* again = addHostCommand(
      *queue, context, "requeue", "Put a quarantined message back into the queue it came from",
      Prints::kData,
      [what](const HostOptions& options) { return requeue(options, what->name, what->id); });
  again->add_option("NAME", what->name, "quarantine")->required();
  again->add_option("ID", what->id, "The message, as kante queue inspect quarantine shows it")
      ->required();
}

}  // namespace kante::cli
