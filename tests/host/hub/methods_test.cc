#include "host/hub/methods.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <optional>

namespace kante {
namespace {

using std::chrono::milliseconds;

class MethodsTest : public testing::Test {
 protected:
  struct Answered {
    int status = 0;
    std::string payload;
  };

  void invoke(MethodRequest request) {
    methods_->invoke(std::move(request), [this](int status, std::string payload) {
      answers_.push_back({status, std::move(payload)});
    });
  }
  // Runs the control thread until nothing more can happen.
  void settle() {
    io_.restart();
    io_.run();
  }
  void poll() {
    io_.restart();
    io_.poll();
  }

  boost::asio::io_context io_;
  std::optional<Methods> methods_{std::in_place, io_};
  std::vector<Answered> answers_;
};

TEST_F(MethodsTest, ACallReachesItsTargetAndItsAnswerTheCaller) {
  MethodCall seen;
  auto target = methods_->add("module/sensor", [&](MethodCall call) {
    seen = call;
    ASSERT_TRUE(methods_->reply(call.id, 201, R"({"ok":true})"));
  });
  invoke({"module/sensor", "reset", R"({"to":5})", "operator/ann", milliseconds(1000)});
  EXPECT_TRUE(answers_.empty());  // Never from within invoke().
  poll();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].status, 201);
  EXPECT_EQ(answers_[0].payload, R"({"ok":true})");
  EXPECT_EQ(seen.name, "reset");
  EXPECT_EQ(seen.payload, R"({"to":5})");
  EXPECT_EQ(seen.caller, "operator/ann");
  EXPECT_EQ(methods_->inFlight(), 0u);
}

TEST_F(MethodsTest, NobodyThereIs404) {
  invoke({"module/none", "reset"});
  poll();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].status, 404);
  EXPECT_EQ(answers_[0].payload, R"({"message":"module/none is not there"})");
}

TEST_F(MethodsTest, ACallWaitsForItsTargetAsLongAsItSays) {
  MethodRequest patient{"device/car", "ping", "1"};
  patient.connect_timeout = std::chrono::minutes(1);
  invoke(patient);
  MethodRequest hasty{"device/van", "ping", "1"};
  hasty.connect_timeout = milliseconds(1);
  invoke(hasty);
  poll();
  auto target = methods_->add("device/car", [&](MethodCall call) {
    ASSERT_TRUE(methods_->reply(call.id, 200, call.payload));
  });
  settle();
  ASSERT_EQ(answers_.size(), 2u);
  const bool car_first = answers_[0].status == 200;
  EXPECT_EQ(answers_[car_first ? 0 : 1].payload, "1");
  EXPECT_EQ(answers_[car_first ? 1 : 0].status, 404);
  hasty.connect_timeout = Methods::kTimeoutMax + milliseconds(1);
  invoke(hasty);
  settle();
  EXPECT_EQ(answers_[2].status, 400);
}

TEST_F(MethodsTest, APauseEndsThoseWhoWaitForTheirTarget) {
  MethodRequest patient{"device/car", "ping"};
  patient.connect_timeout = std::chrono::minutes(1);
  invoke(patient);
  methods_->pause("the host ends");
  settle();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].status, 503);
}

TEST_F(MethodsTest, NoAnswerInTimeIs504AndTheLateOneIsDropped) {
  std::uint64_t id = 0;
  auto target = methods_->add("module/slow", [&](MethodCall call) { id = call.id; });
  invoke({"module/slow", "think", "null", "x", milliseconds(1)});
  settle();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].status, 504);
  EXPECT_EQ(methods_->reply(id, 200, "1").error().code, Errc::kNotFound);
  EXPECT_EQ(methods_->lateReplies(), 1u);
  EXPECT_EQ(methods_->reply(id + 100, 200, "1").error().code, Errc::kNotFound);
  EXPECT_EQ(methods_->lateReplies(), 1u);  // That one was never asked.
  settle();
  EXPECT_EQ(answers_.size(), 1u);
}

TEST_F(MethodsTest, ASecondAnswerIsDropped) {
  auto target = methods_->add("module/a", [&](MethodCall call) {
    EXPECT_TRUE(methods_->reply(call.id, 200, "1"));
    EXPECT_FALSE(methods_->reply(call.id, 200, "2"));
  });
  invoke({"module/a", "m"});
  poll();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].payload, "1");
}

