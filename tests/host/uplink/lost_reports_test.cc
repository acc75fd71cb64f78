#include "host/uplink/lost_reports.h"

#include "tests/host/uplink/stub_broker.h"
#include "tests/host/uplink/uplink_fixture.h"

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Everything on one thread: what is posted runs when it is told to.
class LostReportsTest : public StoreTest {
 protected:
  void SetUp() override {
    open();
    start();
  }
  void start() {
    reports_.reset();
    reports_ = std::make_unique<LostReports>(
        LostReports::Host{store_->keyValue(), log_,
                          [this](std::function<void()> work) {
                            const std::lock_guard lock(mutex_);
                            posted_.push_back(std::move(work));
                          },
                          [this](std::uint64_t number, const std::string&) -> Status {
                            if (!connected_) return fail(Errc::kUnavailable, "not connected");
                            published_.push_back(number);
                            return {};
                          }});
    ASSERT_FALSE(reports_->load().has_error());
  }
  // Runs what was posted; the store was asked before, so a waiting call comes back after its
  // answer.
  void settle() {
    ASSERT_FALSE(store_->keyValue().scan("other").has_error());
    std::vector<std::function<void()>> work;
    {
      const std::lock_guard lock(mutex_);
      work.swap(posted_);
    }
    for (const auto& one : work) one();
  }
  std::size_t onDisk() { return store_->keyValue().scan(LostReports::kArea)->size(); }

  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;
  bool connected_ = true;
  std::vector<std::uint64_t> published_;
  std::unique_ptr<LostReports> reports_;
};

TEST_F(LostReportsTest, IsOnDiskBeforeTheMessageLeavesTheQueueAndUntilTheBrokerHasIt) {
  bool kept = false;
  reports_->add(7, "{}", [&] { kept = true; });
  EXPECT_FALSE(kept);
  EXPECT_THAT(published_, IsEmpty());
  settle();
  EXPECT_TRUE(kept);
  EXPECT_EQ(onDisk(), 1u);
  EXPECT_THAT(published_, ElementsAre(7u));
  reports_->answered(7, 0);
  EXPECT_EQ(onDisk(), 0u);
}

TEST_F(LostReportsTest, SurvivesALinkThatIsDownAndTheEndOfTheProcess) {
  connected_ = false;
  reports_->add(7, "{}", [] {});
  reports_->add(3, "{}", [] {});
  settle();
  EXPECT_THAT(published_, IsEmpty());
  start();
  connected_ = true;
  reports_->linkUp();
  EXPECT_THAT(published_, ElementsAre(3u, 7u));
  reports_->linkUp();
  EXPECT_THAT(published_, ElementsAre(3u, 7u)) << "the client repeats by itself";
  reports_->forgotten();
  reports_->linkUp();
  EXPECT_THAT(published_, ElementsAre(3u, 7u, 3u, 7u));
}

TEST_F(LostReportsTest, KeepsWhatTheBrokerRefusesForTheNextConnection) {
  reports_->add(7, "{}", [] {});
  settle();
  reports_->answered(7, 0x87);
  EXPECT_EQ(onDisk(), 1u);
  EXPECT_THAT(published_, ElementsAre(7u));
  reports_->linkUp();
  EXPECT_THAT(published_, ElementsAre(7u, 7u));
}

TEST_F(LostReportsTest, IsWithdrawnWhenTheMessageArrivesAfterAll) {
  connected_ = false;
  reports_->add(7, "{}", [] {});
  settle();
  reports_->withdraw(7);
  EXPECT_EQ(onDisk(), 0u);
}

TEST_F(LostReportsTest, HandsTheClientAFewAtATime) {
  for (std::uint64_t number = 1; number <= 40; ++number) reports_->add(number, "{}", [] {});
  settle();
  EXPECT_EQ(published_.size(), LostReports::kInFlightMax);
  for (std::uint64_t number = 1; number <= 40; ++number) reports_->answered(number, 0);
  EXPECT_EQ(published_.size(), 40u);
  EXPECT_EQ(onDisk(), 0u);
}

// A cut between the refusal and the report: the next life tells it, from the disk.
TEST_F(UplinkTest, ALostNumberIsReportedByTheNextLifeWhenThisOneEndsBefore) {
  {
    std::atomic<bool> refused{false};
    StubBroker broker([&](const auto&) -> std::optional<std::uint8_t> {
      refused = true;
      return 0x99;
    });
    broker.swallow("/lost");
    startUplink(optionsFor(broker.url()));
    send(0, 1);
    ASSERT_TRUE(eventuallyEmpty());
    stopUplink();
  }
  StubBroker broker([](const auto&) { return std::optional<std::uint8_t>(0); });
  startUplink(optionsFor(broker.url()));
  ASSERT_TRUE(eventually([&] {
    for (const auto& publish : broker.seen()) {
      if (publish.topic.ends_with("/lost"))
        return publish.rest.find("\"seq\":1") != std::string::npos;
    }
    return false;
  }));
}

}  // namespace
}  // namespace kante
