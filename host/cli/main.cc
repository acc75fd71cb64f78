// `kante`: one command for the gateway, its operators and the authors of modules.
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <system_error>

#include "host/base/encoding.h"
#include "host/base/log.h"
#include "host/cli/command.h"
#include "host/cli/output.h"

namespace kante::cli {

int reportFailure(const std::string& command, const Error& error) {
  const bool colour = colouredErrors();
  std::string text = error.text;  // May quote a file that nobody vouches for: no escape sequences.
  for (char& c : text) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f) c = '?';
  }
  std::fprintf(stderr, "%s%skante %s: %s%s\n", isJournal(STDERR_FILENO) ? "<3>" : "",
               colour ? "\x1b[31m" : "", command.c_str(), text.c_str(), colour ? "\x1b[0m" : "");
  return 1;
}

namespace {

// Each family is built only when it is the one that was called, or when help lists them all.
struct Family {
  std::string_view name;
  void (*add)(CLI::App& app, Context& context);
};
constexpr Family kFamilies[] = {
    {"demo", addDemoCommand},
    {"run", addRunCommand},
    {"check", addCheckCommand},
    {"status", addStatusCommand},
    {"top", addTopCommand},
    {"events", addEventsCommand},
    {"module", addModuleCommands},
    {"deploy", addDeployCommands},
    {"route", addRouteCommands},
    {"twin", addTwinCommands},
    {"invoke", addInvokeCommand},
    {"send", addSendCommand},
    {"queue", addQueueCommands},
    {"device", addDeviceCommands},
    {"identity", addIdentityCommands},
    {"key", addKeyCommands},
    {"bundle", addBundleCommands},
    {"host", addUpdateCommands},
    {"fleet", addFleetCommands},
    {"trust", addTrustCommands},
    {"secret", addSecretCommands},
    {"support-bundle", addSupportCommand},
};

void addFamilies(std::string_view called, CLI::App& app, Context& context) {
  for (const Family& family : kFamilies) {
    if (family.name == called) return family.add(app, context);
  }
  for (const Family& family : kFamilies) family.add(app, context);
}

// A descriptor that whoever started this left closed would be taken by the first file that is
// opened, and what is said would go into that.  Stdout stays one that nothing can be written to.
void keepStandardDescriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    (void)::open("/dev/null", (fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
  }
}

// CLI11 says of a command that is not there only that one is missing.  Whether it was that.
bool saidUnknown(const CLI::App& app) {
  const CLI::App* at = &app;
  std::string called = app.get_name();
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    called += " " + at->get_name();
  }
  const auto rest = at->remaining();
  if (at->get_require_subcommand_min() == 0 || rest.empty() || rest.front().starts_with('-'))
    return false;
  std::vector<std::string> known;
  for (const CLI::App* one : at->get_subcommands([](const CLI::App*) { return true; }))
    known.push_back(one->get_name());
  const std::string near = nearest(rest.front(), known);
  std::fprintf(stderr, "%s: there is no command \"%s\"%s\nRun with --help for more information.\n",
               called.c_str(), printable(rest.front()).c_str(),
               near.empty() ? "" : ("; did you mean \"" + near + "\"?").c_str());
  return true;
}

// What was printed and went nowhere is not done.
int printed(int exit_code) {
  const bool lost = std::ferror(stdout) != 0;
  errno = 0;
  if (std::fflush(stdout) == 0 && !lost) return exit_code;
  const int failed = exit_code == 0 ? 1 : exit_code;
  if (errno == EPIPE) return failed;  // Whoever read has seen enough.
  std::fprintf(stderr, "kante: standard output: %s\n",
               errno == 0 ? "not all of it could be written" : std::strerror(errno));
  return failed;
}

int run(int argc, char** argv) {
  Context context;
  context.program = argc > 0 ? argv[0] : "kante";
  context.arguments.assign(argv, argv + argc);
  CLI::App app{"Kante: an edge runtime in one small native process", "kante"};
  app.set_version_flag("--version", KANTE_VERSION);
  app.require_subcommand(1);
  addFamilies(argc > 1 ? argv[1] : "", app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::RequiredError& error) {
    if (!saidUnknown(app)) app.exit(error);
    return 2;
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    return 2;
  } catch (const std::system_error& error) {  // Of fmt::print, when stdout takes no more.
    return reportFailure(argc > 1 ? argv[1] : "", fail(Errc::kIo, error.what()));
  }
  return context.exit_code;
}

}  // namespace
}  // namespace kante::cli

int main(int argc, char** argv) {
  kante::cli::keepStandardDescriptors();
  return kante::cli::printed(kante::cli::run(argc, argv));
}