TEST_F(MethodsTest, AnAnswerThatIsNotJsonOrTooLargeBecomes500) {
  std::string answer = "{";
  auto target = methods_->add(
      "module/a", [&](MethodCall call) { (void)methods_->reply(call.id, 200, answer); });
  invoke({"module/a", "m"});
  answer = '"' + std::string(Methods::kPayloadBytesMax, 'x') + '"';
  invoke({"module/a", "m"});
  answer = "";
  invoke({"module/a", "m"});
  poll();
  ASSERT_EQ(answers_.size(), 3u);
  EXPECT_EQ(answers_[0].status, 500);
  EXPECT_EQ(answers_[1].status, 500);
  EXPECT_EQ(answers_[2].status, 200);
  EXPECT_EQ(answers_[2].payload, "null");
}

TEST_F(MethodsTest, ATargetMayHaveAnotherBoundForItsAnswers) {
  const std::string answer = '"' + std::string(Methods::kPayloadBytesMax, 'x') + '"';
  auto target = methods_->add(
      "gateway", [&](MethodCall call) { (void)methods_->reply(call.id, 200, answer); },
      2 * Methods::kPayloadBytesMax);
  invoke({"gateway", "m"});
  poll();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].status, 200);
}

TEST_F(MethodsTest, WhatBreaksARuleIs400AndReachesNobody) {
  int reached = 0;
  auto target = methods_->add("module/a", [&](MethodCall) { ++reached; });
  invoke({"module/a", ""});
  invoke({"module/a", std::string(101, 'n')});
  invoke({"module/a", "m", "{"});
  invoke({"module/a", "m", '"' + std::string(Methods::kPayloadBytesMax, 'x') + '"'});
  invoke({"module/a", "m", "1", "", milliseconds(0)});
  invoke({"module/a", "m", "1", "", Methods::kTimeoutMax + milliseconds(1)});
  poll();
  ASSERT_EQ(answers_.size(), 6u);
  for (const auto& answer : answers_) EXPECT_EQ(answer.status, 400) << answer.payload;
  EXPECT_EQ(reached, 0);
  std::string hundred;  // Characters, not bytes.
  for (int i = 0; i < 100; ++i) hundred += "ü";
  invoke({"module/a", hundred});
  EXPECT_EQ(reached, 1);
}

TEST_F(MethodsTest, CallsInFlightAreBoundedForEachTargetAndForAll) {
  std::vector<Methods::Registration> targets;
  std::vector<std::uint64_t> waiting;
  for (int i = 0; i < 17; ++i)
    targets.push_back(methods_->add("module/m" + std::to_string(i),
                                    [&](MethodCall call) { waiting.push_back(call.id); }));
  for (std::size_t i = 0; i <= Methods::kInFlightPerTargetMax; ++i) invoke({"module/m0", "m"});
  poll();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].status, 429);
  for (int target = 1; target < 17; ++target)
    for (std::size_t i = 0; i < Methods::kInFlightPerTargetMax; ++i)
      invoke({"module/m" + std::to_string(target), "m"});
  EXPECT_EQ(methods_->inFlight(), Methods::kInFlightMax);
  poll();
  EXPECT_EQ(answers_.size(), 1u + Methods::kInFlightPerTargetMax);
  ASSERT_TRUE(methods_->reply(waiting[0], 200, ""));
  invoke({"module/m0", "m"});
  EXPECT_EQ(methods_->inFlight(), Methods::kInFlightMax);
}

TEST_F(MethodsTest, ATargetThatLeavesEndsItsCallsWith404) {
  auto target = methods_->add("module/a", [](MethodCall) {});
  invoke({"module/a", "m"});
  EXPECT_TRUE(methods_->has("module/a"));
  target.reset();
  EXPECT_FALSE(methods_->has("module/a"));
  poll();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].status, 404);
}

TEST_F(MethodsTest, ANewInstanceTakesOverAndTheOldOneMayStillAnswerItsOwn) {
  std::uint64_t old_call = 0;
  auto old_one = methods_->add("module/a", [&](MethodCall call) { old_call = call.id; });
  invoke({"module/a", "m"});
  auto new_one = methods_->add(
      "module/a", [&](MethodCall call) { ASSERT_TRUE(methods_->reply(call.id, 200, "2")); });
  invoke({"module/a", "m"});
  ASSERT_TRUE(methods_->reply(old_call, 200, "1"));
  old_one.reset();
  EXPECT_TRUE(methods_->has("module/a"));
  poll();
  ASSERT_EQ(answers_.size(), 2u);
  EXPECT_EQ(answers_[0].payload, "2");
  EXPECT_EQ(answers_[1].payload, "1");
}

