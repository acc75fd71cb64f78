#include "host/base/trusted_clock.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "host/base/encoding.h"

namespace kante {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kDay_s = 86'400;
constexpr std::int64_t kTenYears_s = 3652 * kDay_s;
constexpr auto kTrusted = JudgementTime::Clock::kTrusted;
constexpr auto kUntrusted = JudgementTime::Clock::kUntrusted;

class TrustedClockTest : public ::testing::Test {
 protected:
  TrustedClockTest() {
    path_ = std::filesystem::temp_directory_path() / ("kante-clock-" + toHex(randomBytes(8)));
    directory_ = std::move(*makeDirectory(path_.string()));
  }
  ~TrustedClockTest() override { std::filesystem::remove_all(path_); }

  std::int64_t nowS() const { return clock_.wallNs() / kSecondNs; }
  void setWall(std::int64_t at_s) { clock_.stepWall((at_s - nowS()) * kSecondNs); }
  std::unique_ptr<TrustedClock> start(std::int64_t build_s) {
    auto out = std::make_unique<TrustedClock>(clock_, build_s, [this] { return synchronised_; });
    EXPECT_TRUE(out->keepIn(directory_.get()).has_value());
    return out;
  }
  std::string file() const {
    auto text = readFile(directory_.get(), TrustedClock::kFileName, 4096);
    return text ? std::move(*text) : std::string();
  }

