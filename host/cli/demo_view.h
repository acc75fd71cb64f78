// What the demo shows while it runs: drawn in place on a terminal, else a line now and then.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "host/cli/embedded_cloud.h"
#include "host/placement/module_host.h"
#include "host/uplink/uplink.h"

namespace kante::cli {

struct DemoFrame {
  double elapsed_s = 0;
  double total_s = 0;  // 0: until it is stopped.
  std::string where;   // The modules run, for people.
  EmbeddedCloud::Link link = EmbeddedCloud::Link::kUp;
  std::vector<ModuleStatus> modules;
  std::vector<RouteStatus> routes;
  UplinkStatus uplink;
  EmbeddedCloud::Figures cloud;
};

// Writes to stderr, so that stdout is the result's alone.
class DemoView {
 public:
  enum class Style { kTerminal, kLines };
  explicit DemoView(Style style) : style_(style) {}
  ~DemoView();
  void show(const DemoFrame& frame);

 private:
  void draw(const DemoFrame& frame);
  void line(const DemoFrame& frame);
  std::string rates(const DemoFrame& frame);

  const Style style_;
  std::size_t drawn_lines_ = 0;
  double last_s_ = -1;
  double last_line_s_ = -10;
  EmbeddedCloud::Link last_link_ = EmbeddedCloud::Link::kUp;
  std::vector<ModuleStatus> last_modules_;
  std::deque<std::uint64_t> backlog_;  // The last kHistory frames.
};

}  // namespace kante::cli
