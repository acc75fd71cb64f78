#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <optional>

#include "host/cli/host_command.h"
#include "host/cli/json_view.h"
#include "host/cli/line_reader.h"
#include "host/cli/output.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

void printEvent(const json::value& event) {
  const std::string level = textOf(event, "level");
  const Colour colour = level == "error"  ? Colour::kRed
                        : level == "warn" ? Colour::kYellow
                                          : Colour::kPlain;
  std::printf("%s  %s  %s  %s\n", paint(Colour::kDim, textOf(event, "time")).c_str(),
              paint(colour, fmt::format("{:<22}", textOf(event, "kind"))).c_str(),
              fmt::format("{:<16}", printable(textOf(event, "subject"))).c_str(),
              printable(textOf(event, "text")).c_str());
}

// "data: {…}" of a server-sent event; everything else is for readers that reconnect.
void printLine(std::string_view line, Output output) {
  static constexpr std::string_view kData = "data: ";
  if (!line.starts_with(kData)) return;
  line.remove_prefix(kData.size());
  if (output == Output::kJson) return printJson(std::string(line));
  boost::system::error_code failed;
  const json::value event = json::parse({line.data(), line.size()}, failed);
  if (!failed) printEvent(event);
}

struct EventOptions {
  bool follow = false;
  std::uint32_t last = 0;
};

Result<int> events(const HostOptions& options, const EventOptions& what) {
  KANTE_TRY(client, options.connect());
  const std::string last = what.last > 0 ? "&last=" + std::to_string(what.last) : "";
  if (what.follow) {
    LineReader lines([&](std::string_view line) { printLine(line, options.output()); });
    const auto ended = client.follow("/v1/events?follow=1" + last, [&](std::string_view bytes) {
      lines.add(bytes);
      return std::fflush(stdout) == 0;
    });
    if (!ended) return ended.error();
    return 0;
  }
  KANTE_TRY(body, client.get("/v1/events?follow=0" + last));
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(all, parseReply(body));
  if (!all.is_array()) return 0;
  for (const json::value& event : all.as_array()) printEvent(event);
  return 0;
}

}  // namespace

void addEventsCommand(CLI::App& app, Context& context) {
  const auto what = std::make_shared<EventOptions>();
  CLI::App* command = addHostCommand(
      app, context, "events", "What happened: modules, deployments, uplink, drops", Prints::kData,
      [what](const HostOptions& options) { return events(options, *what); });
  command->add_flag("-f,--follow", what->follow, "Go on with what comes");
  command->add_option("-n,--last", what->last, "Only the last ones (all that are kept: 1000)");
}

}  // namespace kante::cli
