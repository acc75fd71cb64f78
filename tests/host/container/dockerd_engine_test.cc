// The client against a real dockerd.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "host/container/engine.h"
#include "tests/host/container/loop.h"
#include "tests/support/dockerd.h"

namespace kante {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using testing::Dockerd;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DockerdEngine : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = Dockerd::missing(); !why.empty()) GTEST_SKIP() << why;
    dockerd = &testing::sharedDockerd();
    engine.emplace(loop.io, dockerd->socket());
    const auto facts =
        loop.result<EngineFacts>([this](auto then) { return engine->connect(then); });
    ASSERT_TRUE(facts) << facts.error().text;
    EXPECT_GE(facts->newest, kApiVersion);
  }
  std::string create(const std::string& name, const std::string& script) {
    const auto made = loop.result<std::string>([&](auto then) {
      return engine->create(name,
                            R"({"Image":"kante-test:1","Cmd":["/bin/sh","-c",")" + script +
                                R"("],"Labels":{"l":"v"},"HostConfig":{"NetworkMode":"none"}})",
                            then);
    });
    EXPECT_TRUE(made) << made.error().text;
    return made ? *made : "";
  }
  ContainerFacts inspect(const std::string& name) {
    const auto facts =
        loop.result<ContainerFacts>([&](auto then) { return engine->inspect(name, then); });
    EXPECT_TRUE(facts) << facts.error().text;
    return facts ? *facts : ContainerFacts();
  }
  template <typename Begin>
  Status ask(Begin begin) {
    return loop.result<void>(begin);
  }

  Loop loop;
  Dockerd* dockerd = nullptr;
  std::optional<Engine> engine;
};

// Podman tells of more steps.
bool isTold(const std::string& action) { return action != "init" && action != "cleanup"; }

TEST_F(DockerdEngine, RunsAContainerFromCreateToRemove) {
  std::vector<std::string> events;
  bool following = false;
  const auto follow = engine->events(
      "l=v", [&] { following = true; },
      [&](const EngineEvent& event) {
        if (isTold(event.action)) events.push_back(event.action + " " + event.name);
      },
      [](const Status& end) { ADD_FAILURE() << end.error().text; });
  ASSERT_TRUE(loop.until([&] { return following; }));

  const std::string id = create("c1", "echo out; echo err >&2; exit 3");
  EXPECT_EQ(inspect("c1").phase, ContainerPhase::kCreated);
  EXPECT_EQ(inspect("c1").started_ns, 0);
  ASSERT_TRUE(ask([&](auto then) { return engine->start("c1", then); }));
  const auto code = loop.result<std::int64_t>([&](auto then) { return engine->wait("c1", then); });
  ASSERT_TRUE(code) << code.error().text;
  EXPECT_EQ(*code, 3);
  const ContainerFacts facts = inspect("c1");
  EXPECT_EQ(facts.id, id);
  EXPECT_EQ(facts.name, "c1");
  EXPECT_EQ(facts.phase, ContainerPhase::kExited);
  EXPECT_EQ(facts.exit_code, 3);
  EXPECT_GT(facts.started_ns, 0);
  EXPECT_GT(facts.finished_ns, 0);
  ASSERT_TRUE(loop.until([&] { return events.size() >= 3; }));
  EXPECT_THAT(events, ElementsAre("create c1", "start c1", AnyOf("die c1", "died c1")));

  std::vector<ContainerLine> lines;
  const auto readLogs = [&](std::int64_t since) {
    lines.clear();
    Engine::LogOrder order;
    order.since_ns = since;
    return ask([&](auto then) {
      return engine->logs(
          "c1", order, [&lines](const ContainerLine& line) { lines.push_back(line); }, then);
    });
  };
  ASSERT_TRUE(readLogs(0));
  ASSERT_EQ(lines.size(), 2u);
  const bool out_first = lines[0].text == "out";
  EXPECT_EQ(lines[out_first ? 1 : 0].text, "err");
  EXPECT_EQ(lines[out_first ? 1 : 0].from, ContainerLine::From::kError);
  EXPECT_GT(lines[0].wall_ns, 0);
  const std::int64_t step_ns = testing::isPodman() ? 1'000'000'000 : 1;  // Of its log's times.
  ASSERT_TRUE(readLogs(std::max(lines[0].wall_ns, lines[1].wall_ns) + step_ns));
  EXPECT_EQ(lines.size(), 0u);

  const auto list = loop.result<std::vector<ContainerEntry>>(
      [&](auto then) { return engine->listContainers("l=v", then); });
  ASSERT_TRUE(list) << list.error().text;
  ASSERT_EQ(list->size(), 1u);
  EXPECT_EQ(list->front().name, "c1");
  EXPECT_EQ(list->front().phase, ContainerPhase::kExited);
  ASSERT_TRUE(ask([&](auto then) { return engine->remove("c1", then); }));
  const Status again = ask([&](auto then) { return engine->remove("c1", then); });
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::kNotFound);
  EXPECT_THAT(again.error().text, HasSubstr("remove container c1: the engine says: "));
}

