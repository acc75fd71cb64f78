// Documents that wait at the same moment are one change, where that comes to the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/host/agent/documents_kit.h"

namespace kante::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::chrono::seconds kWindow{121};

class DocumentsTogetherTest : public DocumentsTest {
 protected:
  DocumentsTogetherTest() {
    gathers_ = true;
    restart();
    gateway_.host.statuses.resize(1);
    gateway_.host.statuses[0].name = "x";
    gateway_.host.statuses[0].state = ModuleState::kRunning;
    gateway_.host.refuses = [this](const RuntimeTarget& target) {
      for (const ModuleSpec& module : target.modules)
        if (module.config.find(bad_) != std::string::npos) return true;
      return false;
    };
    send(set(1, 1));
    gather();
  }

  // As the uplink brings it; what became of it is in said_, by kind and name.
  void send(const Says& says, const Identity& signer = ann(), Documents::Arrival arrival = {}) {
    arrival.file = says.file(signer);
    arrival.source = std::string(name(says.kind)) + says.name;
    arrival.default_window_s = Agent::kAfarWindowS;
    said_[arrival.source] = "waits";
    const auto said = [this, source = arrival.source](const DocumentOutcome& outcome) {
      said_[source] = outcome.kind == DocumentOutcome::Kind::kTaken     ? "taken"
                      : outcome.kind == DocumentOutcome::Kind::kIgnored ? "ignored"
                                                                        : outcome.reason;
    };
    documents_->take(std::move(arrival), said);
    runPosted();
  }
  static Says tunes(const std::string& name, std::uint64_t counter, const std::string& config,
                    const std::string& module = "y") {
    return layer(name, counter,
                 R"({"schema":"kante.layer/1","content":{"modules":{")" + module +
                     R"(":{"config":)" + config + "}}}}");
  }
  // A base and three layers.
  void sendAll(const std::string& second = R"({"b":1})") {
    send(set(2, 2));
    send(tunes("a", 1, R"({"a":1})"));
    send(tunes("b", 1, second));
    send(tunes("c", 1, R"({"c":1})"));
  }
  void sitOut() {
    gateway_.pass(kWindow);
    runPosted();
  }
  // Layers of the newest changes, the newest first; "-": only the base.
  std::vector<std::string> changes() const {
    std::vector<std::string> all;
    for (const HistoryEntry& entry : gateway_.agent->history()) {
      std::string names;
      for (const std::string& one : entry.layers) names += one;
      all.push_back((names.empty() ? "-" : names) + " " + entry.state);
    }
    return all;
  }
  std::string stateNow() const { return name(gateway_.agent->status().state); }

  std::map<std::string, std::string> said_;
  std::string bad_ = "bad";  // No module with this in its configuration becomes ready.
};

TEST_F(DocumentsTogetherTest, ABaseAndItsLayersAreOneChangeThatIsWatchedOnce) {
  sendAll();
  EXPECT_EQ(stateNow(), "committed") << "more may follow";
  gather();
  EXPECT_EQ(stateNow(), "watching");
  sitOut();
  EXPECT_EQ(stateNow(), "committed");
  EXPECT_THAT(changes(), ElementsAre("abc committed", "- committed"));
  EXPECT_EQ(config("y"), R"({"a":1,"b":1,"c":1})");
  EXPECT_EQ(gateway_.agent->status().version, 2u);
  for (const char* source : {"deployment", "layera", "layerb", "layerc"})
    EXPECT_EQ(said_[source], "taken") << source;
  EXPECT_EQ(gateway_.agent->layers().at("b").who, "deployer/CN=ann");

  const auto taken = report().at("taken");
  EXPECT_EQ(taken.at("kind"), "deployment");
  EXPECT_EQ(taken.at("with").as_array().size(), 3u);
  EXPECT_EQ(taken.at("with").at(2).at("name"), "c");
  restart();
  EXPECT_EQ(report().at("taken"), taken);
  sendAll();
  gather();
  EXPECT_EQ(said_["layerb"], "ignored");
  EXPECT_EQ(said_["deployment"], "ignored");
  send(tunes("c", 1, R"({"c":2})"));
  gather();
  EXPECT_EQ(said_["layerc"], "replayed");
}

