#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <memory>

#include "host/base/encoding.h"
#include "host/base/fd.h"
#include "host/cli/command.h"
#include "host/route/explain.h"
#include "host/route/route_set.h"
#include "host/route/sample_message.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

struct TestOptions {
  std::string route;
  std::string message;
  bool json = false;
};

// Programs get JSON; a person at a terminal gets words.
bool wantsJson(const TestOptions& options) { return options.json || ::isatty(STDOUT_FILENO) == 0; }

void print(const json::value& value) { std::printf("%s\n", json::serialize(value).c_str()); }

int reportRouteError(const TestOptions& options, const RouteError& error) {
  if (wantsJson(options)) print({{"error", error.text}, {"position", error.position}});
  if (options.json) return 1;
  const std::string where = "character " + std::to_string(error.position) + ": " + error.text;
  if (isUtf8(options.route)) {
    return reportFailure("route test",
                         fail(Errc::kInvalid, where + "\n" + pointAt(options.route, error)));
  }
  return reportFailure("route test", fail(Errc::kInvalid, where));
}

void printWords(const ExplainResult& result) {
  std::printf("%s\n  because %s\n", name(result.outcome), result.because.c_str());
  for (const std::string& sink : result.sinks) std::printf("  into %s\n", sink.c_str());
}

int testRoute(const TestOptions& options) {
  // The route first: it is wrong whatever the message.
  if (const auto route = compileRoute(options.route); route.has_error()) {
    return reportRouteError(options, route.error());
  }
  const std::string file = options.message == "-" ? "/dev/stdin" : options.message;
  auto text = readFile(file, kSampleBytesMax);
  if (text.has_error()) return reportFailure("route test", text.error());
  auto message = SampleMessage::parse(*text);
  if (message.has_error())
    return reportFailure("route test", within(options.message, message.error()));
  const auto result = explainRoute(options.route, message->input());
  if (result.has_error()) return reportRouteError(options, result.error());
  if (!wantsJson(options)) {
    printWords(*result);
    return 0;
  }
  print({{"result", name(result->outcome)},
         {"sinks", json::array(result->sinks.begin(), result->sinks.end())},
         {"because", result->because}});
  return 0;
}

}  // namespace

void addRouteTestCommand(CLI::App& route, Context& context) {
  auto options = std::make_shared<TestOptions>();
  CLI::App* test =
      route.add_subcommand("test", "Say whether a message takes a route, and why; needs no host");
  test->add_option("route", options->route,
                   "The route, as in a deployment: 'FROM … WHERE … INTO …'")
      ->required();
  test->add_option("--message", options->message,
                   "JSON file: {\"source\", \"properties\", \"system\", \"content_type\", "
                   "\"body\"}; - for stdin")
      ->required();
  test->add_flag("--json", options->json, "JSON even on a terminal");
  test->callback([options, &context] { context.exit_code = testRoute(*options); });
}

}  // namespace kante::cli
