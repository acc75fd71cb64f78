// What becomes of a TTL when the wall clock is wrong and when the process or the machine stops.
#include "host/store/store_clock.h"

#include "tests/host/store/store_fixture.h"

namespace kante {
namespace {

using Wall = StoreClock::Wall;
using Strings = std::vector<std::string>;
constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kHourNs = 3600 * kSecondNs;
constexpr std::int64_t kDayNs = 24 * kHourNs;
constexpr std::int64_t kTenYearsNs = 3652 * kDayNs;

class StoreClockTest : public StoreTest {
 protected:
  void life(Wall wall, const std::string& boot_id) {
    StoreOptions options;
    options.wall = [wall] { return wall; };
    options.boot_id = boot_id;
    open(options);
  }
  // "x" lives for a minute of the store's clock; "y" says that nothing else is there.
  void putMinute() { put(queue(), entryOf("x", 9, 60 * kSecondNs)); }
  Strings left() {
    put(queue(), entryOf("y"));
    return bodies(take(queue()));
  }
};

TEST_F(StoreClockTest, NoStepOfTheWallClockExpiresAnything) {
  for (const std::int64_t step : {kHourNs, -kHourNs, kTenYearsNs, -kTenYearsNs}) {
    life(Wall::kTrusted, "boot");
    putMinute();
    clock_.stepWall(step);
    const TakenBatch batch = [this] {
      put(queue(), entryOf("y"));
      return take(queue());
    }();
    EXPECT_EQ(bodies(batch), Strings({"x", "y"})) << step;
    queue().acknowledge(tokens(batch));
  }
}

TEST_F(StoreClockTest, WithinOneBootAStopCountsExactlyAndNoStepCounts) {
  for (const Wall wall : {Wall::kUntrusted, Wall::kTrusted, Wall::kSynchronised}) {
    life(wall, "boot");
    putMinute();
    store_.reset();
    clock_.advance(59 * kSecondNs);
    clock_.stepWall(kTenYearsNs);
    life(wall, "boot");
    TakenBatch batch = [this] {
      put(queue(), entryOf("y"));
      return take(queue());
    }();
    EXPECT_EQ(bodies(batch), Strings({"x", "y"}));
    queue().acknowledge(tokens(batch));
    putMinute();
    store_.reset();
    clock_.advance(61 * kSecondNs);
    clock_.stepWall(-kTenYearsNs);
    life(wall, "boot");
    batch = [this] {
      put(queue(), entryOf("y"));
      return take(queue());
    }();
    EXPECT_EQ(bodies(batch), Strings({"y"})) << "a TTL goes on while the process is stopped";
    queue().acknowledge(tokens(batch));
  }
}

TEST_F(StoreClockTest, OverABootTheWallClockCountsOnlyWhereItIsTrustedAtBothEnds) {
  const struct {
    Wall before, after;
    std::int64_t step;
    bool expires;
  } kCases[] = {
      {Wall::kTrusted, Wall::kTrusted, kHourNs, true},
      {Wall::kUntrusted, Wall::kTrusted, kHourNs, false},
      {Wall::kTrusted, Wall::kUntrusted, kHourNs, false},
      {Wall::kTrusted, Wall::kTrusted, -kHourNs, false},
      {Wall::kTrusted, Wall::kTrusted, kTenYearsNs, false},
      {Wall::kTrusted, Wall::kSynchronised, kTenYearsNs, false},
      {Wall::kSynchronised, Wall::kSynchronised, 60 * kDayNs, true},
  };
  int boot = 0;
  for (const auto& each : kCases) {
    life(each.before, "boot-" + std::to_string(boot++));
    putMinute();
    store_.reset();
    clock_.stepWall(each.step);
    life(each.after, "boot-" + std::to_string(boot++));
    put(queue(), entryOf("y"));
    const TakenBatch batch = take(queue());
    EXPECT_EQ(bodies(batch), each.expires ? Strings({"y"}) : Strings({"x", "y"})) << boot;
    queue().acknowledge(tokens(batch));
  }
}

TEST_F(StoreClockTest, ABootThatIsNotKnownCountsByTheWallClock) {
  life(Wall::kTrusted, "");
  putMinute();
  store_.reset();
  clock_.stepWall(kHourNs);
  life(Wall::kTrusted, "");
  EXPECT_EQ(left(), Strings({"y"}));
}

}  // namespace
}  // namespace kante
