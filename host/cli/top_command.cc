#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <map>

#include "host/cli/host_command.h"
#include "host/cli/json_view.h"
#include "host/cli/metrics_view.h"
#include "host/cli/output.h"
#include "host/cli/status_text.h"

namespace kante::cli {
namespace {

namespace json = boost::json;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr int kEveryMs = 1000;

struct Sample {
  SteadyTime at;
  json::value status;
  std::map<std::string, double> callback_s;  // By module: seconds in all measured calls.
  std::map<std::string, double> callbacks;   // And how many those were.
};

Result<Sample> sample(Client& client) {
  Sample out;
  KANTE_TRY(body, client.get("/v1/status"));
  out.at = std::chrono::steady_clock::now();
  KANTE_TRY(status, parseReply(body));
  out.status = std::move(status);
  KANTE_TRY(metrics, client.get("/metrics"));
  for (const Series& series : parseMetrics(metrics)) {
    const auto module = series.labels.find("module");
    if (module == series.labels.end()) continue;
    if (series.name == "kante_callback_seconds_sum") out.callback_s[module->second] = series.value;
    if (series.name == "kante_callback_seconds_count") out.callbacks[module->second] = series.value;
  }
  return out;
}

// What one module did between two samples.
struct Rates {
  double in = 0;
  double out = 0;
  double callback_s = 0;  // Mean of one call; 0: none was measured.
};

const json::value* moduleIn(const json::value& status, const std::string& name) {
  const json::value& modules = member(status, "modules");
  if (!modules.is_array()) return nullptr;
  for (const json::value& each : modules.as_array()) {
    if (textOf(each, "name") == name) return &each;
  }
  return nullptr;
}

double valueOf(const std::map<std::string, double>& from, const std::string& key) {
  const auto at = from.find(key);
  return at == from.end() ? 0 : at->second;
}

Rates ratesOf(const Sample& before, const Sample& now, const json::value& module) {
  Rates rates;
  const std::string name = textOf(module, "name");
  const json::value* old = moduleIn(before.status, name);
  const double seconds = std::chrono::duration<double>(now.at - before.at).count();
  if (old != nullptr && seconds > 0) {
    rates.in = std::max(0.0, real(module, "messages_in") - real(*old, "messages_in")) / seconds;
    rates.out = std::max(0.0, real(module, "messages_out") - real(*old, "messages_out")) / seconds;
  }
  const double calls = valueOf(now.callbacks, name) - valueOf(before.callbacks, name);
  if (calls > 0) {
    rates.callback_s = (valueOf(now.callback_s, name) - valueOf(before.callback_s, name)) / calls;
  } else if (valueOf(now.callbacks, name) > 0) {
    rates.callback_s = valueOf(now.callback_s, name) / valueOf(now.callbacks, name);
  }
  return rates;
}

std::string frame(const Sample& before, const Sample& now) {
  const json::value& status = now.status;
  std::string out = headLine(status) + "   " + deploymentLine(status) + "\n";
  out += paint(Colour::kDim, "uplink  ") + uplinkLine(status) + "\n";
  out += paint(Colour::kDim, "store   ") + storeLine(status) + paint(Colour::kDim, "   dropped  ") +
         dropLine(status) + "\n\n";
  using enum Table::Align;
  Table table({{"MODULE"},
               {"STATE"},
               {"IN/S", kRight},
               {"OUT/S", kRight},
               {"QUEUED", kRight},
               {"CALLBACK", kRight},
               {"RESTARTS", kRight}});
  const json::value& modules = member(status, "modules");
  if (modules.is_array()) {
    for (const json::value& module : modules.as_array()) {
      const Rates rates = ratesOf(before, now, module);
      table.add({printable(textOf(module, "name")), paintState(textOf(module, "state")),
                 formatCount(rates.in), formatCount(rates.out), formatCount(real(module, "queued")),
                 formatSeconds(rates.callback_s), textOf(module, "restarts")});
    }
  }
  out += table.text();
  const std::string wrong = problemLines(status);
  return wrong.empty() ? out : out + "\n" + wrong;
}

json::value frameJson(const Sample& before, const Sample& now) {
  json::object out = now.status.is_object() ? now.status.as_object() : json::object();
  json::array modules;
  const json::value& all = member(now.status, "modules");
  if (all.is_array()) {
    for (const json::value& module : all.as_array()) {
      const Rates rates = ratesOf(before, now, module);
      json::object with = module.is_object() ? module.as_object() : json::object();
      with["in_per_s"] = rates.in;
      with["out_per_s"] = rates.out;
      with["callback_s"] = rates.callback_s;
      modules.push_back(std::move(with));
    }
  }
  out["modules"] = std::move(modules);
  return out;
}

// The terminal without echo and line editing, on its second screen; given back however this ends.
class FullScreen {
 public:
  FullScreen() {
    ::tcgetattr(STDIN_FILENO, &before_);
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    std::fputs("\x1b[?1049h\x1b[?25l", stdout);
  }
  ~FullScreen() {
    std::fputs("\x1b[?25h\x1b[?1049l", stdout);
    std::fflush(stdout);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  FullScreen(const FullScreen&) = delete;
  FullScreen& operator=(const FullScreen&) = delete;

  // As many lines as fit, each cleared to its end, so that nothing flickers and a resize does no
  // harm.
  void show(const std::string& text) const {
    winsize size{};
    ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    const std::size_t lines_max = size.ws_row > 0 ? size.ws_row : 24;
    // No wrapping: a line longer than the screen is cut by the terminal.
    std::string out = "\x1b[?7l\x1b[H";
    std::size_t lines = 0;
    for (std::size_t at = 0; at < text.size() && lines < lines_max; ++lines) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      out += (lines > 0 ? "\r\n" : "") + text.substr(at, end - at) + "\x1b[K";
      at = end + 1;
    }
    out += "\x1b[J\x1b[?7h";
    std::fputs(out.c_str(), stdout);
    std::fflush(stdout);
  }

