#include "host/base/clock.h"

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

}  // namespace kante
