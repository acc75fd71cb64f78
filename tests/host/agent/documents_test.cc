#include "host/agent/documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/host/agent/documents_kit.h"

namespace kante {
namespace {

using test::ann;
using test::document;
using test::DocumentsTest;
using test::makeDeployer;
using test::Says;
using test::signedFile;
using test::theCa;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(DocumentsTest, ADeploymentIsTakenOnceAndItsDeployerIsInTheHistory) {
  const std::string file = set(3, 10).file();
  EXPECT_EQ(take(file), "taken");
  EXPECT_EQ(gateway_.agent->status().version, 3u);
  EXPECT_EQ(gateway_.agent->history().front().who, "deployer/CN=ann");
  EXPECT_EQ(take(file), "ignored");
  EXPECT_EQ(gateway_.agent->history().size(), 1u);
  restart();
  EXPECT_EQ(take(file), "ignored");
  EXPECT_EQ(report().at("state"), "committed");
}

TEST_F(DocumentsTest, WhatIsRefusedIsRefusedWithItsWord) {
  ASSERT_EQ(take(set(3, 10).file()), "taken");
  EXPECT_EQ(take("hello"), "malformed");
  EXPECT_EQ(take(signedFile(R"({"schema":"kante.document/1"})")), "malformed");
  std::string tampered = set(4, 11).file();
  tampered[tampered.size() - 3] ^= 1;
  EXPECT_EQ(take(tampered), "tampered");
  EXPECT_EQ(take(set(4, 11).file(makeDeployer(test::makeCa("others"), "ann"))), "untrusted");
  EXPECT_EQ(take(set(4, 11).file(makeDeployer(theCa(), "old", test::kNow_s - 1))), "expired");
  Says says = set(4, 11);
  says.gateway = "edge-2";
  EXPECT_EQ(take(says.file()), "wrong-target");
  says.tag = "site=ber";
  EXPECT_EQ(take(says.file()), "wrong-target");
  says = set(4, 11);
  says.not_after_s = test::kNow_s - 1;
  EXPECT_EQ(take(says.file()), "expired");
  EXPECT_EQ(take(set(4, 10).file()), "replayed");
  EXPECT_EQ(take(set(2, 11).file()), "conflict");
  says = set(4, 11);
  says.content = R"({"schema":"kante.deployment/1"})";
  EXPECT_EQ(take(says.file()), "invalid");
  EXPECT_EQ(take(set(4, 11).file(), {DocumentKind::kLayer}), "wrong-target");
  EXPECT_EQ(gateway_.agent->status().version, 3u);
  EXPECT_EQ(gateway_.agent->history().size(), 1u);
  ASSERT_EQ(documents_->errors().size(), 1u);
  EXPECT_EQ(documents_->errors().back().reason, "wrong-target");
  EXPECT_EQ(report().at("errors").at(0).at("reason"), "wrong-target");
  // None of them used up its counter.
  EXPECT_EQ(take(set(4, 11).file()), "taken");
  EXPECT_THAT(documents_->errors(), IsEmpty());
}

TEST_F(DocumentsTest, WithoutDeployersNothingIsObeyedAndThatIsSaidOnce) {
  files_ = {};
  restart();
  EXPECT_EQ(take(set(3, 10).file()), "untrusted");
  EXPECT_THAT(documents_->errors().back().text, HasSubstr("[trust] deployers"));
  EXPECT_EQ(take(set(3, 10).payload()), "untrusted");
  const auto events = events_.count();
  EXPECT_EQ(take(set(3, 10).payload()), "untrusted");
  EXPECT_EQ(events_.count(), events);
}

TEST_F(DocumentsTest, CountersAreByDeployerKindAndName) {
  ASSERT_EQ(take(set(3, 10).file()), "taken");
  EXPECT_EQ(take(layer("munich", 1, period(50)).file()), "taken");
  EXPECT_EQ(take(layer("munich", 1, period(60)).file()), "replayed");
  EXPECT_EQ(take(layer("line", 1, period(50)).file()), "taken");
  EXPECT_EQ(take(set(4, 1).file(makeDeployer(theCa(), "bob"))), "taken");
  restart();
  EXPECT_EQ(take(set(5, 10).file()), "replayed");
  EXPECT_EQ(take(layer("munich", 1, period(60)).file()), "replayed");
}

TEST_F(DocumentsTest, APatchNeedsTheVersionThatItIsFor) {
  ASSERT_EQ(take(set(3, 1).file()), "taken");
  const std::string patch = R"({"modules":{"x":{"config":{"period_ms":50}}}})";
  EXPECT_EQ(take(Says{DocumentKind::kMergePatch, 1, patch, "", 2}.file()), "conflict");
  EXPECT_EQ(take(Says{DocumentKind::kMergePatch, 1, patch, "", 3}.file()), "taken");
  EXPECT_EQ(gateway_.agent->status().version, 4u);
  EXPECT_EQ(config(), R"({"period_ms":50})");
  EXPECT_EQ(take(Says{DocumentKind::kMergePatch, 2, patch, "", 3}.file()), "conflict");
  const std::string test = R"([{"op":"test","path":"/modules/x/config/period_ms","value":51}])";
  EXPECT_EQ(take(Says{DocumentKind::kJsonPatch, 1, test, "", 4}.file()), "conflict");
}

TEST_F(DocumentsTest, LayersLieOnTheBaseUntilTheyGo) {
  ASSERT_EQ(take(set(3, 1, R"("config":{"period_ms":1})").file()), "taken");
  EXPECT_EQ(take(layer("low", 1, period(20, 1)).file()), "taken");
  EXPECT_EQ(take(layer("high", 1, period(30, 2)).file()), "taken");
  EXPECT_EQ(config(), R"({"period_ms":30})");
  EXPECT_THAT(gateway_.agent->history().front().layers, ElementsAre("high"));
  EXPECT_THAT(gateway_.agent->history().front().changed,
              ElementsAre("/modules/x/config/period_ms"));
  EXPECT_THAT(gateway_.agent->layersInForce(), ElementsAre("low", "high"));
  EXPECT_THAT(gateway_.agent->document(), HasSubstr(R"("period_ms":1})"));
  EXPECT_THAT(gateway_.agent->effectiveDocument(), HasSubstr(R"("period_ms":30})"));
  // A new base lies below them, and they survive a restart.
  restart();
  EXPECT_EQ(take(set(4, 2, R"("config":{"period_ms":2})").file()), "taken");
  EXPECT_EQ(config(), R"({"period_ms":30})");
  EXPECT_EQ(take(layer("high", 2, "null").file()), "taken");
  EXPECT_EQ(config(), R"({"period_ms":20})");
  EXPECT_EQ(take(layer("low", 2, "null").file()), "taken");
  EXPECT_EQ(config(), R"({"period_ms":2})");
  // Back to when both were there.
  ASSERT_TRUE(gateway_.rollback(3));
  EXPECT_EQ(config(), R"({"period_ms":30})");
  EXPECT_THAT(gateway_.agent->layersInForce(), ElementsAre("low", "high"));
}

TEST_F(DocumentsTest, ALayerWhoseConditionFailsLiesThereWithoutEffect) {
  ASSERT_EQ(take(set(3, 1).file()), "taken");
  const std::string elsewhere =
      R"({"schema":"kante.layer/1","target":{"tag":"site=ber"},"content":{"modules":{"y":null}}})";
  EXPECT_EQ(take(layer("berlin", 1, elsewhere).file()), "taken");
  EXPECT_EQ(gateway_.host.targets.back().modules.size(), 2u);
  gateway_.tags = {{"site", "ber"}};
  restart();
  EXPECT_EQ(gateway_.host.targets.back().modules.size(), 2u);
  gateway_.agent->recompose([](const Result<ApplyOutcome>& done) { EXPECT_TRUE(done); });
  EXPECT_EQ(gateway_.host.targets.back().modules.size(), 1u);
}

TEST_F(DocumentsTest, ALayerThatBreaksTheDeploymentIsRefused) {
  ASSERT_EQ(take(set(3, 1).file()), "taken");
  const std::string bad =
      R"({"schema":"kante.layer/1","content":{"modules":{"x":{"stop_ms":"soon"}}}})";
  EXPECT_EQ(take(layer("bad", 1, bad).file()), "invalid");
  EXPECT_THAT(documents_->errors().back().text, HasSubstr("with layers bad: /modules/x/stop_ms: "));
}

TEST_F(DocumentsTest, ALayerThatComesBeforeTheOneThatItLiesOnIsTriedAgain) {
  ASSERT_EQ(take(set(3, 1).file()), "taken");
  const auto z = [](const std::string& members) {
    return R"({"schema":"kante.layer/1","content":{"modules":{"z":{)" + members + "}}}}";
  };
  const std::string tuned = layer("a-tuned", 1, z(R"("config":{"period_ms":7})")).file();
  EXPECT_EQ(take(tuned, {}, "a-tuned", "layer/a-tuned"), "invalid");
  documents_->take({layer("by-hand", 1, z(R"("stop_ms":9)")).file(),
                    "local",
                    {},
                    "",
                    ApplyRequest::Mode::kApply,
                    Fetcher::Patience::kFewTries},
                   [](const auto&) {});
  runPosted();
  EXPECT_EQ(take(layer("period", 1, period(50)).file()), "taken");
  EXPECT_THAT(gateway_.agent->layersInForce(), ElementsAre("period")) << "it still does not fit";
  const std::string bundle =
      R"("bundle":")" + test::Gateway::digestOf("com.example.a", 7, test::kPorts) + "\"";
  EXPECT_EQ(take(layer("Z", 1, z(bundle)).file()), "taken");
  EXPECT_EQ(config("z"), R"({"period_ms":7})");
  EXPECT_THAT(gateway_.agent->layersInForce(), ElementsAre("Z", "a-tuned", "period"))
      << "who stood by was told that it is refused";
  EXPECT_EQ(take(tuned), "ignored");
}

TEST_F(DocumentsTest, ALayerThatComesBeforeItsBaseWaitsForIt) {
  EXPECT_EQ(take(layer("munich", 1, period(50)).file(), {}, "munich", "layer"), "conflict");
  EXPECT_EQ(take(set(3, 1).file()), "taken");
  EXPECT_EQ(config(), R"({"period_ms":50})");
  EXPECT_THAT(documents_->errors(), IsEmpty());
}

TEST_F(DocumentsTest, ALayerWaitsForABaseThatComesByHandAsWell) {
  const std::string file = layer("munich", 1, period(50)).file();
  EXPECT_EQ(take(file), "conflict");
  EXPECT_EQ(take(layer("dry", 1, period(60, 1)).file(), {}, {}, "set"), "conflict");
  documents_->take(
      {layer("dry", 2, period(70, 2)).file(), "local", {}, "", ApplyRequest::Mode::kDryRun},
      [](const auto&) {});
  ASSERT_TRUE(gateway_.apply(document(3)));
  runPosted();
  EXPECT_EQ(config(), R"({"period_ms":60})") << "a dry run takes no other's place";
  EXPECT_THAT(gateway_.agent->layersInForce(), ElementsAre("munich", "dry"));
}

TEST_F(DocumentsTest, OnlySoManyBytesOfLayersWaitForABase) {
  const std::string much(3u << 20, 'x');
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    const std::string content =
        R"({"schema":"kante.layer/1","content":{"modules":{"x":{"config":{"text":")" + much +
        R"("}}}}})";
    EXPECT_EQ(take(layer(name, 1, content).file(), {}, name, name), "conflict");
  }
  ASSERT_TRUE(gateway_.apply(document(3)));
  runPosted();
  std::map<std::string, std::string> reasons;
  for (const DocumentError& error : documents_->errors()) reasons[error.source] = error.reason;
  EXPECT_TRUE(gateway_.agent->layers().contains("a"));
  EXPECT_EQ(reasons["e"], "limit") << "tried, and too much beside the first";
  EXPECT_EQ(reasons["f"], "conflict") << "not kept";
}

