// What documents leave on disk, and what later lives of the host make of it and report.
#include "host/agent/documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/host/agent/documents_kit.h"

namespace kante {
namespace {

using test::document;
using test::DocumentsTest;
using test::Says;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(DocumentsTest, WhatWasRolledBackIsNotTriedAgainByItself) {
  ASSERT_EQ(take(set(3, 1).file()), "taken");
  gateway_.host.failures.push_back(fail(Errc::kState, "module x crashed at its start"));
  const std::string bad = set(4, 2).file();
  EXPECT_EQ(take(bad), "rolled-back");
  EXPECT_EQ(take(bad), "ignored");
  restart();
  EXPECT_EQ(take(bad), "ignored");
  EXPECT_EQ(take(set(4, 3).file()), "taken");
}

TEST_F(DocumentsTest, WhatACrashCutOffIsTriedAgain) {
  ASSERT_EQ(take(set(3, 1).file()), "taken");
  const std::string file = set(4, 2).file();
  for (std::size_t i = 0; i < Agent::kCutOffMax; ++i) {
    gateway_.host.hold = true;
    EXPECT_EQ(take(file), "waits");
    gateway_.host.hold = false;
    restart();
    EXPECT_EQ(gateway_.agent->status().version, 3u);
  }
  EXPECT_EQ(take(file), "ignored");  // It may be what ends the process.
  EXPECT_EQ(take(set(4, 3).file()), "taken");
}

TEST_F(DocumentsTest, WhatTheGatewayCouldNotDoIsTriedAgain) {
  ASSERT_EQ(take(set(3, 1).file()), "taken");
  gateway_.journal.full = true;  // Not begun.
  EXPECT_EQ(take(set(4, 2).file()), "failed");
  gateway_.journal.full = false;
  gateway_.journal.sync_failures = {true};
  EXPECT_EQ(take(set(4, 2).file()), "failed");
  gateway_.journal.sync_failures = {false, true};  // Not committed.
  EXPECT_EQ(take(set(4, 2).file()), "failed");
  EXPECT_EQ(gateway_.agent->status().version, 3u);
  EXPECT_EQ(take(set(4, 2).file()), "taken");

  gateway_.host.its_turn = ModuleHost::Turn::kTaken;
  const std::string file = set(5, 3).file();
  for (std::size_t i = 0; i < Agent::kCutOffMax; ++i)
    EXPECT_EQ(take(file), i + 1 < Agent::kCutOffMax ? "busy" : "rolled-back");
  EXPECT_EQ(take(file), "ignored") << "not for ever";
  gateway_.host.its_turn = ModuleHost::Turn::kOver;
  EXPECT_EQ(take(set(5, 4).file()), "busy");
  gateway_.host.its_turn = ModuleHost::Turn::kFree;
  restart();
  EXPECT_EQ(take(set(5, 4).file()), "taken");
}

TEST_F(DocumentsTest, WhatAPowerCutEndedInTheNextLifeIsTriedAgainUnlessAModuleDidIt) {
  ASSERT_EQ(take(set(3, 1).file()), "taken");
  gateway_.handover = {[] {}, [] {}, [] {}};
  restart();
  for (const char* end : {"", "module x brought it down: SIGSEGV"}) {
    const std::string file = set(4, *end == '\0' ? 2 : 3).file();
    gateway_.host.room = ModuleHost::Room::kNextLife;
    EXPECT_EQ(take(file), "taken");
    gateway_.host.room = ModuleHost::Room::kEnough;
    gateway_.host.hold = true;
    restart();  // Tries it, and is cut off.
    gateway_.host.hold = false;
    gateway_.last_end = end;
    restart();
    EXPECT_EQ(gateway_.agent->status().version, 3u);
    EXPECT_THAT(gateway_.agent->status().reason, HasSubstr("while it was being started"));
    if (*end != '\0') {
      EXPECT_THAT(gateway_.agent->status().reason, HasSubstr(end));
      EXPECT_EQ(take(file), "ignored");
    } else {
      gateway_.host.room = ModuleHost::Room::kNextLife;
      EXPECT_EQ(take(file), "taken");
      gateway_.host.hold = true;
      gateway_.host.room = ModuleHost::Room::kEnough;
      restart();
      gateway_.host.hold = false;
      restart();
    }
  }
}

TEST_F(DocumentsTest, DesiredPropertiesUseTheirDocumentUpOnceBothAreOnDisk) {
  const std::string first =
      Says{DocumentKind::kDesired, 5, R"({"threshold":25})", "module/filter"}.file();
  const std::string second =
      Says{DocumentKind::kDesired, 6, R"({"threshold":26})", "module/filter"}.file();
  for (const std::string& file : {first, second}) {
    const std::string before = gateway_.twins->desired("module/filter").json;
    gateway_.twin_map.sync_failures = {true};
    EXPECT_EQ(take(file), "failed");
    EXPECT_EQ(gateway_.twins->desired("module/filter").json, before);
    EXPECT_EQ(documents_->errors().back().text, "the disk fails");
    taken_.sync_failures = {true};
    EXPECT_EQ(take(file), "failed");
    taken_.full = true;
    EXPECT_EQ(take(file), "failed");
    taken_.full = false;
    restart();
    EXPECT_EQ(take(file), "taken");
    EXPECT_EQ(take(file), "ignored");
    restart();
    EXPECT_EQ(take(file), "ignored");
  }
}

TEST_F(DocumentsTest, ACommandThatIsNotOnDiskIsNotCalledAndMayComeAgain) {
  int calls = 0;
  const auto module = methods_.add("module/filter", [&](const MethodCall& call) {
    ++calls;
    EXPECT_TRUE(methods_.reply(call.id, 200, call.payload));
  });
  Says says{DocumentKind::kCommand, 5, "[1]", "module/filter/reset"};
  says.not_after_s = test::kNow_s + 300;
  const std::string file = says.file();
  taken_.sync_failures = {true};
  EXPECT_EQ(take(file), "failed");
  io_.run();
  EXPECT_EQ(calls, 0);
  io_.restart();
  EXPECT_EQ(take(file), "waits");
  io_.run();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(take(file), "ignored");
}

TEST_F(DocumentsTest, HowADocumentEndedIsReportedInLaterLivesToo) {
  const std::string first = set(3, 1).file();
  ASSERT_EQ(take(first), "taken");
  restart();
  EXPECT_EQ(report().at("taken").at("document"), boost::json::value(documentDigest(first)));
  EXPECT_EQ(report().at("taken").at("kind"), "deployment");
  gateway_.handover = {[] {}, [] {}, [] {}};
  for (const bool runs : {true, false}) {
    restart();
    gateway_.host.room = ModuleHost::Room::kNextLife;
    const std::string file = runs ? set(4, 2).file() : set(5, 3).file();
    EXPECT_EQ(take(file), "taken");
    gateway_.host.room = ModuleHost::Room::kEnough;
    if (!runs) gateway_.host.failures.push_back(fail(Errc::kState, "module x crashed"));
    restart();
    const auto said = boost::json::parse(reported_.back());
    EXPECT_EQ(said.at("version"), 4);
    EXPECT_EQ(said.at("taken").at("counter"), 2);
    EXPECT_EQ(said.at("errors").as_array().size(), runs ? 0u : 1u);
    if (runs) continue;
    EXPECT_EQ(said.at("errors").at(0).at("reason"), "rolled-back");
    EXPECT_EQ(said.at("errors").at(0).at("document"), boost::json::value(documentDigest(file)));
    EXPECT_EQ(said.at("errors").at(0).at("counter"), 3);
  }
}

TEST_F(DocumentsTest, AnEndThatComesLaterInTheNextLifeIsReportedWhenItComes) {
  ASSERT_EQ(take(set(3, 1).file()), "taken");
  gateway_.handover = {[] {}, [] {}, [] {}};
  restart();
  gateway_.host.room = ModuleHost::Room::kNextLife;
  std::string watched = deployment(4);
  watched.insert(1, R"("health":{"window_s":5},)");
  const std::string file = Says{DocumentKind::kDeployment, 2, watched}.file();
  EXPECT_EQ(take(file), "taken");
  gateway_.host.room = ModuleHost::Room::kEnough;
  gateway_.host.statuses.resize(1);
  gateway_.host.statuses[0].name = "x";
  gateway_.host.statuses[0].state = ModuleState::kRunning;
  restart();
  EXPECT_EQ(report().at("state"), "watching");
  EXPECT_EQ(report().at("taken").at("counter"), 1);
  gateway_.host.statuses[0].deaths = 1;
  gateway_.pass(std::chrono::seconds(1));
  const auto said = boost::json::parse(reported_.back());
  EXPECT_EQ(said.at("state"), "rolled-back");
  EXPECT_EQ(said.at("errors").at(0).at("document"), boost::json::value(documentDigest(file)));
}

TEST_F(DocumentsTest, WhatComesAgainIsReportedAgain) {
  const std::string file = set(3, 1).file();
  const std::string bad = Says{DocumentKind::kDeployment, 2, R"({"id":"x"})"}.file();
  EXPECT_EQ(take(file), "taken");
  const std::string after = reported_.back();
  reported_.clear();
  EXPECT_EQ(take(file), "ignored");
  EXPECT_THAT(reported_, ElementsAre(after));
  reported_.clear();
  EXPECT_EQ(take(bad), "invalid");
  EXPECT_EQ(take(bad), "invalid");
  ASSERT_EQ(reported_.size(), 2u);
  EXPECT_EQ(reported_[0], reported_[1]);
  const std::string next = set(4, 2).file();
  gateway_.journal.full = true;
  EXPECT_EQ(take(next), "failed");
  gateway_.journal.full = false;
  gateway_.host.hold = true;
  EXPECT_EQ(take(next), "waits");
  EXPECT_EQ(report().at("errors").as_array().size(), 0u) << "of the last time";
}

TEST_F(DocumentsTest, EveryChangeOfStateIsReported) {
  EXPECT_EQ(take(set(3, 1).file()), "taken");
  std::vector<std::string> states;
  for (const std::string& text : reported_)
    states.emplace_back(boost::json::parse(text).at("state").as_string());
  EXPECT_THAT(states, ElementsAre("none", "applying", "committed"));
  const auto last = boost::json::parse(reported_.back());
  EXPECT_EQ(last.at("id"), "line-4");
  EXPECT_EQ(last.at("version"), 3);
  EXPECT_EQ(last.at("tags").at("site"), "muc");
  EXPECT_EQ(last.at("taken").at("counter"), 1);
  EXPECT_THAT(last.at("digest").as_string().c_str(), HasSubstr("sha256:"));
}

}  // namespace
}  // namespace kante
