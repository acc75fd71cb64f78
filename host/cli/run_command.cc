#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "host/base/log.h"
#include "host/cli/command.h"
#include "host/cli/gateway.h"
#include "host/cli/host_versions.h"
#include "host/cli/kept.h"
#include "host/cli/memory.h"
#include "host/cli/next_life.h"
#include "host/cli/supervisor.h"

namespace kante::cli {
namespace {

namespace asio = boost::asio;

struct RunOptions {
  std::string config = "/etc/kante/gateway.toml";
  std::string deployment;
  std::string log_format;
  std::string log_level;
  bool no_keeper = false;
};

// Files are for this user alone, memory is not for debuggers, and descriptors are as many as
// allowed.
void secureProcess() {
  ::umask(077);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  ::prctl(PR_SET_DUMPABLE, 0);
#endif
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // A file size limit is a full disk: writes say so.
  ::signal(SIGHUP, SIG_IGN);
}

// Until the gateway is there to be stopped in order, a signal to stop is done by ending: nothing
// runs yet, and what is on disk is good at any moment.
void endBySignal() {
  for (const int number : {SIGTERM, SIGINT}) ::signal(number, [](int) { ::_exit(0); });
}

// While it is set the process may not end by exit().
std::atomic<bool> modules_run{false};

// A module that calls exit() would end the gateway as if that were in order: it is a crash, whose
// handler sees in which thread, and so by which module.
void forbidExit() {
  modules_run = true;
  std::atexit([] {
    if (modules_run) std::abort();
  });
}

LogLevel levelOf(const std::string& text) {
  for (const LogLevel level :
       {LogLevel::kTrace, LogLevel::kDebug, LogLevel::kWarn, LogLevel::kError}) {
    if (text == name(level)) return level;
  }
  return LogLevel::kInfo;
}

// From the first signal on the stop is orderly; a second one ends the process as it is.
class StopSignals {
 public:
  StopSignals(asio::io_context& control, Gateway& gateway, std::function<void()> stopped)
      : signals_(control, SIGTERM, SIGINT), gateway_(gateway), stopped_(std::move(stopped)) {}

  bool stopping() const { return stopping_; }

  void wait() {
    signals_.async_wait([this](const boost::system::error_code& failed, int signal_number) {
      if (failed) return;
      if (stopping_) ::_exit(128 + signal_number);
      stopping_ = true;
      notifySupervisor("STOPPING=1");
      gateway_.stop(stopped_);
      wait();
    });
  }

 private:
  asio::signal_set signals_;
  Gateway& gateway_;
  std::function<void()> stopped_;
  bool stopping_ = false;
};

Result<int> run(const RunOptions& options, const NextLife& next_life, Config config) {
  KANTE_CHECK(supported(config));
  Log log(options.log_format == "json" ? Log::Format::kJson : Log::Format::kText,
          options.log_level.empty() ? config.log.level : levelOf(options.log_level));
  asio::io_context control(1);
  const std::string gateway_id = config.gateway.id;
  const std::string socket = config.api.socket;
  bool goes_on = false;
  Gateway::Options parts;
  parts.config = std::move(config);
  parts.log_level_given = !options.log_level.empty();
  parts.deployment_file = options.deployment;
  parts.next_life = [&] {
    goes_on = true;
    control.stop();
  };
  int exit_code = 0;
  endBySignal();
  if (isKept())
    parts.end = [&](int code) {
      exit_code = code;
      control.stop();
    };
  auto opened = Gateway::open(control, log, std::move(parts));
  if (!opened && goes_on) return next_life.begin();  // With the configuration before.
  if (!opened) return opened.error();
  std::unique_ptr<Gateway> gateway = std::move(*opened);

  StopSignals signals(control, *gateway, [&control] { control.stop(); });
  signals.wait();
  NextLife::takeSignals();
  forbidExit();
  const auto started = gateway->start([&](Status deployment) {
    if (!deployment) log.error("agent", deployment.error().text);
    log.info("host", "gateway " + gateway_id + " runs",
             {{"version", KANTE_VERSION}, {"socket", socket}});
    notifySupervisor("READY=1\nSTATUS=gateway " + gateway_id + " runs; see kante status");
    shedStart();
  });
  if (!started) {
    modules_run = false;
    return started.error();
  }
  control.run();
  if (goes_on) {
    NextLife::holdSignals();
    control.restart();
    control.poll();  // A signal that came just before.
  }
  gateway.reset();
  modules_run = false;
  if (goes_on && !signals.stopping()) {
    std::fflush(nullptr);
    return next_life.begin();
  }
  log.info("host", "stopped");
  // What a module left behind in this process (threads, atexit handlers) is not waited for.
  std::fflush(nullptr);
  ::_exit(signals.stopping() ? 0 : exit_code);
}

// Whoever reads the log as JSON reads this there, too.
int failed(const RunOptions& options, const Error& error) {
  if (options.log_format != "json") return reportFailure("run", error);
  Log(Log::Format::kJson).error("host", error.text);
  return 1;
}

}  // namespace

void addRunCommand(CLI::App& app, Context& context) {
  const auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Run the gateway");
  command->add_option("--config", options->config, "gateway.toml")->capture_default_str();
  command->add_option("--deployment", options->deployment,
                      "Deploy this document if none is stored, or if it is a newer version of it");
  command->add_option("--log", options->log_format, "Log lines as text (default) or json")
      ->check(CLI::IsMember({"text", "json"}));
  command
      ->add_option("--log-level", options->log_level,
                   "Least level that is logged; default: [log] level, which is info")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}));
  command->add_flag("--no-keeper", options->no_keeper,
                    "Without kante-launcher as its parent: nobody starts it again after a crash");
  command->callback([options, &context] {
    if (!options->no_keeper && !isKept()) {
      const auto config = loadConfig(options->config);  // Where it is wrong the host says so.
      const std::string data_dir = config ? config->gateway.data_dir : "";
      context.exit_code =
          failed(*options, becomeKeeper(context.arguments, data_dir,
                                        [&](const Error& error) { failed(*options, error); }));
      return;
    }
    const NextLife next_life(context.arguments);
    secureProcess();
    auto config = loadConfig(options->config);
    const std::string data_dir = config ? config->gateway.data_dir : "";
    const auto outcome = config ? run(*options, next_life, std::move(*config)) : config.error();
    // An update that cannot even start: whoever sent it is told why, not only how it ended.
    if (!outcome && !data_dir.empty()) noteFailedTrial(data_dir, outcome.error());
    context.exit_code = outcome ? *outcome : failed(*options, outcome.error());
  });
}

}  // namespace kante::cli