TEST_F(DocumentsTest, DocumentsWaitForEachOther) {
  gateway_.host.hold = true;
  EXPECT_EQ(take(set(3, 1).file()), "waits");
  EXPECT_EQ(take(layer("munich", 1, period(50)).file()), "waits");
  gateway_.host.hold = false;
  gateway_.host.release();
  runPosted();
  EXPECT_EQ(config(), R"({"period_ms":50})");
}

TEST_F(DocumentsTest, WhoBringsADocumentHearsWhetherItWaits) {
  const auto nothing = [](const DocumentOutcome&) {};
  gateway_.host.hold = true;
  EXPECT_FALSE(documents_->take({set(3, 1).file(), "local"}, nothing)) << "it is being applied";
  EXPECT_TRUE(documents_->take({set(4, 2).file(), "local"}, nothing));
  EXPECT_FALSE(documents_->take({"hello", "local"}, nothing));
}

TEST_F(DocumentsTest, CommandsAndDesiredPropertiesGoPastADeploymentThatIsWatched) {
  ASSERT_EQ(take(set(3, 1).file()), "taken");
  std::string watched = deployment(4);
  watched.insert(1, R"("health":{"window_s":5},)");
  EXPECT_EQ(take(Says{DocumentKind::kDeployment, 2, watched}.file()), "waits");
  EXPECT_EQ(report().at("state"), "watching");
  EXPECT_EQ(take(layer("munich", 1, period(50)).file()), "waits");
  // By hand, so that only the document says what it is.
  EXPECT_EQ(take(Says{DocumentKind::kDesired, 1, R"({"a":1})", "module/x"}.file()), "taken");
  EXPECT_EQ(gateway_.twins->desired("module/x").json, R"({"a":1})");
  EXPECT_EQ(report().at("taken").at("kind"), "desired");
  int calls = 0;
  const auto module = methods_.add("module/x", [&](const MethodCall& call) {
    ++calls;
    EXPECT_TRUE(methods_.reply(call.id, 200, call.payload));
  });
  Says says{DocumentKind::kCommand, 5, "[1]", "module/x/reset"};
  says.not_after_s = test::kNow_s + 300;
  (void)take(says.file(), {DocumentKind::kCommand}, "module/x/reset");
  io_.run();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(gateway_.agent->layersInForce(), std::vector<std::string>());
  gateway_.pass(std::chrono::seconds(6));
  runPosted();
  EXPECT_EQ(gateway_.agent->status().version, 4u);
  gateway_.pass(std::chrono::seconds(6));  // Watched as well.
  EXPECT_THAT(gateway_.agent->layersInForce(), ElementsAre("munich"));
}

