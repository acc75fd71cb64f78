#include "host/uplink/flight_control.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "host/uplink/token_bucket.h"

namespace kante {
namespace {

constexpr std::int64_t kMs = 1'000'000;

// A link that carries one message after the other, with a time to and fro beside that, and a sender
// that always has more.
class Link {
 public:
  Link(double bytes_per_s, std::int64_t there_and_back_ns)
      : bytes_per_s_(bytes_per_s), both_ways_ns_(there_and_back_ns) {}

  void setRate(double bytes_per_s) { bytes_per_s_ = bytes_per_s; }

  // Runs so long; the longest time that a message sent in the second half had to wait.
  std::int64_t run(FlightControl& flight, std::int64_t for_ns, std::uint64_t bytes) {
    const std::int64_t end_ns = now_ns_ + for_ns;
    std::int64_t longest_ns = 0;
    while (now_ns_ < end_ns) {
      while (flight.mayFollow(bytes)) send(flight, bytes);
      const OnTheWay next = way_.front();
      way_.pop_front();
      now_ns_ = std::max(now_ns_, next.answered_ns);
      flight.acknowledged(next.sent, now_ns_);
      done_bytes_ += bytes;
      if (next.sent.at_ns > end_ns - for_ns / 2)
        longest_ns = std::max(longest_ns, now_ns_ - next.sent.at_ns);
    }
    return longest_ns;
  }
  double doneBytes() const { return static_cast<double>(done_bytes_); }

 private:
  struct OnTheWay {
    FlightControl::Sent sent;
    std::int64_t answered_ns;
  };
  void send(FlightControl& flight, std::uint64_t bytes) {
    free_ns_ = std::max(free_ns_, now_ns_) +
               static_cast<std::int64_t>(static_cast<double>(bytes) / bytes_per_s_ * 1e9);
    way_.push_back({flight.sent(bytes, now_ns_), free_ns_ + both_ways_ns_});
  }

  double bytes_per_s_;
  const std::int64_t both_ways_ns_;
  std::int64_t now_ns_ = 1'000 * kMs;
  std::int64_t free_ns_ = 0;
  std::uint64_t done_bytes_ = 0;
  std::deque<OnTheWay> way_;
};

TEST(FlightControlTest, KeepsAThinLinkBusyWithoutFillingIt) {
  FlightControl flight;
  Link link(8'000, 50 * kMs);  // 64 kbit/s
  const std::int64_t longest_ns = link.run(flight, 60'000 * kMs, 400);
  EXPECT_LT(longest_ns, 700 * kMs);
  EXPECT_GT(link.doneBytes(), 0.85 * 8'000 * 60) << "the link is used";
}

TEST(FlightControlTest, FillsAFastLinkAndALongOne) {
  FlightControl fast;
  Link lan(100e6, kMs);
  lan.run(fast, 5'000 * kMs, 400);
  EXPECT_GT(lan.doneBytes(), 0.8 * 100e6 * 5);
  FlightControl far;
  Link satellite(1e6, 600 * kMs);
  satellite.run(far, 60'000 * kMs, 400);
  EXPECT_GT(satellite.doneBytes(), 0.7 * 1e6 * 60);
}

TEST(FlightControlTest, ShrinksWhenTheLinkBecomesThin) {
  FlightControl flight;
  Link link(1e6, 50 * kMs);
  link.run(flight, 20'000 * kMs, 400);
  EXPECT_GT(flight.window(), 100'000u);
  link.setRate(8'000);
  EXPECT_LT(link.run(flight, 200'000 * kMs, 400), 700 * kMs);
}

TEST(FlightControlTest, OneMessageAlwaysMayFollowAndARepeatedOneSaysNothingOfTime) {
  FlightControl flight;
  EXPECT_TRUE(flight.mayFollow(1'000'000));
  FlightControl::Sent sent = flight.sent(1'000'000, kMs);
  EXPECT_FALSE(flight.mayFollow(1));
  flight.linkUp();
  EXPECT_EQ(flight.inFlight(), 1'000'000u) << "the client repeats it";
  sent.at_ns = 0;
  flight.acknowledged(sent, 50'000 * kMs);
  EXPECT_EQ(flight.inFlight(), 0u);
  EXPECT_EQ(flight.shortestNs(), 0);
  EXPECT_EQ(flight.window(), FlightControl::kWindowFirst);
}

TEST(TokenBucketTest, GivesSoManyASecondAndASecondsWorthAtOnce) {
  TokenBucket bucket(10);
  std::int64_t now_ns = 5'000 * kMs;
  EXPECT_EQ(bucket.available(now_ns), 1u);
  bucket.spend(1);
  EXPECT_EQ(bucket.available(now_ns), 0u);
  EXPECT_EQ(bucket.available(now_ns += 500 * kMs), 5u);
  bucket.spend(5);
  EXPECT_EQ(bucket.available(now_ns += 100'000 * kMs), 10u);
  TokenBucket none(0);
  EXPECT_EQ(none.available(now_ns), TokenBucket::kUnlimited);
}

}  // namespace
}  // namespace kante
