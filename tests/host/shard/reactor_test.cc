#include "host/shard/reactor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <random>
#include <thread>

namespace kante {
namespace {

using std::chrono::milliseconds;
using Look = Reactor::Look;

// A pipe whose reading end is watched.
struct Pipe final : Watched {
  explicit Pipe(Reactor& in) : reactor(in) {
    EXPECT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    EXPECT_FALSE(reactor.watch(ends[0], EPOLLIN, *this).has_error());
  }
  ~Pipe() {
    if (watched) reactor.forget(ends[0], *this);
    ::close(ends[0]);
    ::close(ends[1]);
  }
  void forget() {
    watched = false;
    reactor.forget(ends[0], *this);
  }
  void write() const { EXPECT_EQ(::write(ends[1], "x", 1), 1); }
  void ready(std::uint32_t events) override {
    ++times;
    last = events;
    if (then) then();
  }

  Reactor& reactor;
  int ends[2];
  bool watched = true;
  int times = 0;
  std::uint32_t last = 0;
  std::function<void()> then;
};

TEST(ReactorTest, TellsWhoeverIsReadyOnceUntilThereIsMore) {
  Reactor reactor;
  Pipe pipe(reactor);
  reactor.look(Look::kNow);
  EXPECT_FALSE(reactor.dispatch());
  pipe.write();
  reactor.look(Look::kUntilSomething);
  EXPECT_EQ(pipe.times, 0) << "only dispatch() tells";
  EXPECT_TRUE(reactor.dispatch());
  EXPECT_EQ(pipe.times, 1);
  EXPECT_TRUE(pipe.last & EPOLLIN);
  reactor.look(Look::kNow);
  EXPECT_FALSE(reactor.dispatch()) << "it is edge-triggered";
  pipe.write();
  reactor.look(Look::kNow);
  EXPECT_TRUE(reactor.dispatch());
  EXPECT_EQ(pipe.times, 2);
}

TEST(ReactorTest, SaysAtOnceWhatIsReadyWhenItIsWatched) {
  Reactor reactor;
  Pipe pipe(reactor);
  pipe.forget();
  pipe.write();
  reactor.look(Look::kNow);
  EXPECT_FALSE(reactor.dispatch());
  EXPECT_FALSE(reactor.watch(pipe.ends[0], EPOLLIN, pipe).has_error());
  pipe.watched = true;
  reactor.look(Look::kNow);
  EXPECT_TRUE(reactor.dispatch());
}

TEST(ReactorTest, WhatIsForgottenWhileOthersAreToldIsNotTold) {
  Reactor reactor;
  auto first = std::make_unique<Pipe>(reactor);
  auto second = std::make_unique<Pipe>(reactor);
  first->then = [&] { second.reset(); };
  second->then = [&] { first.reset(); };
  first->write();
  second->write();
  reactor.look(Look::kUntilSomething);
  EXPECT_TRUE(reactor.dispatch());
  EXPECT_NE(first == nullptr, second == nullptr) << "one of them, and it lives";
}

TEST(ReactorTest, TellsOfMoreDescriptorsThanItTakesAtOnce) {
  Reactor reactor;
  std::vector<std::unique_ptr<Pipe>> pipes;
  for (int i = 0; i < 3 * Reactor::kEvents; ++i) {
    pipes.push_back(std::make_unique<Pipe>(reactor));
    pipes.back()->write();
  }
  for (int i = 0; i < 3; ++i) {
    reactor.look(Look::kNow);
    reactor.dispatch();
  }
  EXPECT_TRUE(
      std::all_of(pipes.begin(), pipes.end(), [](const auto& one) { return one->times == 1; }));
}

TEST(ReactorTest, AWakeEndsALookOrTheNextOne) {
  Reactor reactor;
  reactor.wake();
  reactor.look(Look::kUntilSomething);
  EXPECT_FALSE(reactor.dispatch());
  std::thread other([&] { reactor.wake(); });
  reactor.look(Look::kUntilSomething);
  EXPECT_FALSE(reactor.dispatch());
  other.join();
}

TEST(ReactorTest, CallsWhenAMomentHasComeAndNotBefore) {
  Reactor reactor;
  Timer timer(reactor);
  const auto at = Timer::Clock::now() + milliseconds(5);
  int times = 0;
  timer.set(at, [&] { ++times; });
  EXPECT_TRUE(timer.isSet());
  while (times == 0) {
    reactor.look(Look::kUntilSomething);
    reactor.dispatch();
  }
  EXPECT_GE(Timer::Clock::now(), at);
  EXPECT_FALSE(timer.isSet());
  reactor.look(Look::kNow);
  EXPECT_FALSE(reactor.dispatch());
  EXPECT_EQ(times, 1);
}

TEST(ReactorTest, AMomentInThePastComesWithTheNextLook) {
  Reactor reactor;
  Timer timer(reactor);
  int times = 0;
  timer.set(Timer::Clock::now() - milliseconds(5), [&] { ++times; });
  EXPECT_EQ(times, 0);
  reactor.look(Look::kUntilSomething);
  reactor.dispatch();
  EXPECT_EQ(times, 1);
}

TEST(ReactorTest, WhatIsCancelledOrSetAnewDoesNotCome) {
  Reactor reactor;
  Timer cancelled(reactor), moved(reactor), last(reactor);
  int wrong = 0, right = 0;
  bool over = false;
  cancelled.set(milliseconds(1), [&] { ++wrong; });
  moved.set(milliseconds(1), [&] { ++wrong; });
  cancelled.cancel();
  moved.set(milliseconds(3), [&] { ++right; });
  last.set(milliseconds(6), [&] { over = true; });
  {
    Timer gone(reactor);
    gone.set(milliseconds(1), [&] { ++wrong; });
  }
  while (!over) {
    reactor.look(Look::kUntilSomething);
    reactor.dispatch();
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(right, 1);
}

// The kernel was asked for a moment that nobody waits for when it comes.
TEST(ReactorTest, ATimerThatIsSetAfterACancelledOneHasPassedStillComes) {
  Reactor reactor;
  Timer timer(reactor);
  const auto at = Timer::Clock::now() + milliseconds(1);
  timer.set(at, [] { FAIL(); });
  reactor.wake();
  reactor.look(Look::kUntilSomething);  // Only a look that may block asks for it.
  timer.cancel();
  reactor.dispatch();
  while (Timer::Clock::now() <= at) {
    reactor.look(Look::kNow);
    reactor.dispatch();
  }
  reactor.look(Look::kNow);
  reactor.dispatch();
  bool came = false;
  timer.set(milliseconds(1), [&] { came = true; });
  while (!came) {
    reactor.look(Look::kUntilSomething);
    reactor.dispatch();
  }
}

TEST(ReactorTest, ATimerMaySetItselfAndDestroyOthers) {
  Reactor reactor;
  auto other = std::make_unique<Timer>(reactor);
  Timer timer(reactor);
  int times = 0;
  std::function<void()> again = [&] {
    other.reset();
    if (++times < 3) timer.set(Timer::Clock::time_point(), again);
  };
  timer.set(milliseconds(0), again);
  other->set(milliseconds(1), [] { FAIL(); });
  while (times < 3) {
    reactor.look(Look::kUntilSomething);
    reactor.dispatch();
  }
}

TEST(ReactorTest, ManyTimersComeInTheOrderOfTheirMoments) {
  Reactor reactor;
  std::mt19937 random(7);
  const auto begin = Timer::Clock::now();
  std::vector<std::unique_ptr<Timer>> timers;
  std::vector<std::int64_t> came;
  std::size_t expected = 0;
  for (int i = 0; i < 500; ++i) {
    timers.push_back(std::make_unique<Timer>(reactor));
    const std::int64_t us = random() % 5000;
    timers.back()->set(begin + std::chrono::microseconds(us), [&came, us] { came.push_back(us); });
  }
  for (int i = 0; i < 500; i += 3) timers[static_cast<std::size_t>(i)]->cancel();
  for (const auto& timer : timers) expected += timer->isSet();
  while (came.size() < expected) {
    reactor.look(Look::kUntilSomething);
    reactor.dispatch();
  }
  EXPECT_TRUE(std::is_sorted(came.begin(), came.end()));
}

TEST(ReactorTest, TimersOutliveTheReactorUnset) {
  auto reactor = std::make_unique<Reactor>();
  Timer timer(*reactor);
  timer.set(milliseconds(0), [] { FAIL(); });
  reactor.reset();
  EXPECT_FALSE(timer.isSet());
}

}  // namespace
}  // namespace kante