TEST_F(DocumentsTest, ThatOneWasTakenBackIsSaidOnce) {
  ASSERT_EQ(take(set(3, 1).file()), "taken");
  std::string watched = deployment(4);
  watched.insert(1, R"("health":{"window_s":5},)");
  EXPECT_EQ(take(Says{DocumentKind::kDeployment, 2, watched}.file()), "waits");
  ASSERT_TRUE(gateway_.rollback());
  runPosted();
  ASSERT_EQ(documents_->errors().size(), 1u);
  EXPECT_EQ(documents_->errors()[0].reason, "rolled-back");
  EXPECT_EQ(documents_->errors()[0].text, "operator/bob rolled it back while it was watched");
}

TEST_F(DocumentsTest, WhatCameDuringAnUpdateThatCameToNothingGoesOn) {
  const std::string file = set(3, 1).file();
  std::string said = "waits";
  gateway_.handover.begins = [&] {
    documents_->take({file, "set"}, [&said](const auto&) { said = "done"; });
  };
  restart();
  gateway_.host.saved = fail(Errc::kState, "module x does not come to rest");
  bool stays = false;
  gateway_.agent->handOverToUpdate([&stays](const Status& status) { stays = !status; });
  EXPECT_TRUE(stays);
  runPosted();
  EXPECT_EQ(said, "done");
  EXPECT_EQ(gateway_.agent->status().version, 3u);
}

