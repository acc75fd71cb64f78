#include <CLI/CLI.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdio>

#include "host/base/encoding.h"
#include "host/cli/host_command.h"
#include "host/cli/json_view.h"
#include "host/cli/line_reader.h"
#include "host/cli/output.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

constexpr int kActionTimeoutMs = 120'000;  // Longer than any module takes to stop and to start.

std::string moduleTarget(const std::string& module, const std::string& what) {
  return "/v1/modules/" + percentEncode(module) + "/" + what;
}

Result<int> list(const HostOptions& options) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body, client.get("/v1/modules"));
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(modules, parseReply(body));
  std::fputs(moduleTable(modules, Detail::kFull).c_str(), stdout);
  return 0;
}

// One line of a log as `kante run` shows it.
void printLine(std::string_view text, Output output) {
  if (text.empty()) return;
  if (output == Output::kJson) return printJson(std::string(text));
  boost::system::error_code failed;
  const auto line = json::parse({text.data(), text.size()}, failed);
  if (failed || !line.is_object()) return;
  if (line.as_object().contains("lost")) {
    std::fprintf(stderr, "… %s lines were too fast for this connection\n",
                 std::to_string(number(line, "lost")).c_str());
    return;
  }
  const std::string level = textOf(line, "level");
  const Colour colour = level == "error"  ? Colour::kRed
                        : level == "warn" ? Colour::kYellow
                                          : Colour::kPlain;
  std::string out = paint(Colour::kDim, textOf(line, "time")) + "  ";
  out += paint(colour, (level + "     ").substr(0, 5)) + "  " + printable(textOf(line, "text"));
  for (const auto& member : line.as_object()) {
    const std::string_view key(member.key().data(), member.key().size());
    if (key == "time" || key == "level" || key == "who" || key == "text") continue;
    out += "  " + std::string(key) + "=" + printable(asText(member.value()));
  }
  std::printf("%s\n", out.c_str());
}

Result<int> logs(const HostOptions& options, const std::string& module, Follow follow,
                 std::uint32_t tail) {
  KANTE_TRY(client, options.connect());
  std::string target = moduleTarget(module, "logs");
  target += follow == Follow::kYes ? "?follow=1" : "?follow=0";
  if (tail > 0) target += "&tail=" + std::to_string(tail);
  LineReader lines([&](std::string_view line) { printLine(line, options.output()); });
  const auto ended = client.follow(target, [&](std::string_view bytes) {
    lines.add(bytes);
    std::fflush(stdout);
    return true;
  });
  if (!ended) return ended.error();
  return 0;
}

Result<int> act(const HostOptions& options, const std::string& module, const std::string& verb) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body, client.send("POST", moduleTarget(module, verb), {}, "", kActionTimeoutMs));
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(reply, parseReply(body));
  std::fprintf(stderr, "%s is %s\n", module.c_str(), textOf(reply, "state").c_str());
  return 0;
}

struct Move {
  std::string module;
  std::string placement;
  bool reset = false;
};

Result<int> move(const HostOptions& options, const Move& where) {
  KANTE_TRY(client, options.connect());
  const json::object wanted =
      where.reset ? json::object{{"reset", true}} : json::object{{"placement", where.placement}};
  KANTE_TRY(body, client.send("POST", moduleTarget(where.module, "move"), json::serialize(wanted),
                              "application/json", kActionTimeoutMs));
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(reply, parseReply(body));
  std::fprintf(
      stderr, "%s is %s, %s\n", where.module.c_str(), textOf(reply, "state").c_str(),
      textOf(reply, "placement") == "sandbox" ? "in the sandbox" : "in the host's process");
  return 0;
}

void addMove(CLI::App& module, Context& context) {
  const auto where = std::make_shared<Move>();
  CLI::App* app = addHostCommand(
      module, context, "move",
      "Run a module elsewhere than its deployment says, its state carried over", Prints::kData,
      [where](const HostOptions& options) { return move(options, *where); });
  app->add_option("NAME", where->module, "Module")->required();
  CLI::Option* placement =
      app->add_option("PLACEMENT", where->placement, "in-process (you trust it) or sandbox")
          ->check(CLI::IsMember({"in-process", "sandbox"}));
  CLI::Option* reset =
      app->add_flag("--reset", where->reset, "Where the deployment says")->excludes(placement);
  app->parse_complete_callback([placement, reset] {
    if (placement->count() == 0 && reset->count() == 0)
      throw CLI::RequiredError("PLACEMENT or --reset");
  });
}

}  // namespace

void addModuleCommands(CLI::App& app, Context& context) {
  CLI::App* module = app.add_subcommand("module", "Modules: look, log, restart, make");
  module->require_subcommand(1);
  addModuleNewCommand(*module, context);
  addModuleCheckCommand(*module, context);
  addHostCommand(*module, context, "list", "The modules of the running host", Prints::kData, list);

  struct LogOptions {
    std::string module;
    bool follow = false;
    std::uint32_t tail = 0;
  };
  const auto log = std::make_shared<LogOptions>();
  CLI::App* logs_app = addHostCommand(
      *module, context, "logs", "What a module logged", Prints::kData,
      [log](const HostOptions& options) {
        return logs(options, log->module, log->follow ? Follow::kYes : Follow::kNo, log->tail);
      });
  logs_app->add_option("NAME", log->module, "Module")->required();
  logs_app->add_flag("-f,--follow", log->follow, "Go on with what comes");
  logs_app->add_option("-n,--tail", log->tail, "Only the last lines (all that are kept: 500)");

  addMove(*module, context);
  for (const auto& [verb, description] :
       {std::pair{"restart", "End a module and start it again"},
        {"stop", "End a module until it is started or deployed again"},
        {"start", "Start a module that was stopped or has failed"}}) {
    const auto name = std::make_shared<std::string>();
    const std::string verb_name = verb;
    CLI::App* action = addHostCommand(
        *module, context, verb_name, description, Prints::kData,
        [name, verb_name](const HostOptions& options) { return act(options, *name, verb_name); });
    action->add_option("NAME", *name, "Module")->required();
  }
}

}  // namespace kante::cli
