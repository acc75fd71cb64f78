#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <cstdio>
#include <thread>

#include "host/base/fd.h"
#include "host/base/json.h"
#include "host/cli/host_command.h"
#include "host/cli/in_file.h"
#include "host/cli/json_view.h"
#include "host/cli/output.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

constexpr std::chrono::milliseconds kLook{100};
constexpr std::chrono::seconds kBeyondDeadline{60};  // For either version to start.

struct Update {
  std::string file;
  int deadline_s = 90;
  bool rebind = false;
  bool no_wait = false;
};

// What it says of this bundle in the end: the host that answers changes meanwhile.
Result<std::string> outcome(const HostOptions& options, const std::string& digest, int deadline_s) {
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::seconds(deadline_s) + kBeyondDeadline;
  while (std::chrono::steady_clock::now() < until) {
    auto client = options.connect();
    const auto body = client ? client->get("/v1/status") : Result<std::string>(client.error());
    if (body) {
      KANTE_TRY(status, parseReply(*body));
      const json::value& host = member(status, "host");
      const json::value& update = member(host, "update");
      const bool is_ours = textOf(update, "digest") == digest;
      if (is_ours && textOf(update, "state") == "failed")
        return fail(Errc::kState, "version " + textOf(update, "version") +
                                      " was taken back: " + textOf(update, "reason"));
      if (is_ours && textOf(update, "state") == "committed") return writeJson(host);
      // Started again since: it says nothing of an update any more.
      if (!is_ours && textOf(host, "digest") == digest) return writeJson(host);
    }
    std::this_thread::sleep_for(kLook);
  }
  return fail(Errc::kTimeout,
              "no host says what became of it; once one answers, kante status does");
}

Result<int> update(const HostOptions& options, const Update& what) {
  KANTE_TRY(file, openInFile(what.file));
  KANTE_TRY(client, options.connect());
  const auto begun = client.upload(
      fmt::format("/v1/host?deadline_s={}{}", what.deadline_s, what.rebind ? "&rebind=1" : ""),
      file.get(), [](std::uint64_t, std::uint64_t) {});
  if (!begun) return within(what.file, begun.error());
  KANTE_TRY(reply, parseReply(*begun));
  const json::value& trial = member(reply, "update");
  const std::string version = textOf(trial, "version");
  std::fprintf(stderr,
               "version %s is tried, and taken back unless all that runs now runs again "
               "within %d s\n",
               printable(version).c_str(), what.deadline_s);
  if (what.no_wait) {
    if (options.json) printJson(*begun);
    return 0;
  }
  KANTE_TRY(done, outcome(options, textOf(trial, "digest"), what.deadline_s));
  if (options.json) printJson(done);
  std::fprintf(stderr, "the host runs version %s\n", printable(version).c_str());
  return 0;
}

}  // namespace

void addUpdateCommands(CLI::App& app, Context& context) {
  CLI::App* host = app.add_subcommand("host", "The gateway's own programs");
  host->require_subcommand(1);
  const auto what = std::make_shared<Update>();
  CLI::App* command = addHostCommand(
      *host, context, "update", "Try another version of the host, from a bundle of kind host",
      Prints::kData, [what](const HostOptions& options) { return update(options, *what); });
  command->add_option("FILE", what->file, "Bundle (*.kmod)")->required();
  command->add_option("--deadline", what->deadline_s, "Seconds for it to become healthy")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  command->add_flag("--rebind", what->rebind, "Let its id come from another signer's CA");
  command->add_flag("--no-wait", what->no_wait, "Do not wait until it is committed or taken back");
}

}  // namespace kante::cli