TEST_F(DockerdEngine, StopsKillsAndRestarts) {
  create("c2", "trap 'echo bye; exit 7' TERM; echo up; while true; do sleep 0.1; done");
  ASSERT_TRUE(ask([&](auto then) { return engine->start("c2", then); }));
  ASSERT_TRUE(ask([&](auto then) { return engine->start("c2", then); }));  // Runs already.
  std::vector<std::string> lines;
  Engine::LogOrder order;
  order.until = Engine::LogOrder::Until::kEnd;
  bool ended = false;
  const auto logs = engine->logs(
      "c2", order, [&lines](const ContainerLine& line) { lines.push_back(line.text); },
      [&ended](const Status&) { ended = true; });
  ASSERT_TRUE(loop.until([&] { return !lines.empty(); }));
  ASSERT_TRUE(ask([&](auto then) { return engine->stop("c2", 20, then); }));
  EXPECT_EQ(inspect("c2").exit_code, 7);
  ASSERT_TRUE(loop.until([&] { return ended; }));
  EXPECT_THAT(lines, ElementsAre("up", "bye"));
  ASSERT_TRUE(ask([&](auto then) { return engine->restart("c2", 20, then); }));
  EXPECT_EQ(inspect("c2").phase, ContainerPhase::kRunning);
  ASSERT_TRUE(ask([&](auto then) { return engine->kill("c2", "KILL", then); }));
  const auto code = loop.result<std::int64_t>([&](auto then) { return engine->wait("c2", then); });
  ASSERT_TRUE(code);
  EXPECT_EQ(*code, 137);
}

TEST_F(DockerdEngine, KnowsItsImages) {
  const auto image = loop.result<ImageFacts>(
      [&](auto then) { return engine->inspectImage("kante-test:1", then); });
  ASSERT_TRUE(image) << image.error().text;
  EXPECT_THAT(image->id, HasSubstr("sha256:"));
  const auto list =
      loop.result<std::vector<ImageFacts>>([&](auto then) { return engine->listImages("", then); });
  ASSERT_TRUE(list) << list.error().text;
  const auto same = std::find_if(list->begin(), list->end(),
                                 [&](const ImageFacts& one) { return one.id == image->id; });
  ASSERT_NE(same, list->end());
  EXPECT_THAT(same->tags, Contains(AnyOf("kante-test:1", "docker.io/library/kante-test:1")));
  dockerd->docker({"tag", "kante-test:1", "kante-other:1"});
  ASSERT_TRUE(ask([&](auto then) { return engine->removeImage("kante-other:1", then); }));
  const auto gone = loop.result<ImageFacts>(
      [&](auto then) { return engine->inspectImage("kante-other:1", then); });
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Errc::kNotFound);
}

TEST_F(DockerdEngine, SaysWhyAnImageDoesNotCome) {
  const Status end = ask([&](auto then) {
    return engine->pullImage(
        "127.0.0.1:9/x:1", nullptr, [](const PullProgress&) {}, then);
  });
  ASSERT_FALSE(end);
  EXPECT_THAT(end.error().text, HasSubstr("pull image 127.0.0.1:9/x:1: the engine says: "));
  EXPECT_THAT(end.error().text, HasSubstr("connection refused"));
}

TEST_F(DockerdEngine, EndsItsStreamsWhenItIsKilled) {
  std::optional<Status> end;
  bool following = false;
  const auto follow = engine->events(
      "l=v", [&] { following = true; }, [](const EngineEvent&) {},
      [&](Status status) { end = std::move(status); });
  ASSERT_TRUE(loop.until([&] { return following; }));
  dockerd->kill();
  ASSERT_TRUE(loop.until([&] { return end.has_value(); }));
  ASSERT_FALSE(*end);
  EXPECT_EQ(end->error().code, Errc::kUnavailable);
}

}  // namespace
}  // namespace kante
