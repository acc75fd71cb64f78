// Documents whose bundles are not here.
#include <gmock/gmock.h>

#include <mutex>

#include "tests/host/agent/documents_kit.h"
#include "tests/support/eventually.h"

namespace kante::test {
namespace {

using ::testing::HasSubstr;

class DocumentsFetchTest : public DocumentsTest {
 protected:
  DocumentsFetchTest() {
    FetchTimes times;
    times.file_ms = 10;
    auto made = Fetcher::make({gateway_.dir.path() + "/fetch", {}, times},
                              {gateway_.log, [this](std::function<void()> work) {
                                 const std::lock_guard lock(mutex_);
                                 fetched_.push_back(std::move(work));
                               }});
    fetcher_ = std::move(*made);
    gateway_.fetcher = fetcher_.get();
    restart();
    EXPECT_EQ(take(set(1, 1).file()), "taken");
  }
  ~DocumentsFetchTest() override {
    documents_.reset();
    gateway_.agent.reset();
  }

  // With a third module, of a bundle that is not here.
  std::string needs(int version, const std::string& file) const {
    std::string text = deployment(version);
    text.insert(text.find(R"("y":)"), R"("z":{"bundle":")" + Gateway::digestOf("com.example.c") +
                                          R"(","from":["file://)" + gateway_.dir.path() + "/" +
                                          file + R"("]},)");
    return text;
  }
  static Says says(std::uint64_t counter, std::string content) {
    return {DocumentKind::kDeployment, counter, std::move(content)};
  }
  void turn() {
    std::deque<std::function<void()>> work;
    {
      const std::lock_guard lock(mutex_);
      work.swap(fetched_);
    }
    for (const auto& each : work) each();
    runPosted();
  }
  bool reaches(std::uint64_t version, DeploymentState state) {
    return eventually([&] {
      turn();
      const DeploymentStatus now = gateway_.agent->status();
      return now.version == version && now.state == state;
    });
  }
  std::string lastReason() const {
    return documents_->errors().empty() ? "" : documents_->errors().back().reason;
  }

  std::mutex mutex_;
  std::deque<std::function<void()>> fetched_;
  std::unique_ptr<Fetcher> fetcher_;
};

TEST_F(DocumentsFetchTest, ItWaitsForItsBundlesAndIsTakenThen) {
  EXPECT_EQ(take(says(2, needs(2, "later")).file()), "waits");
  EXPECT_EQ(report().at("state"), "fetching");
  EXPECT_EQ(report().at("fetching").at("bundle").as_string().c_str(),
            Gateway::digestOf("com.example.c"));
  gateway_.makeBundle("later", "com.example.c");
  ASSERT_TRUE(reaches(2, DeploymentState::kCommitted));
  EXPECT_EQ(report().at("taken").at("counter"), 2);
  EXPECT_FALSE(report().contains("fetching"));
}

TEST_F(DocumentsFetchTest, ANewerOneTakesItsPlace) {
  EXPECT_EQ(take(says(2, needs(2, "never")).file()), "waits");
  EXPECT_EQ(take(says(3, deployment(3)).file()), "taken");
  EXPECT_EQ(lastReason(), "");
  EXPECT_EQ(gateway_.agent->status().version, 3u);
  EXPECT_EQ(take(says(2, needs(2, "never")).file()), "replayed");
}

TEST_F(DocumentsFetchTest, AlsoOneThatHadToWaitBeforeIt) {
  gateway_.host.hold = true;
  EXPECT_EQ(take(says(2, deployment(2)).file()), "waits");
  EXPECT_EQ(take(says(3, needs(3, "never")).file()), "waits");
  EXPECT_EQ(take(says(4, deployment(4)).file()), "waits");
  gateway_.host.hold = false;
  gateway_.host.release();
  EXPECT_TRUE(reaches(4, DeploymentState::kCommitted));
}

TEST_F(DocumentsFetchTest, NothingElseTakesItsPlace) {
  EXPECT_EQ(take(says(3, needs(2, "never")).file()), "waits");
  EXPECT_EQ(take(says(2, deployment(3)).file()), "waits") << "older";
  EXPECT_EQ(take(layer("munich", 9, period(50)).file()), "waits") << "of another kind";
  EXPECT_EQ(take(says(9, deployment(3)).file(makeDeployer(theCa(), "bob"))), "waits");
  std::string tampered = says(9, deployment(3)).file();
  tampered.back() = '!';
  EXPECT_EQ(take(tampered, {DocumentKind::kDeployment}), "waits");
  EXPECT_EQ(gateway_.agent->status().state, DeploymentState::kFetching);
}

TEST_F(DocumentsFetchTest, WhatSomebodyEndedIsNotTakenAgain) {
  const std::string file = says(2, needs(2, "never")).file();
  EXPECT_EQ(take(file), "waits");
  ASSERT_TRUE(gateway_.rollback());
  runPosted();
  EXPECT_EQ(lastReason(), "given-up");
  EXPECT_THAT(documents_->errors().back().text, HasSubstr("operator/bob gave it up"));
  EXPECT_EQ(take(file), "ignored");
  EXPECT_EQ(gateway_.agent->status().state, DeploymentState::kCommitted);
}

TEST_F(DocumentsFetchTest, WhatCannotBeHadMayComeAgain) {
  gateway_.makeBundle("other", "com.example.d");
  const std::string file = says(2, needs(2, "other")).file();
  EXPECT_EQ(take(file), "waits");
  ASSERT_TRUE(eventually([&] {
    turn();
    return !lastReason().empty();
  }));
  EXPECT_EQ(lastReason(), "not-found");
  gateway_.makeBundle("other", "com.example.c");
  EXPECT_EQ(take(file), "waits");
  EXPECT_TRUE(reaches(2, DeploymentState::kCommitted));
}

}  // namespace
}  // namespace kante::test
