// `kante demo`: a whole gateway with nothing around it, that cuts its own link once and shows the
// backlog.
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "host/api/status.h"
#include "host/base/fd.h"
#include "host/base/log.h"
#include "host/cli/command.h"
#include "host/cli/demo_view.h"
#include "host/cli/embedded_cloud.h"
#include "host/cli/gateway.h"

namespace kante::cli {

namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kFrame{200};
constexpr std::chrono::seconds kDrainMax{20};
// The link is cut after this part of the time and restored after that; without an end, in seconds.
constexpr double kCutAt = 0.35, kRestoreAt = 0.65;
constexpr double kCutAtS = 5, kRestoreAtS = 10;

constexpr const char* kDeployment = R"json({{
  "schema": "kante.deployment/1", "id": "demo", "version": 1,
  "modules": {{
    "sensor": {{"bundle": "{0}/simulated-sensor.kmod", "placement": "{1}", "config": {{"period_ms": 10}}}},
    "monitor": {{"bundle": "{0}/system-monitor.kmod", "placement": "{1}", "config": {{"period_ms": 1000}},
                "grants": {{"files": {{"read": ["/proc", "/sys"], "space": ["/"]}}}}}},
    "window": {{"bundle": "{0}/window-aggregator.kmod", "placement": "{1}", "config": {{"window_ms": 1000}}}},
    "filter": {{"bundle": "{0}/threshold-filter.kmod", "placement": "{1}",
               "desired": {{"threshold": 22, "hysteresis": 0.5}}}}
  }},
  "routes": {{
    "to-window": "FROM /messages/modules/sensor/outputs/* INTO BrokeredEndpoint(\"/modules/window/inputs/in\")",
    "to-filter": "FROM /messages/modules/sensor/outputs/* INTO BrokeredEndpoint(\"/modules/filter/inputs/in\")",
    "windows": "FROM /messages/modules/window/outputs/* INTO $upstream",
    "machine": "FROM /messages/modules/monitor/outputs/* INTO $upstream",
    "alerts": {{"route": "FROM /messages/modules/filter/outputs/alert INTO $upstream", "priority": 0}}
  }}
}})json";

struct Shipped {
  fs::path modules;
  std::string signer_pem;
};

// Beside the program in a build folder, or where `cmake --install` puts them.
Result<Shipped> findShipped() {
  const fs::path bin = fs::read_symlink("/proc/self/exe").parent_path();
  const std::pair<fs::path, fs::path> places[] = {
      {bin / "../modules", bin / "../dev-keys/signer.pem"},
      {bin / "../share/kante/modules", bin / "../share/kante/modules/signer.pem"},
  };
  for (const auto& [modules, signer] : places) {
    std::error_code ignored;
    if (!fs::exists(modules / "simulated-sensor.kmod", ignored)) continue;
    KANTE_TRY(pem, readFile(signer.string(), 64 * 1024));
    return Shipped{fs::canonical(modules), pem};
  }
  return fail(Errc::kNotFound, "the shipped modules are not beside this program: looked in " +
                                   places[0].first.lexically_normal().string() + " and " +
                                   places[1].first.lexically_normal().string());
}

struct DemoOptions {
  std::string time;  // --for
  std::string placement = "sandbox";
};

// For people; refuses where the modules cannot run as wanted, because nothing runs in a weaker
// place than somebody said.
Result<std::string> whereModulesRun(const DemoOptions& options, const SandboxStatus& sandbox) {
  if (options.placement == "in-process") return std::string("modules in this process");
  if (sandbox.missing.empty())
    return fmt::format("modules in the sandbox, tier {}, limits by {}", sandbox.tier,
                       sandbox.limits);
  return fail(Errc::kUnsupported,
              sandbox.missing +
                  "; `kante check` says what to change, `kante demo --placement in-process` trusts "
                  "the modules with this process instead");
}