  std::filesystem::path path_;
  FileDescriptor directory_;
  ManualClock clock_;
  bool synchronised_ = false;
  const std::int64_t build_s_ = nowS() - 30 * kDay_s;
};

TEST_F(TrustedClockTest, AClockAfterTheBuildIsTrusted) {
  const auto clock = start(build_s_);
  EXPECT_TRUE(clock->trusted());
  EXPECT_EQ(clock->judgement().clock, kTrusted);
  EXPECT_EQ(clock->judgement().at_s, nowS());
  EXPECT_EQ(clock->read().floor_from, FloorFrom::kBuild);
  EXPECT_EQ(clock->read().reason(), "");
}

TEST_F(TrustedClockTest, AClockAt1970IsNotTrustedUntilItIsSet) {
  const std::int64_t today_s = nowS();
  setWall(5);
  const auto clock = start(build_s_);
  EXPECT_FALSE(clock->trusted());
  EXPECT_EQ(clock->judgement().clock, kUntrusted);
  EXPECT_EQ(clock->judgement().at_s, build_s_);
  EXPECT_THAT(clock->read().reason(), HasSubstr("1970-01-01T00:00:05.000Z"));
  EXPECT_THAT(clock->read().reason(), HasSubstr("when this build was made"));
  ASSERT_TRUE(clock->tick().has_value());
  EXPECT_EQ(file(), "") << "a time that is not trusted is not saved";
  setWall(today_s);
  EXPECT_TRUE(clock->trusted());
}

TEST_F(TrustedClockTest, TheTimeIsSavedEveryTenMinutesAndNotMoreOften) {
  const auto clock = start(build_s_);
  ASSERT_TRUE(clock->tick().has_value());
  const std::string first = file();
  EXPECT_THAT(first, HasSubstr(std::to_string(nowS())));
  clock_.advance((TrustedClock::kSaveEveryS - 1) * kSecondNs);
  ASSERT_TRUE(clock->tick().has_value());
  EXPECT_EQ(file(), first);
  clock_.advance(kSecondNs);
  ASSERT_TRUE(clock->tick().has_value());
  EXPECT_THAT(file(), HasSubstr(std::to_string(nowS())));
  // A life that follows soon writes nothing.
  const std::string second = file();
  clock_.advance(kSecondNs);
  ASSERT_TRUE(start(build_s_)->tick().has_value());
  EXPECT_EQ(file(), second);
}

TEST_F(TrustedClockTest, AClockThatIsSetBackIsJudgedAtTheSavedTime) {
  const std::int64_t saved_s = nowS();
  ASSERT_TRUE(start(build_s_)->tick().has_value());
  setWall(saved_s - kDay_s);
  const auto clock = start(build_s_);
  EXPECT_FALSE(clock->trusted());
  EXPECT_EQ(clock->judgement().at_s, saved_s);
  EXPECT_EQ(clock->read().floor_from, FloorFrom::kSaved);
  EXPECT_THAT(clock->read().reason(), HasSubstr("the time saved last"));
}

TEST_F(TrustedClockTest, AnAcceptedCertificateRaisesTheFloorForGood) {
  const std::int64_t begins_s = nowS() - kDay_s;
  {
    const auto clock = start(build_s_);
    clock->accepted(begins_s);
    clock->accepted(begins_s - kDay_s);
    setWall(5);
    EXPECT_EQ(clock->judgement().at_s, begins_s);
    ASSERT_TRUE(clock->tick().has_value());
  }
  const auto clock = start(build_s_);
  EXPECT_EQ(clock->judgement().at_s, begins_s);
  EXPECT_EQ(clock->read().floor_from, FloorFrom::kCertificate);
}

TEST_F(TrustedClockTest, AKernelThatIsSynchronisedLowersAFloorThatIsTenYearsAhead) {
  const std::int64_t today_s = nowS();
  setWall(today_s + kTenYears_s);
  {
    const auto clock = start(build_s_);
    ASSERT_TRUE(clock->tick().has_value());
    clock->accepted(today_s + kTenYears_s);
    setWall(today_s);
    EXPECT_FALSE(clock->trusted()) << "nobody says yet that it is right now";
    EXPECT_EQ(clock->judgement().at_s, today_s + kTenYears_s);
    synchronised_ = true;
    EXPECT_TRUE(clock->trusted());
    EXPECT_EQ(clock->judgement().at_s, today_s);
    EXPECT_EQ(clock->read().floor_s, today_s);
    ASSERT_TRUE(clock->tick().has_value());
  }
  synchronised_ = false;
  const auto clock = start(build_s_);
  EXPECT_TRUE(clock->trusted()) << "the lowered floor was saved at once";
  EXPECT_EQ(clock->read().floor_s, today_s);
}

TEST_F(TrustedClockTest, NothingRunsBeforeItIsBuiltWhateverTheKernelSays) {
  synchronised_ = true;
  setWall(5);
  const auto clock = start(build_s_);
  EXPECT_FALSE(clock->trusted());
  EXPECT_EQ(clock->judgement().at_s, build_s_);
  ASSERT_TRUE(clock->tick().has_value());
  EXPECT_EQ(clock->read().floor_s, build_s_);
}

TEST_F(TrustedClockTest, AFileThatIsDamagedIsSaidAndReplaced) {
  for (const char* damage :
       {"", "{", "[]", "{\"saved_s\":1}", "{\"saved_s\":-1,\"certificate_s\":0}",
        "{\"saved_s\":\"x\",\"certificate_s\":0}",
        "{\"saved_s\":999999999999999,\"certificate_s\":0}"}) {
    ASSERT_TRUE(replaceFile(directory_.get(), TrustedClock::kFileName, damage).has_value());
    TrustedClock clock(clock_, build_s_, [] { return false; });
    const Status kept = clock.keepIn(directory_.get());
    ASSERT_TRUE(kept.has_error()) << damage;
    EXPECT_EQ(kept.error().code, Errc::kCorrupt) << damage;
    EXPECT_THAT(kept.error().text, HasSubstr("clock.json"));
    EXPECT_EQ(clock.read().floor_s, build_s_);
    ASSERT_TRUE(clock.tick().has_value());
    EXPECT_TRUE(start(build_s_)) << damage;
  }
}

TEST_F(TrustedClockTest, ADirectoryThatCannotBeWrittenIsTriedAgainAMinuteLater) {
  const auto clock = start(build_s_);
  std::filesystem::remove_all(path_);
  const Status failed = clock->tick();
  ASSERT_TRUE(failed.has_error());
  EXPECT_THAT(failed.error().text, HasSubstr("the time cannot be saved"));
  EXPECT_TRUE(clock->tick().has_value()) << "not yet again";
  clock_.advance(TrustedClock::kRetryNs);
  EXPECT_TRUE(clock->tick().has_error());
}

TEST(KernelSynchronisedTest, TheKernelAnswers) { (void)kernelSynchronised(); }

}  // namespace
}  // namespace kante