TEST_F(DocumentsTest, SoManyWaitAndNoMore) {
  gateway_.host.hold = true;
  EXPECT_EQ(take(set(3, 1).file()), "waits");
  for (std::size_t i = 0; i < Documents::kWaitingMax; ++i)
    documents_->take({"x", "set", {DocumentKind::kDeployment}}, [](auto) {});
  EXPECT_EQ(take(set(4, 2).file()), "busy");
  gateway_.host.hold = false;
  gateway_.host.release();
  runPosted();
  EXPECT_EQ(gateway_.agent->status().version, 3u);
}

TEST_F(DocumentsTest, RefusalsThatComeFastAreToldOneASecond) {
  const auto told = [this] { return static_cast<std::int64_t>(events_.count()); };
  for (int i = 0; i < 2 * Documents::kToldAtOnceMax; ++i) take("hello", {}, {}, std::to_string(i));
  EXPECT_EQ(told(), Documents::kToldAtOnceMax);
  EXPECT_EQ(documents_->errors().back().reason, "malformed");
  now_.at_s += 2;
  for (int i = 0; i < 5; ++i) take("later", {}, {}, "later " + std::to_string(i));
  EXPECT_EQ(told(), Documents::kToldAtOnceMax + 2);
  const auto events = events_.since(events_.count() - 2);
  EXPECT_EQ(events.front().fields.back(), std::pair(std::string("untold"), std::string("32")));
  EXPECT_EQ(events.back().fields.back().first, "name");
}

