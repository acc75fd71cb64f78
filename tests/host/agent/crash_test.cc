// The process ends between any two writes of a change; the next start finds the old deployment or
// the new one, whole.
#include <gtest/gtest.h>

#include <functional>

#include "tests/host/agent/deadly_life.h"

namespace kante {
namespace {

using test::document;
using test::Gateway;
using test::Life;

const std::string kSecond = document(2, R"("config":{"a":2})");

// Applies in a process of its own that dies at `deadly`; whether it died.
bool diesAt(Gateway& gateway, int deadly, const std::function<bool(Life&)>& apply) {
  const pid_t child = ::fork();
  if (child == 0) {
    Life life(gateway);
    life.agent->start([](const Result<ApplyOutcome>&) {});
    life.journal.steps = 0;
    life.journal.deadly = deadly;
    ::_exit(apply(life) ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  if (WIFSIGNALED(status)) {
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
    return true;
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
  return false;
}

TEST(AgentCrash, AtAnyInstantLeavesTheOldDeploymentOrTheNew) {
  bool old_seen = false;
  bool new_seen = false;
  bool died = true;
  for (int deadly = 1; died && deadly < 50; ++deadly) {
    SCOPED_TRACE("killed at step " + std::to_string(deadly));
    Gateway gateway;
    ASSERT_TRUE(Life(gateway).apply(document(1)));
    died = diesAt(gateway, deadly, [](Life& life) { return life.apply(kSecond); });
    Life life(gateway);
    Result<ApplyOutcome> started = fail(Errc::kState, "not answered");
    life.agent->start([&](Result<ApplyOutcome> outcome) { started = std::move(outcome); });
    ASSERT_TRUE(started) << started.error().text;
    const auto version = life.agent->status().version;
    ASSERT_TRUE(version == 1 || version == 2);
    EXPECT_EQ(life.host.targets.at(0).modules.at(0).config, version == 1 ? "{}" : R"({"a":2})");
    for (const auto& entry : life.agent->history())
      EXPECT_EQ(entry.state, entry.version <= version ? "committed" : "rolled-back");
    // What was cut off is told, and by whom.
    const bool cut_off = life.agent->history().size() > 1 && version == 1;
    EXPECT_EQ(life.agent->status().state,
              cut_off ? DeploymentState::kRolledBack : DeploymentState::kCommitted);
    EXPECT_EQ(life.agent->status().reason,
              cut_off ? "line-4 version 2: the host ended while it was being applied: module x "
                        "brought it down"
                      : "");
    (version == 1 ? old_seen : new_seen) = true;
    if (version == 1) {
      EXPECT_TRUE(life.apply(kSecond));  // What was cut off can be tried again.
    }
    EXPECT_EQ(life.agent->status().version, 2u);
  }
  EXPECT_TRUE(old_seen);
  EXPECT_TRUE(new_seen);
  EXPECT_FALSE(died);
}

// A base and a layer of two documents.
ApplyRequest together(const Gateway& gateway) {
  ApplyRequest request = gateway.request(kSecond);
  request.layers.push_back(
      {"l", R"({"schema":"kante.layer/1","content":{"modules":{"y":{"config":{"b":3}}}}})"});
  request.marks = {{"ann\ndeployment\n", 7, "sha256:aa"}, {"ann\nlayer\nl", 8, "sha256:bb"}};
  return request;
}

TEST(AgentCrash, AtAnyInstantLeavesAllDocumentsOfAChangeTakenOrNone) {
  bool died = true;
  int cut_off = 0;
  int taken = 0;
  for (int deadly = 1; died && deadly < 50; ++deadly) {
    SCOPED_TRACE("killed at step " + std::to_string(deadly));
    Gateway gateway;
    ASSERT_TRUE(Life(gateway).apply(document(1)));
    died = diesAt(gateway, deadly, [&gateway](Life& life) {
      bool holds = false;
      life.agent->apply(together(gateway),
                        [&](const Result<ApplyOutcome>& result) { holds = result.has_value(); });
      return holds;
    });
    Life life(gateway);
    life.agent->start([](const Result<ApplyOutcome>&) {});
    const auto ended = life.agent->ended();
    const bool is_new = life.agent->status().version == 2;
    EXPECT_EQ(life.agent->layers().size(), is_new ? 1u : 0u);
    ASSERT_EQ(ended.size(), is_new ? 2u : 0u);
    if (is_new) {
      EXPECT_TRUE(ended[0].committed && ended[1].committed);
      EXPECT_TRUE(life.agent->apart().empty());
      ++taken;
    } else if (life.agent->history().size() > 1) {
      EXPECT_EQ(life.agent->apart().size(), 2u) << "each may come again, although a module did it";
      ++cut_off;
    }
  }
  EXPECT_GT(cut_off, 0);
  EXPECT_GT(taken, 0);
  EXPECT_FALSE(died);
}

}  // namespace
}  // namespace kante