TEST_F(DocumentsTogetherTest, WaitsForOthersAsLongAsTheyMayTake) {
  Documents::Arrival retained;
  retained.is_retained = true;
  send(tunes("a", 1, R"({"a":1})"), ann(), retained);
  EXPECT_EQ(gather_time_, Documents::kGatherTime) << "one by one, over a slow link";
  send(tunes("b", 1, R"({"b":1})"));
  EXPECT_EQ(gather_time_, Documents::kGatherLiveTime);
  gather();
  sitOut();
  EXPECT_THAT(changes(), ElementsAre("ab committed", "- committed"));

  Documents::Arrival patch;
  patch.kinds = {DocumentKind::kMergePatch, DocumentKind::kJsonPatch};
  Says says{.kind = DocumentKind::kMergePatch, .counter = 5};
  says.content = R"({"modules":{"x":{"config":{"a":7}}}})";
  says.base = 1;
  send(says, ann(), patch);
  EXPECT_TRUE(gather_.expired()) << "it goes alone, so it need not wait";
  EXPECT_EQ(stateNow(), "watching");
}

TEST_F(DocumentsTogetherTest, ABadOneIsFoundOneByOneAndTheOthersHold) {
  sendAll(R"({"b":"bad"})");
  gather();
  // It did not even start; then each by itself.
  EXPECT_THAT(changes(), ElementsAre("- applying", "abc rolled-back", "- committed"));
  sitOut();  // The base.
  EXPECT_THAT(gateway_.agent->layersInForce(), IsEmpty());
  sitOut();  // Layer a; then b does not start, and c is next.
  sitOut();
  EXPECT_THAT(changes(), ElementsAre("c committed", "b rolled-back", "a committed", "- committed",
                                     "abc rolled-back", "- committed"));
  EXPECT_EQ(config("y"), R"({"a":1,"c":1})");
  EXPECT_EQ(said_["deployment"] + said_["layera"] + said_["layerc"], "takentakentaken");
  EXPECT_EQ(said_["layerb"], "rolled-back");
  ASSERT_EQ(documents_->errors().size(), 1u);
  EXPECT_EQ(documents_->errors()[0].name, "b");
  EXPECT_EQ(documents_->errors()[0].document,
            documentDigest(tunes("b", 1, R"({"b":"bad"})").file()));
  restart();
  sendAll(R"({"b":"bad"})");
  gather();
  EXPECT_EQ(said_["layerb"], "ignored") << "it was tried alone";
}

TEST_F(DocumentsTogetherTest, OneThatShowsItselfWithinTheWindowIsFoundAsWell) {
  sendAll();
  gather();
  gateway_.host.statuses[0].deaths = 1;
  gateway_.pass(std::chrono::seconds(1));
  EXPECT_THAT(report().at("errors").at(0).at("text").as_string().c_str(), HasSubstr("module x"));
  EXPECT_FALSE(report().at("errors").at(0).as_object().contains("document"))
      << "nobody knows yet whose fault it is";
  EXPECT_EQ(gateway_.agent->status().version, 1u);
  runPosted();
  for (int i = 0; i < 4; ++i) sitOut();
  EXPECT_EQ(config("y"), R"({"a":1,"b":1,"c":1})");
  EXPECT_THAT(changes(), ElementsAre("c committed", "b committed", "a committed", "- committed",
                                     "abc rolled-back", "- committed"));
}

