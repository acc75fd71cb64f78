#include <gmock/gmock.h>

#include <deque>
#include <mutex>
#include <optional>

#include "host/bundle/delta_make.h"
#include "tests/host/agent/agent_kit.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Patience = Fetcher::Patience;

class FetchingTest : public ::testing::Test {
 protected:
  FetchingTest() {
    FetchTimes times;
    times.file_ms = times.few_ms = 10;
    auto made = Fetcher::make({gateway_.dir.path() + "/fetch", {}, times},
                              {gateway_.log, [this](std::function<void()> task) {
                                 const std::lock_guard lock(mutex_);
                                 tasks_.push_back(std::move(task));
                               }});
    fetcher_ = std::move(*made);
    gateway_.fetcher = fetcher_.get();
    gateway_.makeBundle("c.bundle", "com.example.c", 7, test::kPorts);
    gateway_.restart();
    EXPECT_TRUE(gateway_.apply(test::document(1)));
  }
  ~FetchingTest() override {
    gateway_.agent.reset();
    fetcher_.reset();
  }

  static std::string digest() { return test::Gateway::digestOf("com.example.c", 7, test::kPorts); }
  // With a third module, of a bundle that is not here.
  std::string needs(int version, const std::string& file, const std::string& digest_of_it) const {
    std::string text = test::document(version);
    text.insert(text.find(R"("y":)"), R"("z":{"bundle":")" + digest_of_it +
                                          R"(","from":["file://)" + gateway_.dir.path() + "/" +
                                          file + R"("]},)");
    return text;
  }
  void apply(const std::string& document, Patience patience = Patience::kUntilCancelled) {
    ApplyRequest request = gateway_.request(document);
    request.patience = patience;
    result_.reset();
    gateway_.agent->apply(std::move(request),
                          [this](Result<ApplyOutcome> outcome) { result_ = std::move(outcome); });
  }
  void turn() {
    std::unique_lock lock(mutex_);
    while (!tasks_.empty()) {
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }
  bool ended() {
    return eventually([this] {
      turn();
      return result_.has_value();
    });
  }
  std::string refusal() {
    if (!ended()) return "nothing";
    return result_->has_value() ? "applied" : result_->error().text;
  }
  // So many that what nobody needs is collected.
  void admitMany() {
    for (int n = 0; n < 66; ++n) {
      gateway_.makeBundle("m.kmod", "com.example.m", ++admitted_, test::kPorts);
      const auto file = openAt(AT_FDCWD, gateway_.dir.path() + "/m.kmod", O_RDONLY).value();
      ASSERT_TRUE(gateway_.agent->admit(file.get(), ApplyRequest::Rebind::kNo));
    }
  }
  std::string stateNow() const {
    const DeploymentStatus status = gateway_.agent->status();
    return status.id + " " + std::to_string(status.version) + " " + name(status.state);
  }

  test::Gateway gateway_;
  std::uint64_t admitted_ = 0;
  std::mutex mutex_;
  std::deque<std::function<void()>> tasks_;
  std::unique_ptr<Fetcher> fetcher_;
  std::optional<Result<ApplyOutcome>> result_;
};

TEST_F(FetchingTest, ABundleThatIsNotHereIsFetchedAndDeployed) {
  apply(needs(2, "c.bundle", digest()));
  EXPECT_EQ(stateNow(), "line-4 2 fetching");
  EXPECT_EQ(gateway_.host.targets.size(), 1u);
  ASSERT_TRUE(ended());
  ASSERT_TRUE(*result_) << result_->error().text;
  EXPECT_EQ((*result_)->kind, ApplyOutcome::Kind::kCommitted);
  EXPECT_EQ(stateNow(), "line-4 2 committed");
  EXPECT_EQ(gateway_.host.targets.back().modules.size(), 3u);
  EXPECT_TRUE(gateway_.bundles->find(digest()));
}

TEST_F(FetchingTest, WhatIsHereIsNotFetched) {
  apply(needs(2, "c.bundle", digest()));
  ASSERT_TRUE(ended());
  apply(needs(3, "nowhere", digest()));
  EXPECT_EQ(stateNow(), "line-4 3 committed");
}

TEST_F(FetchingTest, ItWaitsForWhatIsNotThereYetAndSaysSo) {
  apply(needs(2, "later", digest()));
  ASSERT_TRUE(eventually([&] { return !gateway_.agent->status().fetching.problem.empty(); }));
  const FetchProgress progress = gateway_.agent->status().fetching;
  EXPECT_EQ(progress.digest, digest());
  EXPECT_THAT(progress.source, HasSubstr("/later"));
  EXPECT_THAT(progress.problem, HasSubstr("No such file"));
  gateway_.makeBundle("later", "com.example.c", 7, test::kPorts);
  ASSERT_TRUE(ended());
  EXPECT_EQ(stateNow(), "line-4 2 committed");
}

