#include "host/cli/demo_view.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "host/cli/output.h"

namespace kante::cli {

namespace {

constexpr std::size_t kHistory = 48;

std::string colour(const char* code, const std::string& text) {
  return colouredErrors() ? std::string("\x1b[") + code + "m" + text + "\x1b[0m" : text;
}

std::size_t columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
  return 100;
}

// Eight heights of a block, the largest value full.
std::string sparkline(const std::deque<std::uint64_t>& values) {
  static constexpr const char* kBlocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const std::uint64_t top =
      std::max<std::uint64_t>(1, *std::max_element(values.begin(), values.end()));
  std::string line;
  for (const std::uint64_t value : values) line += kBlocks[(value * 8 + top - 1) / top];
  return line;
}

}  // namespace

DemoView::~DemoView() {
  if (drawn_lines_ > 0) std::fputs("\n", stderr);
}

void DemoView::show(const DemoFrame& frame) {
  backlog_.push_back(frame.uplink.backlog_messages);
  if (backlog_.size() > kHistory) backlog_.pop_front();
  if (style_ == Style::kTerminal) {
    draw(frame);
  } else {
    line(frame);
  }
  last_s_ = frame.elapsed_s;
  last_modules_ = frame.modules;
  last_link_ = frame.link;
}

std::string DemoView::rates(const DemoFrame& frame) {
  Table table({{"module"},
               {"state"},
               {"process", Table::Align::kRight},
               {"in/s", Table::Align::kRight},
               {"out/s", Table::Align::kRight},
               {"queued", Table::Align::kRight},
               {"what it is"}});
  const double seconds = std::max(0.001, frame.elapsed_s - last_s_);
  for (const ModuleStatus& module : frame.modules) {
    const auto before = std::find_if(last_modules_.begin(), last_modules_.end(),
                                     [&](const ModuleStatus& m) { return m.name == module.name; });
    double in = 0;
    double out = 0;
    if (before != last_modules_.end()) {
      in = static_cast<double>(module.messages_in - before->messages_in) / seconds;
      out = static_cast<double>(module.messages_out - before->messages_out) / seconds;
    }
    table.add({module.name, name(module.state), std::to_string(module.pid),
               fmt::format("{:.0f}", in), fmt::format("{:.0f}", out), std::to_string(module.queued),
               module.id + " " + module.version});
  }
  return table.text(2);
}

void DemoView::draw(const DemoFrame& frame) {
  std::string text;
  const std::string total = frame.total_s > 0 ? fmt::format(" of {:.0f}", frame.total_s) : "";
  text += colour("1", "kante demo") +
          fmt::format("  {:.1f}{} s   {}\n\n", frame.elapsed_s, total, frame.where);
  text += rates(frame);
  const bool up = frame.link == EmbeddedCloud::Link::kUp;
  const std::string link =
      up ? colour("32", "up") : colour("31;1", "CUT: the gateway keeps working");
  text += fmt::format("\n  uplink   {}   seq {}   in flight {}\n", link, frame.uplink.seq,
                      frame.uplink.in_flight);
  text += fmt::format("  backlog  {:>6} messages on disk  {}\n", frame.uplink.backlog_messages,
                      colour("33", sparkline(backlog_)));
  text += fmt::format("  cloud    {:>6} received  {} gaps  {} duplicates\n", frame.cloud.delivered,
                      frame.cloud.gaps, frame.cloud.duplicates);
  for (const auto& [source, count] : frame.cloud.by_source) {
    text += fmt::format("           {:>6} {}\n", count, source);
  }
  text += "  newest   " + cut(printable(frame.cloud.last), columns() - 12) + "\n";
  std::string out;
  if (drawn_lines_ > 0) out += fmt::format("\x1b[{}A", drawn_lines_);
  drawn_lines_ = 0;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t to = text.find('\n', from);
    out += text.substr(from, to - from) + "\x1b[K\n";
    ++drawn_lines_;
    from = to + 1;
  }
  out += "\x1b[J";
  std::fputs(out.c_str(), stderr);
}

void DemoView::line(const DemoFrame& frame) {
  const bool changed = frame.link != last_link_;
  if (!changed && frame.elapsed_s - last_line_s_ < 1) return;
  if (last_line_s_ < 0) std::fprintf(stderr, "%s\n", frame.where.c_str());
  last_line_s_ = frame.elapsed_s;
  std::fprintf(
      stderr, "%s",
      fmt::format("{:>6.1f} s  link {:<4}  backlog {:>6}  sent {:>7}  received {:>7}  gaps {}\n",
                  frame.elapsed_s, frame.link == EmbeddedCloud::Link::kUp ? "up" : "cut",
                  frame.uplink.backlog_messages, frame.uplink.seq, frame.cloud.delivered,
                  frame.cloud.gaps)
          .c_str());
}

}  // namespace kante::cli
