#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json/value.hpp>
#include <cstdio>

#include "host/base/clock.h"
#include "host/base/fd.h"
#include "host/cli/command.h"
#include "host/cli/host_command.h"
#include "host/cli/json_view.h"
#include "host/cli/out_file.h"
#include "host/cli/output.h"
#include "host/cli/support_files.h"

namespace kante::cli {
namespace {

constexpr int kTimeoutMs = 60'000;
constexpr const char* kSystemConfig = "/etc/kante/gateway.toml";
constexpr const char* kHead =
    "Support bundle of a Kante gateway whose host does not run, or does not answer (about.json "
    "says "
    "which): only what can be seen\nwithout it. Secrets are replaced by ***, as far as their names "
    "and "
    "forms tell; look through it before you pass it on.\n";

// Nobody else reads it, and it is there whole or not at all.
Status save(const std::string& file, const std::string& bytes) {
  const std::string part = file + ".part";
  ::unlink(part.c_str());
  const FileDescriptor fd(
      ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return failErrno(part);
  Status written = writeAll(fd.get(), bytes);
  if (written && ::rename(part.c_str(), file.c_str()) != 0) written = failErrno(file);
  if (!written) ::unlink(part.c_str());
  return written;
}

std::string defaultName(const std::string& gateway) {
  std::string time = formatUtc(SystemClock().wallNs()).substr(0, 19);
  std::erase_if(time, [](char c) { return c == ':' || c == '-'; });
  return "kante-support-" + gateway + "-" + time + ".tar.zst";
}

// `gateway` becomes what the host calls itself.
Result<std::string> fromHost(const HostOptions& options, const SupportFile& checks,
                             std::string& gateway) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(bundle,
            client.send("POST", "/v1/support-bundle", checks.text, "application/json", kTimeoutMs));
  // A bundle under another name is better than none.
  const auto status = client.get("/v1/status");
  const auto said = status ? parseReply(*status) : Result<boost::json::value>(status.error());
  if (said) gateway = textOf(*said, "gateway");
  return bundle;
}

Result<int> make(const HostOptions& options, std::string file) {
  CheckResults results;
  const Config config = configToCheck(options.config, results);
  const auto socket = options.socketPath();
  checkAll(config, socket ? *socket : config.api.socket, results);
  const SupportFile checks = checkFile(results);
  std::string gateway = config.set_at.contains("gateway.id") ? config.gateway.id : "gateway";
  auto bundle = fromHost(options, checks, gateway);
  if (!bundle) {
    std::fprintf(stderr, "%s: what only the host knows is not in it (status, deployment, logs)\n",
                 printable(bundle.error().text).c_str());
    const std::string from = options.config.empty() ? kSystemConfig : options.config;
    bundle = packSupport(
        {config, {aboutFile(gateway, bundle.error().text), checks, configFile(from)}}, kHead);
  }
  if (!bundle) return bundle.error();
  if (file.empty()) file = defaultName(gateway);
  KANTE_CHECK(save(file, *bundle));
  std::fprintf(stderr, "%s, %s: look through it before you pass it on (tar --zstd -xf)\n",
               file.c_str(), formatBytes(static_cast<double>(bundle->size())).c_str());
  return 0;
}

}  // namespace

void addSupportCommand(CLI::App& app, Context& context) {
  const auto file = std::make_shared<std::string>();
  CLI::App* command = addHostCommand(
      app, context, "support-bundle",
      "All that helps to find out what is wrong, without secrets, as one tar.zst", Prints::kNothing,
      [file](const HostOptions& options) { return make(options, *file); });
  command->add_option("-o,--output", *file, "File [kante-support-GATEWAY-TIME.tar.zst]")
      ->check(notAnOutputFile);
}

}  // namespace kante::cli