TEST_F(FetchingTest, WhoStandsByIsToldAfterAFewTries) {
  apply(needs(2, "nowhere", digest()), Patience::kFewTries);
  EXPECT_THAT(refusal(), AllOf(StartsWith("/modules/z/bundle: " + digest() + " cannot be had: "),
                               HasSubstr("/nowhere: No such file")));
  EXPECT_EQ(stateNow(), "line-4 1 committed");
  EXPECT_EQ(gateway_.agent->history().size(), 1u) << "nothing was tried";
}

TEST_F(FetchingTest, WhatIsFetchedIsAdmittedAsAnyOther) {
  const std::string payload = test::goodPayload("com.example.d", 7, test::kPorts);
  const test::Identity stranger = test::makeSigner(test::makeCa("strangers"));
  gateway_.dir.write("d.bundle", test::frameOf(payload, test::makeCms(payload, stranger)));
  const std::string of_stranger = test::Gateway::digestOf("com.example.d", 7, test::kPorts);
  apply(needs(2, "d.bundle", of_stranger));
  EXPECT_THAT(refusal(), StartsWith("/modules/z/bundle: " + of_stranger + ": "));
  EXPECT_EQ(result_->error().code, Errc::kUntrusted);
  EXPECT_FALSE(gateway_.bundles->find(of_stranger));
  EXPECT_EQ(stateNow(), "line-4 1 committed");
}

TEST_F(FetchingTest, OtherChangesWaitAndARollbackEndsIt) {
  apply(needs(2, "nowhere", digest()));
  const auto other = gateway_.apply(test::document(3));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().text,
            "line-4 version 2 waits for a bundle; wait for that, or roll it back");
  ASSERT_TRUE(gateway_.rollback());
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(refusal(), "operator/bob gave it up");
  EXPECT_EQ(stateNow(), "line-4 1 committed");
  EXPECT_TRUE(gateway_.apply(test::document(3)));
}

TEST_F(FetchingTest, ADeltaIsAppliedToABundleOfTheStore) {
  const std::string from = test::Gateway::digestOf("com.example.a", 7, test::kPorts);
  const std::string to = test::Gateway::digestOf("com.example.a", 8, test::kPorts);
  gateway_.makeBundle("a8.kmod", "com.example.a", 8, test::kPorts);
  const std::string& folder = gateway_.dir.path();
  const auto delta = openAt(AT_FDCWD, folder + "/a.kdelta", O_RDWR | O_CREAT).value();
  const auto made =
      makeDelta({folder + "/a.kmod", folder + "/a8.kmod", folder, std::nullopt}, delta.get());
  ASSERT_TRUE(made) << made.error().text;
  std::string text = needs(2, "nowhere", to);
  const std::string whole = R"("from":[)";
  text.replace(
      text.find(whole), whole.size(),
      whole + R"({"delta":"file://)" + folder + R"(/a.kdelta","base":")" + from + R"("},)");
  apply(text);
  EXPECT_EQ(stateNow(), "line-4 2 fetching");
  ASSERT_TRUE(ended());
  ASSERT_TRUE(*result_) << result_->error().text;
  const auto reports = gateway_.agent->status().fetched;
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].base, from);
  EXPECT_EQ(reports[0].digest, to);
  EXPECT_EQ(reports[0].bytes, made->head.delta_bytes);
  EXPECT_TRUE(gateway_.bundles->find(to));
}

TEST_F(FetchingTest, TheBaseOfADeltaStaysAsLongAsItMayBeNeeded) {
  // In no deployment that is kept: only this fetch knows of it.
  const std::string base = digest();
  gateway_.makeBundle("late", "com.example.c", 9, test::kPorts);
  const auto opened = openAt(AT_FDCWD, gateway_.dir.path() + "/c.bundle", O_RDONLY).value();
  ASSERT_TRUE(gateway_.bundles->admit(opened.get(), test::policyFor(*gateway_.trust)));
  std::string text = needs(2, "nowhere", test::Gateway::digestOf("com.example.c", 9, test::kPorts));
  const std::string whole = R"("from":[)";
  text.replace(text.find(whole), whole.size(),
               whole + R"({"delta":"file:///nowhere","base":")" + base + R"("},)");
  apply(text);
  admitMany();
  EXPECT_TRUE(gateway_.bundles->find(base));
  ASSERT_TRUE(gateway_.rollback());
  admitMany();
  EXPECT_FALSE(gateway_.bundles->find(base)) << "and is collected with the rest then";
}

TEST_F(FetchingTest, ALayerBringsBundles) {
  const std::string layer = R"({"schema":"kante.layer/1","content":{"modules":{"z":{"bundle":")" +
                            digest() + R"(","from":["file://)" + gateway_.dir.path() +
                            R"(/c.bundle"]}}}})";
  ApplyRequest request = gateway_.request("");
  request.layers.push_back({"extra", layer});
  gateway_.agent->apply(std::move(request),
                        [this](Result<ApplyOutcome> outcome) { result_ = std::move(outcome); });
  EXPECT_EQ(stateNow(), "line-4 1 fetching");
  ASSERT_TRUE(ended());
  ASSERT_TRUE(*result_) << result_->error().text;
  EXPECT_EQ(gateway_.host.targets.back().modules.size(), 3u);
}

