#include "host/shard/wake_policy.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>
#include <string_view>
#include <utility>

namespace kante {

namespace {

// What sched_getattr(2) and sched_setattr(2) take, in its first form; not in every C library.
struct Attributes {
  std::uint32_t size = sizeof(Attributes);
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0;
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};
static_assert(sizeof(Attributes) == 48);

std::optional<Attributes> ofThisThread() {
  Attributes out;
  if (::syscall(SYS_sched_getattr, 0, &out, sizeof out, 0) != 0) return {};
  out.size = sizeof out;
  return out;
}

bool go(WakePolicy::Way way) {
  auto wanted = ofThisThread();
  if (!wanted) return false;
  using enum WakePolicy::Way;
  wanted->policy = way == kLetsFinish ? SCHED_BATCH : SCHED_OTHER;
  wanted->runtime = way == kHurries ? WakePolicy::kShortSliceNs : 0;
  return ::syscall(SYS_sched_setattr, 0, &*wanted, 0) == 0;
}

std::int64_t nowNs() {
  timespec at{};
  ::clock_gettime(CLOCK_MONOTONIC, &at);
  return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

// The second of the numbers that the file has; both kinds are "A B …" in decimal.
template <typename Number>
std::optional<Number> readSecond(int file) {
  char text[96];
  const ssize_t size = ::pread(file, text, sizeof text, 0);
  if (size <= 0) return {};
  const std::string_view words(text, static_cast<std::size_t>(size));
  const std::size_t space = words.find(' ');
  if (space == std::string_view::npos) return {};
  Number second{};
  const char* const end = words.data() + words.size();
  if (std::from_chars(words.data() + space + 1, end, second).ec != std::errc()) return {};
  return second;
}

// Nanoseconds that the thread was ready and had no processor.
std::optional<std::int64_t> readWaited(const FileDescriptor& account) {
  return readSecond<std::int64_t>(account.get());
}

// Of all processors; seconds with a fraction in the file.
std::optional<std::int64_t> readIdle(const FileDescriptor& uptime) {
  const auto seconds = readSecond<double>(uptime.get());
  if (!seconds) return {};
  return static_cast<std::int64_t>(*seconds * 1e9);
}

// Of the shard on this thread, for Ordinary; none on other threads.
thread_local constinit WakePolicy* current = nullptr;

}  // namespace

void WakeRule::waited(std::int64_t ns, std::int64_t now) {
  sum_ = std::max<std::int64_t>(sum_ + std::max<std::int64_t>(ns - kUsual, 0) - kForgiven, 0);
  if (sum_ <= kSumMax) {
    if (++well_ == kForgotten) pause_ = kPauseMin;
    return;
  }
  lets_finish_ = false;
  knows_idle_ = false;
  until_ = now;
}

void WakeRule::idled(std::int64_t idle, std::int64_t now) {
  const bool knew = std::exchange(knows_idle_, true);
  const std::int64_t idled = idle - std::exchange(idle_, idle);
  const std::int64_t passed = now - std::exchange(since_, now);
  if (!knew || idled < passed / kIdlePart) {
    until_ = now + pause_;
    if (!knew) pause_ = std::min(2 * pause_, kPauseMax);
    return;
  }
  lets_finish_ = true;
  sum_ = 0;
  well_ = 0;
}

void WakePolicy::begin() {
  const auto found = ofThisThread();
  if (!found || found->policy != SCHED_OTHER) return;
  auto account = openAt(AT_FDCWD, "/proc/thread-self/schedstat", O_RDONLY);
  auto uptime = openAt(AT_FDCWD, "/proc/uptime", O_RDONLY);
  if (account.has_error() || uptime.has_error()) return;
  const auto waited = readWaited(*account);
  if (!waited || !readIdle(*uptime)) return;
  waited_.store(*waited, std::memory_order_relaxed);
  account_ = std::move(*account);
  uptime_ = std::move(*uptime);
  current = this;
}

void WakePolicy::look() {
  const auto waited = readWaited(account_);
  if (!waited) return;
  const std::int64_t since = *waited - waited_.exchange(*waited, std::memory_order_relaxed);
  const std::int64_t now = nowNs();
  // What it waited as an ordinary thread says nothing.
  if (way() == Way::kLetsFinish) rule_.waited(since, now);
  if (!rule_.letsFinish() && rule_.isDue(now)) {
    if (const auto idle = readIdle(uptime_)) rule_.idled(*idle, now);
  }
  const Way wanted = rule_.letsFinish() ? Way::kLetsFinish : Way::kHurries;
  if (wanted == way()) return;
  if (go(wanted)) {
    way_.store(wanted, std::memory_order_relaxed);
  } else {
    account_.reset();  // It is not allowed to; it stays what it is.
  }
}

void WakePolicy::beOrdinary() {
  if (!go(Way::kOrdinary)) account_.reset();
  way_.store(Way::kOrdinary, std::memory_order_relaxed);
}

WakePolicy::Ordinary::Ordinary() : before_(current == nullptr ? Way::kOrdinary : current->way()) {
  if (before_ != Way::kOrdinary) (void)go(Way::kOrdinary);
}

WakePolicy::Ordinary::~Ordinary() {
  if (before_ != Way::kOrdinary) (void)go(before_);
}

}  // namespace kante