// A folder of its own, gone with the demo.
class DemoFolder {
 public:
  static Result<DemoFolder> make() {
    const char* base = std::getenv("TMPDIR");
    std::string path =
        std::string(base != nullptr && *base != 0 ? base : "/tmp") + "/kante-demo-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return failErrno(path);
    return DemoFolder(std::move(path));
  }
  DemoFolder(DemoFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  DemoFolder& operator=(DemoFolder&&) = delete;
  ~DemoFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  explicit DemoFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

class Demo {
 public:
  Demo(asio::io_context& control, Gateway& gateway, EmbeddedCloud& cloud, double seconds,
       std::string where, DemoView& view)
      : control_(control),
        gateway_(gateway),
        cloud_(cloud),
        seconds_(seconds),
        where_(std::move(where)),
        view_(view),
        timer_(control),
        signals_(control, SIGINT, SIGTERM) {}

  void run() {
    began_ = Clock::now();
    signals_.async_wait([this](const boost::system::error_code& error, int) {
      if (!error) finish();
    });
    frame();
  }

  struct Outcome {
    std::string json;
    bool whole = false;  // Nothing lost, no gap.
  };
  Outcome result() const {
    const auto figures = cloud_.figures();
    const std::uint64_t lost = sent_ > figures.delivered ? sent_ - figures.delivered : 0;
    return {
        fmt::format(
            R"({{"seconds":{:.1f},"sent":{},"delivered":{},"lost":{},"gaps":{},"duplicates":{},)"
            R"("link_cuts":{},"backlog_max":{}}})",
            elapsed_, sent_, figures.delivered, lost, figures.gaps, figures.duplicates, link_cuts_,
            backlog_max_),
        lost == 0 && figures.gaps == 0};
  }

 private:
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }

  void frame() {
    const double now = elapsed();
    followScript(now);
    const UplinkStatus uplink = gateway_.uplink()->status();
    backlog_max_ = std::max(backlog_max_, uplink.backlog_messages);
    view_.show({now, seconds_, where_, link_, gateway_.modules().modules(),
                gateway_.modules().routes(), uplink, cloud_.figures()});
    if (finishing_) {
      if (quiet_ && (isDrained(uplink) || Clock::now() > drain_until_)) return end();
    } else if (seconds_ > 0 && now >= seconds_) {
      finish();
    }
    timer_.expires_after(finishing_ ? kFrame / 10 : kFrame);
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error) frame();
    });
  }

  void followScript(double now) {
    const double cut_at = seconds_ > 0 ? seconds_ * kCutAt : kCutAtS;
    const double restore_at = seconds_ > 0 ? seconds_ * kRestoreAt : kRestoreAtS;
    if (link_cuts_ == 0 && now >= cut_at && !finishing_) {
      ++link_cuts_;
      link_ = EmbeddedCloud::Link::kDown;
      cloud_.setLink(link_);
    } else if (link_ == EmbeddedCloud::Link::kDown && (now >= restore_at || finishing_)) {
      link_ = EmbeddedCloud::Link::kUp;
      cloud_.setLink(link_);
    }
  }

  // Everything that was sent into the store has its answer from the cloud.
  bool isDrained(const UplinkStatus& uplink) const {
    return uplink.backlog_messages == 0 && uplink.in_flight == 0 &&
           cloud_.figures().delivered >= sentNow();
  }

  std::uint64_t sentNow() const {
    std::uint64_t sent = 0;
    for (const RouteStatus& route : gateway_.modules().routes()) {
      if (route.text.find("INTO $upstream") != std::string::npos) sent += route.messages;
    }
    return sent;
  }

  // The sources stop one after the other, so that what they sent still passes.
  void finish() {
    if (finishing_) return;
    finishing_ = true;
    elapsed_ = elapsed();
    drain_until_ = Clock::now() + kDrainMax;
    stopNext({"sensor", "monitor", "window", "filter"});
  }

  void stopNext(std::vector<std::string> names) {
    if (names.empty()) {
      quiet_ = true;
      return;
    }
    const std::string first = names.front();
    names.erase(names.begin());
    gateway_.modules().stop(first,
                            [this, names = std::move(names)](const Status&) { stopNext(names); });
  }

  void end() {
    sent_ = sentNow();
    signals_.cancel();
    gateway_.stop([this] { control_.stop(); });
  }

  asio::io_context& control_;
  Gateway& gateway_;
  EmbeddedCloud& cloud_;
  const double seconds_;
  const std::string where_;
  DemoView& view_;
  asio::steady_timer timer_;
  asio::signal_set signals_;
  Clock::time_point began_, drain_until_;
  EmbeddedCloud::Link link_ = EmbeddedCloud::Link::kUp;
  double elapsed_ = 0;
  int link_cuts_ = 0;
  std::uint64_t backlog_max_ = 0;
  std::uint64_t sent_ = 0;
  bool finishing_ = false;
  bool quiet_ = false;
};