TEST_F(DocumentsTogetherTest, WhoTakesItBackMeansAllOfThem) {
  sendAll();
  gather();
  ASSERT_TRUE(gateway_.rollback());
  runPosted();
  for (const auto& [source, said] : said_) EXPECT_EQ(said, "rolled-back") << source;
  const auto errors = report().at("errors").as_array();
  std::set<std::string> named;
  for (const auto& error : errors) named.emplace(error.at("document").as_string());
  EXPECT_EQ(named.size(), 4u);
  EXPECT_THAT(changes(), ElementsAre("abc rolled-back", "- committed"));
  sendAll();
  gather();
  for (const auto& [source, said] : said_) EXPECT_EQ(said, "ignored") << source;
}

TEST_F(DocumentsTogetherTest, WhatACutEndedIsTriedAgainOneByOne) {
  for (const char* end : {"", "module x brought it down"}) {
    const int round = *end == '\0' ? 2 : 3;
    send(set(round, static_cast<std::uint64_t>(round)));
    send(tunes("a", static_cast<std::uint64_t>(round), R"({"a":)" + std::to_string(round) + "}"));
    const auto changes_before = changes().size();
    gather();
    EXPECT_EQ(changes()[0], "a applying");
    gateway_.last_end = end;
    restart();
    EXPECT_EQ(gateway_.agent->status().version, static_cast<std::uint64_t>(round - 1));
    EXPECT_EQ(changes()[0], "a rolled-back");
    send(set(round, static_cast<std::uint64_t>(round)));
    send(tunes("a", static_cast<std::uint64_t>(round), R"({"a":)" + std::to_string(round) + "}"));
    gather();
    sitOut();
    sitOut();
    EXPECT_EQ(said_["deployment"] + said_["layera"], "takentaken") << end;
    EXPECT_EQ(changes()[0], "a committed");
    EXPECT_EQ(changes()[1], "- committed");
    EXPECT_EQ(changes().size(), changes_before + 3) << "none was applied twice";
  }
}

TEST_F(DocumentsTogetherTest, AChangeOfSeveralIsNoneOfTheTriesThatOneAloneHas) {
  for (std::size_t cut = 0; cut < Agent::kCutOffMax; ++cut) {
    send(tunes("a", 1, R"({"a":1})"));
    if (cut == 0) send(tunes("b", 1, R"({"b":1})"));
    gather();
    EXPECT_EQ(changes()[0], cut == 0 ? "ab applying" : "a applying");
    restart();
  }
  send(tunes("a", 1, R"({"a":1})"));
  gather();
  sitOut();
  EXPECT_EQ(said_["layera"], "taken");
}

TEST_F(DocumentsTogetherTest, WhatTheGatewayCannotDoTogetherItDoesNotTryForEver) {
  sendAll();
  gateway_.journal.full = true;
  gather();
  for (const auto& [source, said] : said_) EXPECT_EQ(said, "failed") << source;
  gateway_.journal.full = false;
  sendAll();
  gather();
  sitOut();
  EXPECT_EQ(changes()[0], "abc committed") << "nothing was begun that could have been its fault";
}

TEST_F(DocumentsTogetherTest, WhatIsRefusedIsPassedOver) {
  send(tunes("a", 1, R"({"a":1})"));
  send(layer("broken", 1,
             R"({"schema":"kante.layer/1","content":{"modules":{"y":{"stop_ms":"x"}}}})"));
  Says elsewhere = tunes("d", 1, R"({"d":1})");
  elsewhere.gateway = "edge-2";
  send(elsewhere);
  send(tunes("c", 1, R"({"c":1})"));
  gather();
  EXPECT_EQ(stateNow(), "watching");
  sitOut();
  EXPECT_THAT(changes(), ElementsAre("ac committed", "- committed"));
  EXPECT_EQ(said_["layerbroken"], "invalid");
  EXPECT_EQ(said_["layerd"], "wrong-target");
}

