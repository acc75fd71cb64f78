#include "host/base/clock.h"

#include <fmt/format.h>

#include <ctime>

#include "host/base/fd.h"

namespace kante {

namespace {
std::int64_t now(clockid_t id) {
  timespec at{};
  ::clock_gettime(id, &at);
  return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}
}  // namespace

std::int64_t SystemClock::bootNs() const { return now(CLOCK_BOOTTIME); }
std::int64_t SystemClock::wallNs() const { return now(CLOCK_REALTIME); }

std::string bootId() {
  auto text = readFile("/proc/sys/kernel/random/boot_id", 64);
  if (!text) return {};
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return std::move(*text);
}

std::string formatUtc(std::int64_t wall_ns) {
  std::int64_t seconds = wall_ns / 1'000'000'000;
  std::int64_t rest = wall_ns % 1'000'000'000;
  if (rest < 0) {
    rest += 1'000'000'000;
    --seconds;
  }
  const std::time_t t = seconds;
  std::tm utc{};
  ::gmtime_r(&t, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     rest / 1'000'000);
}

}  // namespace kante