TEST_F(FetchingTest, ADryRunFetchesNothing) {
  ApplyRequest request = gateway_.request(needs(2, "c.bundle", digest()));
  request.mode = ApplyRequest::Mode::kDryRun;
  gateway_.agent->apply(std::move(request),
                        [this](Result<ApplyOutcome> outcome) { result_ = std::move(outcome); });
  EXPECT_THAT(refusal(),
              HasSubstr(digest() + " is not in the store yet; only an apply fetches it"));
  EXPECT_FALSE(gateway_.bundles->find(digest()));
}

TEST_F(FetchingTest, TheEndOfTheProcessLeavesEverythingAsItWas) {
  apply(needs(2, "nowhere", digest()));
  gateway_.restart();
  ASSERT_TRUE(gateway_.start());
  EXPECT_EQ(stateNow(), "line-4 1 committed");
  turn();
  EXPECT_FALSE(result_.has_value());
}

// Images are got by somebody else; here it is the test.
class ImagesTest : public FetchingTest {
 protected:
  ImagesTest() {
    gateway_.get_image = [this](const std::string& image, Patience,
                                std::function<void(Status)> then) {
      asked_.push_back(image);
      then_ = std::move(then);
      return handle_ = std::make_shared<int>();
    };
    gateway_.restart();
    EXPECT_TRUE(gateway_.start());
  }
  ~ImagesTest() override { handle_.reset(); }
  static std::string needsImage(int version, const std::string& more = "") {
    std::string text = test::document(version);
    text.insert(text.find(R"("y":)"), R"("z":{"image":"line:1")" + more + "},");
    return text;
  }

  std::vector<std::string> asked_;
  std::function<void(Status)> then_;
  std::shared_ptr<void> handle_;
};

TEST_F(ImagesTest, AnImageIsGotBeforeAnythingChanges) {
  apply(needsImage(2));
  EXPECT_EQ(stateNow(), "line-4 2 fetching");
  EXPECT_EQ(asked_, std::vector<std::string>{"line:1"});
  EXPECT_EQ(gateway_.agent->status().fetching.digest, "image:line:1");
  const std::size_t switched = gateway_.host.targets.size();
  then_({});
  ASSERT_TRUE(result_);
  EXPECT_TRUE(*result_) << result_->error().text;
  EXPECT_EQ(gateway_.host.targets.size(), switched + 1);
  EXPECT_EQ(stateNow(), "line-4 2 committed");
  apply(needsImage(3));
  EXPECT_EQ(asked_.size(), 1u) << "what runs is not asked for";
}

TEST_F(ImagesTest, OneThatIsNotThereChangesNothing) {
  apply(needsImage(2));
  then_(fail(Errc::kIo, "pull image line:1: no such host"));
  ASSERT_TRUE(result_);
  EXPECT_EQ(result_->error().text, "/modules/z/image: pull image line:1: no such host");
  EXPECT_EQ(stateNow(), "line-4 1 committed");
  EXPECT_EQ(gateway_.agent->history().size(), 1u) << "nothing was tried";
}

TEST_F(ImagesTest, OneThatIsNeverPulledIsNotAskedFor) {
  apply(needsImage(2, R"(,"pull":"never")"));
  EXPECT_TRUE(asked_.empty());
  EXPECT_EQ(stateNow(), "line-4 2 committed");
}

TEST_F(ImagesTest, OtherChangesWaitAndARollbackEndsIt) {
  apply(needsImage(2));
  const auto other = gateway_.apply(test::document(3));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().text,
            "line-4 version 2 waits for an image; wait for that, or roll it back");
  const std::weak_ptr<void> handle = std::exchange(handle_, nullptr);
  ASSERT_TRUE(gateway_.rollback());
  EXPECT_TRUE(handle.expired()) << "nobody pulls any more";
  EXPECT_EQ(refusal(), "operator/bob gave it up");
  EXPECT_EQ(stateNow(), "line-4 1 committed");
  EXPECT_TRUE(gateway_.apply(test::document(3)));
}

TEST_F(ImagesTest, TheEndOfTheProcessLeavesEverythingAsItWas) {
  apply(needsImage(2));
  gateway_.restart();
  ASSERT_TRUE(gateway_.start());
  EXPECT_EQ(stateNow(), "line-4 1 committed");
  EXPECT_FALSE(result_.has_value());
  apply(needsImage(2));
  EXPECT_EQ(asked_.size(), 2u) << "and then it begins anew";
}

TEST_F(ImagesTest, GivingUpEndsIt) {
  apply(needsImage(2));
  const std::weak_ptr<void> handle = std::exchange(handle_, nullptr);
  EXPECT_FALSE(handle.expired());
  gateway_.agent->giveUpFetching("a newer document came");
  EXPECT_TRUE(handle.expired());
  EXPECT_EQ(stateNow(), "line-4 1 committed");
}

}  // namespace
}  // namespace kante
