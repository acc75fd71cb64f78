#include "host/api/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>

#include "host/base/fd.h"
#include "host/base/metrics.h"

namespace kante {
namespace {

constexpr std::size_t kProcFileBytesMax = 64 * 1024;

std::uint64_t field(const std::string& text, const char* key) {
  const std::size_t at = text.find(key);
  if (at == std::string::npos) return 0;
  return std::strtoull(text.c_str() + at + std::char_traits<char>::length(key), nullptr, 10);
}

std::uint64_t countDescriptors() {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir("/proc/self/fd"), ::closedir);
  if (!dir) return 0;
  std::uint64_t count = 0;
  while (const dirent* entry = ::readdir(dir.get())) count += entry->d_name[0] != '.' ? 1u : 0u;
  return count - 1;  // The directory itself.
}

// Boot time plus the ticks that the process began after it (field 22 of stat, beyond the name).
double startTime() {
  const auto stat = readFile("/proc/self/stat", kProcFileBytesMax);
  const auto machine = readFile("/proc/stat", kProcFileBytesMax * 16);
  if (!stat || !machine) return 0;
  std::size_t at = stat->rfind(')');
  for (int fields = 0; fields < 20 && at != std::string::npos; ++fields)
    at = stat->find(' ', at + 1);
  if (at == std::string::npos) return 0;
  const double ticks = std::strtod(stat->c_str() + at, nullptr);
  return static_cast<double>(field(*machine, "btime ")) +
         ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace

ProcessFigures processFigures() {
  ProcessFigures out;
  if (const auto rollup = readFile("/proc/self/smaps_rollup", kProcFileBytesMax)) {
    out.pss_bytes = field(*rollup, "Pss:") * 1024;
    out.rss_bytes = field(*rollup, "Rss:") * 1024;
  }
  if (const auto status = readFile("/proc/self/status", kProcFileBytesMax)) {
    if (out.rss_bytes == 0) out.rss_bytes = field(*status, "VmRSS:") * 1024;
    out.threads = field(*status, "Threads:");
  }
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  out.cpu_s = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
              static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  out.fds = countDescriptors();
  out.fds_max = files.rlim_cur;
  static const double started = startTime();
  out.start_s = started;
  return out;
}

void collectProcess(MetricWriter& out) {
  const ProcessFigures now = processFigures();
  out.counter("process_cpu_seconds_total", "User and system time spent", {}, now.cpu_s);
  out.gauge("process_proportional_memory_bytes", "Memory, shared pages by their share (PSS)", {},
            static_cast<double>(now.pss_bytes));
  out.gauge("process_resident_memory_bytes", "Resident memory", {},
            static_cast<double>(now.rss_bytes));
  out.gauge("process_open_fds", "Open file descriptors", {}, static_cast<double>(now.fds));
  out.gauge("process_max_fds", "Most file descriptors", {}, static_cast<double>(now.fds_max));
  out.gauge("process_threads", "Threads", {}, static_cast<double>(now.threads));
  out.gauge("process_start_time_seconds", "Start, since 1970", {}, now.start_s);
}

}  // namespace kante
