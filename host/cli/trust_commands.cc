// kante trust …: whom the gateway believes, and by which document.
#include <CLI/CLI.hpp>
#include <boost/json/value.hpp>
#include <cstdio>

#include "host/cli/host_command.h"
#include "host/cli/json_view.h"
#include "host/cli/output.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

std::string fromText(const json::value& kind) {
  if (textOf(kind, "from") == "file") return "as [trust] says";
  return "by document " + textOf(kind, "counter") + " of " + textOf(kind, "who") + ", " +
         textOf(kind, "taken");
}

void printTrust(const json::value& trust) {
  for (const char* name : {"signers", "deployers", "roots", "revoked"}) {
    const json::value& kind = member(trust, name);
    const json::value& all = member(kind, "certificates");
    std::printf("%s  %s\n", paint(Colour::kBold, name).c_str(), printable(fromText(kind)).c_str());
    if (!all.is_array() || all.as_array().empty()) {
      std::puts("  nobody");
      continue;
    }
    for (const json::value& one : all.as_array()) {
      std::printf("  %s\n", printable(textOf(one, "subject")).c_str());
      if (const std::string digest = textOf(one, "sha256"); !digest.empty())
        std::printf("    sha256 %s, until %s\n", digest.c_str(),
                    printable(textOf(one, "not_after")).c_str());
    }
  }
  const json::value& heirs = member(member(trust, "heirs"), "of");
  if (!heirs.is_object() || heirs.as_object().empty()) return;
  std::printf("%s  %s\n", paint(Colour::kBold, "heirs").c_str(),
              printable(fromText(member(trust, "heirs"))).c_str());
  for (const auto& each : heirs.as_object())
    std::printf("  %s → %s\n", printable(std::string(each.key())).c_str(),
                printable(asText(each.value())).c_str());
}

Result<int> shown(const HostOptions& options, const std::string& body) {
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(trust, parseReply(body));
  printTrust(trust);
  return 0;
}

}  // namespace

void addTrustCommands(CLI::App& app, Context& context) {
  CLI::App* trust = app.add_subcommand("trust", "Whom the gateway believes");
  trust->require_subcommand(1);
  addHostCommand(*trust, context, "show", "Signers, deployers, roots, and where they are from",
                 Prints::kData, [](const HostOptions& options) -> Result<int> {
                   KANTE_TRY(client, options.connect());
                   KANTE_TRY(body, client.get("/v1/trust"));
                   return shown(options, body);
                 });
  addHostCommand(*trust, context, "reset",
                 "Believe whom the files of [trust] name again, whatever documents said",
                 Prints::kData, [](const HostOptions& options) -> Result<int> {
                   KANTE_TRY(client, options.connect());
                   KANTE_TRY(body, client.send("POST", "/v1/trust/reset", ""));
                   return shown(options, body);
                 });
}

}  // namespace kante::cli
