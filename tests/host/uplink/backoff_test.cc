#include "host/uplink/backoff.h"

#include <gtest/gtest.h>

namespace kante {
namespace {

// The bounds of the nth wait after ends of one kind.
std::int64_t waitAfter(Backoff& backoff, AttemptEnd end, int times) {
  std::int64_t ms = 0;
  for (int i = 0; i < times; ++i) ms = backoff.nextMs(end);
  return ms;
}

TEST(BackoffTest, DoublesToItsMaximumAndIsNeverExact) {
  Backoff backoff(LinkTimes(), 1);
  std::int64_t most = LinkTimes().backoff_first_ms;
  for (int i = 0; i < 12; ++i) {
    const std::int64_t ms = backoff.nextMs(AttemptEnd::kRefused);
    EXPECT_GE(ms, most / 2);
    EXPECT_LE(ms, most);
    most = std::min(most * 2, LinkTimes().backoff_max_ms);
  }
}

TEST(BackoffTest, ABrokerThatFlapsDoesNotResetIt) {
  Backoff backoff(LinkTimes(), 1);
  EXPECT_GE(waitAfter(backoff, AttemptEnd::kFlapped, 12), LinkTimes().backoff_max_ms / 2);
  EXPECT_LE(backoff.nextMs(AttemptEnd::kSteady), LinkTimes().backoff_first_ms);
}

TEST(BackoffTest, WhereNobodyAnswersItStaysShort) {
  Backoff backoff(LinkTimes(), 1);
  EXPECT_LE(waitAfter(backoff, AttemptEnd::kUnreached, 20), LinkTimes().backoff_unreached_max_ms);
}

TEST(BackoffTest, ABusyBrokerIsSparedFromTheFirstTimeOn) {
  Backoff backoff(LinkTimes(), 1);
  EXPECT_GE(backoff.nextMs(AttemptEnd::kBusy), Backoff::kBusyMs / 2);
}

TEST(BackoffTest, ADeadLinkIsKnownWithin25Seconds) {
  const LinkTimes times;
  EXPECT_EQ(times.keep_alive_s, 15);
  EXPECT_EQ(times.user_timeout_ms, 20'000u);
  // A turn of the client's thread is a second at most.
  EXPECT_LE(times.keep_alive_s * 1000 + times.answer_ms + 1000, 25'000);
}

}  // namespace
}  // namespace kante