 private:
  termios before_{};
};

enum class Pressed { kNothing, kQuit };

// Until the next look, a key or a resize (which interrupts the wait).
Pressed waitForKey() {
  pollfd key{STDIN_FILENO, POLLIN, 0};
  if (::poll(&key, 1, kEveryMs) <= 0) return Pressed::kNothing;
  char pressed = 0;
  if (::read(STDIN_FILENO, &pressed, 1) != 1) return Pressed::kQuit;
  const bool quit =
      pressed == 'q' || pressed == 'Q' || pressed == 3 || pressed == 4 || pressed == 27;
  return quit ? Pressed::kQuit : Pressed::kNothing;
}

void onResize(int) {}

Result<int> live(Client& client, Sample before) {
  struct sigaction resize {};
  resize.sa_handler = onResize;  // Only so that it interrupts poll().
  ::sigaction(SIGWINCH, &resize, nullptr);
  const FullScreen screen;
  Sample now = before;
  for (;;) {
    screen.show(frame(before, now) + "\n" + paint(Colour::kDim, "q quits"));
    if (waitForKey() == Pressed::kQuit) return 0;
    KANTE_TRY(next, sample(client));
    // A resize only draws again; rates are over a full interval.
    if (next.at - now.at < std::chrono::milliseconds(kEveryMs / 2)) continue;
    before = std::move(now);
    now = std::move(next);
  }
}

Result<int> top(const HostOptions& options) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(first, sample(client));
  const bool terminal = ::isatty(STDOUT_FILENO) == 1 && ::isatty(STDIN_FILENO) == 1;
  if (terminal && !options.json) return live(client, std::move(first));
  ::poll(nullptr, 0, kEveryMs);
  KANTE_TRY(second, sample(client));
  if (options.json) {
    printJson(json::serialize(frameJson(first, second)));
  } else {
    std::fputs(frame(first, second).c_str(), stdout);
  }
  return 0;
}

}  // namespace

void addTopCommand(CLI::App& app, Context& context) {
  addHostCommand(app, context, "top", "Live: messages a second, queues, callback times; q quits",
                 Prints::kData, top);
}

}  // namespace kante::cli