Result<double> secondsOf(const std::string& text) {
  if (text.empty()) return 0;
  std::size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = text.substr(used);
  const double scale = unit == "ms"                   ? 0.001
                       : unit == "m" || unit == "min" ? 60
                       : unit == "s" || unit.empty()  ? 1
                                                      : 0;
  if (used == 0 || scale == 0 || !(value * scale >= 1) || value * scale > 86'400) {
    return fail(Errc::kInvalid, text + ": a time from 1 s to 24 h is wanted, such as 10s or 2m");
  }
  return value * scale;
}

Result<int> demo(const DemoOptions& wanted) {
  KANTE_TRY(seconds, secondsOf(wanted.time));
  KANTE_TRY(shipped, findShipped());
  KANTE_TRY(folder, DemoFolder::make());
  Config config;
  config.gateway.id = "demo";
  config.gateway.data_dir = folder.path() + "/data";
  config.trust.signers = {};
  config.api.socket = folder.path() + "/api.sock";
  config.api.http = "";
  config.store.max_bytes = 16u << 20;  // The file is allocated for real.
  config.uplink.kind = UplinkKind::kMqtt;
  config.uplink.url = "mqtt://127.0.0.1:1883";  // Names the embedded cloud; nothing connects there.
  const std::string deployment = folder.path() + "/deployment.json";
  std::ofstream(deployment) << fmt::format(fmt::runtime(kDeployment), shipped.modules.string(),
                                           wanted.placement);

  Log log(Log::Format::kText, LogLevel::kWarn);
  asio::io_context control(1);
  EmbeddedCloud cloud;
  Gateway::Options options;
  options.config = config;
  options.deployment_file = deployment;
  options.trust_pem = shipped.signer_pem;
  options.uplink_client = [&cloud] { return cloud.client(); };
  KANTE_TRY(gateway, Gateway::open(control, log, std::move(options)));
  KANTE_TRY(where, whereModulesRun(wanted, *gateway->statusParts().sandbox));
  DemoView view(::isatty(STDERR_FILENO) == 1 ? DemoView::Style::kTerminal
                                             : DemoView::Style::kLines);
  Demo running(control, *gateway, cloud, seconds, where, view);
  Status outcome;
  const auto started = gateway->start([&](const Status& deployed) {
    outcome = deployed;
    if (deployed.has_error()) return control.stop();
    running.run();
  });
  if (started.has_error()) return started.error();
  control.run();
  if (outcome.has_error()) return outcome.error();
  const auto result = running.result();
  gateway.reset();
  std::printf("%s\n", result.json.c_str());
  return result.whole ? 0 : 1;
}

}  // namespace

void addDemoCommand(CLI::App& app, Context& context) {
  const auto wanted = std::make_shared<DemoOptions>();
  CLI::App* command = app.add_subcommand("demo",
                                         "A whole gateway with four modules and a cloud inside: no "
                                         "broker, no account, no configuration");
  command
      ->add_option("--for", wanted->time,
                   "End after this time, e.g. 10s or 2m; without it, at Ctrl-C")
      ->check([](const std::string& text) {
        const auto seconds = secondsOf(text);
        return seconds ? std::string() : seconds.error().text;
      });
  command
      ->add_option("--placement", wanted->placement,
                   "Where the modules run; in-process is for comparing")
      ->check(CLI::IsMember({"sandbox", "in-process"}))
      ->capture_default_str();
  command->add_flag(
      "--json", [](std::int64_t) {}, "The last line of stdout is JSON in any case");
  command->callback([wanted, &context] {
    const auto outcome = demo(*wanted);
    context.exit_code = outcome.has_value() ? *outcome : reportFailure("demo", outcome.error());
    std::fflush(nullptr);
    // Modules stay mapped and may have left handlers behind: nothing of theirs runs after the
    // result.
    ::_exit(context.exit_code);
  });
}

}  // namespace kante::cli
