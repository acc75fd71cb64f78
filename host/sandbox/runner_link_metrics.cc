// What a link tells about itself in /metrics.
#include "host/base/metrics.h"
#include "host/sandbox/runner_link.h"

namespace kante {

void RunnerLink::collect(MetricWriter& out, std::string_view module) const {
  const auto count = [&](std::string_view name, std::string_view help, std::string_view label,
                         std::string_view which, std::uint64_t value) {
    out.counter(name, help, {{"module", module}, {label, which}}, static_cast<double>(value));
  };
  const auto total = [&](std::string_view name, std::string_view help, const LinkCount& value) {
    out.counter(name, help, {{"module", module}}, static_cast<double>(value.value()));
  };
  constexpr std::string_view kFrames = "Frames between the host and a sandboxed module.";
  count("kante_sandbox_frames_total", kFrames, "direction", "in", counts_.frames_in.value());
  count("kante_sandbox_frames_total", kFrames, "direction", "out", counts_.frames_out.value());
  constexpr std::string_view kBytes = "Bytes of messages in them.";
  count("kante_sandbox_bytes_total", kBytes, "direction", "in", counts_.bytes_in.value());
  count("kante_sandbox_bytes_total", kBytes, "direction", "out", counts_.bytes_out.value());
  constexpr std::string_view kDoorbells = "Wakes of the side that slept.";
  count("kante_sandbox_doorbells_total", kDoorbells, "by", "host", counts_.doorbells.value());
  count("kante_sandbox_doorbells_total", kDoorbells, "by", "module", counts_.rings.value());
  total("kante_sandbox_doorbells_in_vain_total", "Doorbells of a module that brought nothing.",
        counts_.vain_rings);
  total("kante_sandbox_refused_total",
        "What a sandboxed module sent that was no message, or that came after its end.",
        counts_.refused);
  total("kante_sandbox_lost_total", "Messages that waited for room when their module died.",
        counts_.lost);
  total("kante_sandbox_pauses_total",
        "How often a module's ring waited because its cpu_percent of its shard was used.",
        counts_.pauses);
  // The runner's own word.
  const RunnerPage& page = channel_->files.runnerPage();
  constexpr std::string_view kSpins = "Short waits of a module's loop before it sleeps.";
  count("kante_sandbox_spins_total", kSpins, "result", "won", page.spins_won.load());
  count("kante_sandbox_spins_total", kSpins, "result", "lost", page.spins_lost.load());
  out.counter("kante_sandbox_sleeps_total", "How often a module's loop slept.",
              {{"module", module}}, static_cast<double>(page.sleeps.load()));
}

}  // namespace kante