TEST_F(DocumentsTogetherTest, APatchGoesAloneInItsTurn) {
  send(tunes("a", 1, R"({"a":1})"));
  send(tunes("b", 1, R"({"b":1})"));
  send({DocumentKind::kMergePatch, 1, R"({"modules":{"y":{"config":{"p":1}}}})", "", 1});
  send(tunes("c", 1, R"({"c":1})"));
  send(tunes("d", 1, R"({"d":1})"));
  gather();
  for (int i = 0; i < 3; ++i) sitOut();
  EXPECT_THAT(changes(), ElementsAre("cd committed", "- committed", "ab committed", "- committed"));
  EXPECT_EQ(said_["merge-patch"], "taken");
}

TEST_F(DocumentsTogetherTest, TwoOfTheSameAreTwoChanges) {
  send(set(2, 2));
  send(tunes("a", 1, R"({"a":1})"));
  send(set(3, 3));
  send(tunes("a", 2, R"({"a":2})"));
  gather();
  sitOut();
  EXPECT_EQ(gateway_.agent->status().version, 3u);
  sitOut();
  EXPECT_THAT(changes(), ElementsAre("a committed", "a committed", "- committed"));
  EXPECT_EQ(config("y"), R"({"a":2})");
}

TEST_F(DocumentsTogetherTest, ANewerOneWaitsForTheEndOfTheWatch) {
  sendAll();
  gather();
  send(tunes("b", 2, R"({"b":2})"));
  gather();
  EXPECT_EQ(said_["layerb"], "waits");
  sitOut();
  EXPECT_EQ(config("y"), R"({"a":1,"b":2,"c":1})");
  sitOut();
  EXPECT_THAT(changes(), ElementsAre("b committed", "abc committed", "- committed"));
}

TEST_F(DocumentsTogetherTest, WhatLiesOnALayerThatComesLaterGoesWithIt) {
  const std::string bundle = R"("bundle":")" + Gateway::digestOf("com.example.a", 7, kPorts) + "\"";
  send(tunes("a-tuned", 1, R"({"period_ms":7})", "z"));
  send(layer("Z", 1, R"({"schema":"kante.layer/1","content":{"modules":{"z":{)" + bundle + "}}}}"));
  gather();
  sitOut();
  EXPECT_THAT(changes(), ElementsAre("a-tunedZ committed", "- committed"));
  EXPECT_EQ(config("z"), R"({"period_ms":7})");
}

TEST_F(DocumentsTogetherTest, TheFirstBaseGoesAloneAndItsLayersTogether) {
  gateway_.journal.values.clear();
  taken_.values.clear();
  restart();
  ASSERT_EQ(gateway_.agent->document(), "null");
  send(tunes("a", 1, R"({"a":1})"));
  send(tunes("b", 1, R"({"b":1})"));
  send(set(1, 1));
  send(tunes("c", 1, R"({"c":1})"));
  gather();
  EXPECT_EQ(stateNow(), "watching");
  sitOut();
  EXPECT_THAT(changes(), ElementsAre("cab committed", "- committed"));
}

TEST_F(DocumentsTogetherTest, ByHandOneGoesAtOnceAndAlone) {
  send(tunes("a", 1, R"({"a":1})"));
  Documents::Arrival arrival;
  arrival.file = tunes("b", 1, R"({"b":1})").file();
  arrival.patience = Fetcher::Patience::kFewTries;
  documents_->take(std::move(arrival), [](const auto&) {});
  EXPECT_EQ(stateNow(), "watching");
  runPosted();
  sitOut();
  EXPECT_THAT(changes(), ElementsAre("b committed", "a committed", "- committed"));
}

TEST_F(DocumentsTogetherTest, SeveralDeployersAreToldOfAsSuch) {
  send(tunes("a", 1, R"({"a":1})"), makeDeployer(theCa(), "bob"));
  send(tunes("b", 1, R"({"b":1})"));
  gather();
  sitOut();
  EXPECT_EQ(gateway_.agent->history().front().who, "deployer/CN=bob and others");
  EXPECT_EQ(gateway_.agent->layers().at("b").who, "deployer/CN=ann");
}

}  // namespace
}  // namespace kante::test