TEST_F(MethodsTest, ATargetMayLeaveWithinItsOwnHandler) {
  Methods::Registration target;
  target = methods_->add("module/a", [&](MethodCall) { target.reset(); });
  invoke({"module/a", "m"});
  poll();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_[0].status, 404);
}

TEST_F(MethodsTest, WhoMayComeYetIsNotSaidToBeMissing) {
  EXPECT_FALSE(methods_->answersFor("module/late"));
  methods_->expectMore("try again in a second");
  EXPECT_TRUE(methods_->answersFor("module/late"));
  auto target = methods_->add("module/sensor", [](MethodCall) {});
  invoke({"module/sensor", "reset"});
  invoke({"module/late", "reset"});
  poll();
  ASSERT_EQ(answers_.size(), 1u) << "who is there is called";
  EXPECT_EQ(answers_[0].status, 503);
  EXPECT_EQ(answers_[0].payload,
            R"({"message":"module/late is not there yet: try again in a second"})");
  methods_->everybodyCame();
  EXPECT_FALSE(methods_->answersFor("module/late"));
  invoke({"module/late", "reset"});
  poll();
  ASSERT_EQ(answers_.size(), 2u);
  EXPECT_EQ(answers_[1].status, 404);
}

TEST_F(MethodsTest, WhilePausedEveryCallEndsAtOnceWith503) {
  std::uint64_t open = 0;
  auto target = methods_->add("module/sensor", [&](MethodCall call) { open = call.id; });
  invoke({"module/sensor", "reset"});
  methods_->pause("back in a second");
  invoke({"module/sensor", "reset"});
  poll();
  ASSERT_EQ(answers_.size(), 2u);
  for (const Answered& answer : answers_) {
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.payload, R"({"message":"back in a second"})");
  }
  EXPECT_EQ(methods_->inFlight(), 0u);
  EXPECT_FALSE(methods_->reply(open, 200, "1")) << "too late";
  methods_->resume();
  invoke({"module/sensor", "reset"});
  poll();
  EXPECT_EQ(answers_.size(), 2u);
  EXPECT_EQ(methods_->inFlight(), 1u);
}

TEST_F(MethodsTest, NobodyIsCalledAfterTheEnd) {
  auto target = methods_->add("module/a", [](MethodCall) {});
  invoke({"module/a", "m", "1", "", milliseconds(1)});
  invoke({"module/none", "m"});
  methods_.reset();
  target.reset();
  settle();
  EXPECT_TRUE(answers_.empty());
}

TEST(MethodGrants, CoverByWholeParts) {
  const auto granted = [](std::vector<std::string> grants, const char* target, const char* method) {
    return methodGranted(grants, target, method);
  };
  EXPECT_FALSE(granted({}, "module/sensor", "reset"));
  EXPECT_TRUE(granted({"module/x/y", "module/sensor/reset"}, "module/sensor", "reset"));
  EXPECT_FALSE(granted({"module/sensor/reset"}, "module/sensor", "resets"));
  EXPECT_FALSE(granted({"module/sensor/reset"}, "module/sensors", "reset"));
  EXPECT_FALSE(granted({"module/sensor"}, "module/sensor", "reset"));
  EXPECT_TRUE(granted({"module/*/reset"}, "module/sensor", "reset"));
  EXPECT_FALSE(granted({"module/*/reset"}, "device/sensor", "reset"));
  EXPECT_TRUE(granted({"module/sensor/*"}, "module/sensor", "a/b"));
  EXPECT_TRUE(granted({"module/sensor/a/b"}, "module/sensor", "a/b"));
  EXPECT_FALSE(granted({"module/sensor/*"}, "module/sensor/sub", "a"));
  EXPECT_TRUE(granted({"*"}, "device/x", "anything"));
  EXPECT_FALSE(granted({""}, "device/x", ""));
}

TEST(MethodGrants, AGrantIsComparedWithWhatTheManifestAsksFor) {
  EXPECT_TRUE(grantCovers("*", "module/a/b"));
  EXPECT_TRUE(grantCovers("module/*/b", "module/a/b"));
  EXPECT_TRUE(grantCovers("module/*/*", "module/*/b"));
  EXPECT_FALSE(grantCovers("module/a/b", "module/*/b"));
  EXPECT_FALSE(grantCovers("module/a", "module/a/b"));
  EXPECT_FALSE(grantCovers("module/a/b", "*"));
}

}  // namespace
}  // namespace kante