TEST_F(DocumentsTest, OneThatWasDroppedOnItsWayIsRefusedAsBusy) {
  std::string reason;
  documents_->refuseBusy({"", "deployment/set"},
                         [&reason](const DocumentOutcome& outcome) { reason = outcome.reason; });
  EXPECT_EQ(reason, "busy");
  EXPECT_EQ(report().at("errors").at(0).at("source"), "deployment/set");
}

TEST_F(DocumentsTest, DesiredPropertiesAreReplaced) {
  const Says says{DocumentKind::kDesired, 5, R"({"threshold":25})", "module/filter"};
  EXPECT_EQ(take(says.file(), {DocumentKind::kDesired}, "module/filter"), "taken");
  EXPECT_EQ(gateway_.twins->desired("module/filter").json, R"({"threshold":25})");
  EXPECT_EQ(take(says.file(), {DocumentKind::kDesired}, "module/other"), "ignored");
  Says other = says;
  other.counter = 6;
  EXPECT_EQ(take(other.file(), {DocumentKind::kDesired}, "module/other"), "wrong-target");
  other.content = R"({"a.b":1})";
  EXPECT_EQ(take(other.file()), "invalid");
  other.counter = 4;
  EXPECT_EQ(take(other.file()), "replayed");
}

TEST_F(DocumentsTest, ACommandIsCalledOnceAndOnlyWhileItIsGood) {
  int calls = 0;
  const auto module = methods_.add("module/filter", [&](const MethodCall& call) {
    ++calls;
    EXPECT_EQ(call.caller, "deployer/CN=ann");
    EXPECT_TRUE(methods_.reply(call.id, 200, call.payload));
  });
  Says says{DocumentKind::kCommand, 5, "[1]", "module/filter/reset"};
  says.not_after_s = test::kNow_s + 300;
  std::string answer;
  documents_->take({says.file(), "methods", {}, ""}, [&answer](const DocumentOutcome& outcome) {
    answer = std::to_string(outcome.status) + " " + outcome.payload;
  });
  runPosted();
  io_.run();
  EXPECT_EQ(answer, "200 [1]");
  EXPECT_EQ(take(says.file()), "ignored");
  restart();
  EXPECT_EQ(take(says.file()), "ignored");
  says.counter = 6;
  says.not_after_s = test::kNow_s + 301;
  EXPECT_EQ(take(says.file()), "invalid");
  says.not_after_s = test::kNow_s - 1;
  EXPECT_EQ(take(says.file()), "expired");
  says.not_after_s = test::kNow_s + 10;
  now_.clock = JudgementTime::Clock::kUntrusted;
  EXPECT_EQ(take(says.file()), "expired");
  EXPECT_EQ(calls, 1);
}

TEST_F(DocumentsTest, ADryRunUsesNothingUp) {
  const std::string file = set(3, 1).file();
  DocumentOutcome outcome;
  documents_->take({file, "operator/ann", {}, "", ApplyRequest::Mode::kDryRun},
                   [&outcome](const DocumentOutcome& said) { outcome = said; });
  runPosted();
  ASSERT_TRUE(outcome.applied);
  EXPECT_THAT(outcome.applied->plan, testing::Contains(HasSubstr("start x")));
  EXPECT_EQ(gateway_.agent->status().version, 0u);
  EXPECT_EQ(take(file), "taken");
}

}  // namespace
}  // namespace kante
