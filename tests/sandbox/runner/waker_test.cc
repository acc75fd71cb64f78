#include "sandbox/runner/waker.h"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <csignal>
#include <memory>
#include <thread>

namespace kante {
namespace {

// As the loop does: says so, looks a last time, sleeps.
template <typename HasWork>
void rest(Waker& waker, HasWork has_work) {
  waker.fallAsleep();
  const std::uint32_t seen = waker.seen();
  if (!has_work()) waker.block(seen, -1);
  waker.wakeUp();
}

TEST(WakerTest, NoKickIsLostHoweverItMeetsTheSleep) {
  // On the heap: AddressSanitizer's stack does not keep its alignment.
  const auto shared = std::make_unique<RunnerPage>();
  RunnerPage& page = *shared;
  Waker waker(page);
  constexpr std::uint64_t kRounds = 100'000;
  std::atomic<std::uint64_t> work{0};
  std::atomic<std::uint64_t> done{0};
  std::thread loop([&] {
    for (std::uint64_t next = 1; next <= kRounds; ++next) {
      while (work.load() < next) rest(waker, [&] { return work.load() >= next; });
      done.store(next);
      done.notify_one();
    }
  });
  for (std::uint64_t next = 1; next <= kRounds; ++next) {
    work.store(next);
    waker.kick();
    for (std::uint64_t seen = done.load(); seen < next; seen = done.load()) done.wait(seen);
  }
  loop.join();
}

TEST(WakerTest, AWakeOfTheHostEndsTheSleepOrKeepsItFromBeginning) {
  // On the heap: AddressSanitizer's stack does not keep its alignment.
  const auto shared = std::make_unique<RunnerPage>();
  RunnerPage& page = *shared;
  Waker waker(page);
  const std::uint32_t seen = waker.seen();
  page.wakes.fetch_add(1);
  waker.block(seen, -1);  // Does not begin.
  std::thread host([&] {
    page.wakes.fetch_add(1);
    ::syscall(SYS_futex, &page.wakes, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  });
  waker.block(seen + 1, -1);
  host.join();
  EXPECT_EQ(waker.seen(), seen + 2);
}

TEST(WakerTest, ASleepEndsByItself) {
  // On the heap: AddressSanitizer's stack does not keep its alignment.
  const auto shared = std::make_unique<RunnerPage>();
  RunnerPage& page = *shared;
  Waker waker(page);
  waker.block(waker.seen(), 1'000'000);
  waker.block(waker.seen(), 0);
}

}  // namespace
}  // namespace kante
