// The conversation before the rings, and the log pipe.
#include "host/sandbox/runner_process.h"

#include "tests/host/sandbox/link_fixture.h"

namespace kante {
namespace {

using RunnerProcessTest = LinkFixture;

TEST_F(RunnerProcessTest, TellsTheRunnerWhatToConfineItselfTo) {
  PlayedRunner& runner = begin();
  EXPECT_EQ(runner.order().name, "guest");
  EXPECT_EQ(runner.order().tier, kTierFull);
  EXPECT_EQ(runner.order().memory_mb, 32u);
  const Start start = runner.converse();
  EXPECT_EQ(start.tier, kTierFull);
  EXPECT_STREQ(start.module_id, "dev.kante.guest");
  EXPECT_STREQ(start.module_path, moduleIsFile(3) ? "/mod/00.so" : "/proc/self/fd/7");
  EXPECT_EQ(start.ring_bytes, kRingBytesDefault);
  runner.created();
  expectTold("created 0 ");
  EXPECT_EQ(link_->pid(), 4711);
  EXPECT_EQ(link_->inputs(), std::vector<std::string>{"in"});
  EXPECT_EQ(link_->outputs(), (std::vector<std::string>{"out", "alert"}));
}

TEST_F(RunnerProcessTest, WithoutNamespacesTheModuleIsADescriptor) {
  begin(kTierNoNamespaces);
  runner_->say(PlayedRunner::hello());
  EXPECT_STREQ(runner_->hear<Start>().module_path, "/proc/self/fd/7");
}

TEST_F(RunnerProcessTest, AnotherVersionOfTheWireIsRefusedWithAHint) {
  PlayedRunner& runner = begin();
  Hello said = PlayedRunner::hello();
  said.wire_version = kWireVersion + 1;
  runner.say(said);
  expectEnd("start failed", "install both from one release");
}

TEST_F(RunnerProcessTest, ARefusalOfTheRunnerIsTold) {
  PlayedRunner& runner = begin();
  runner.say(PlayedRunner::hello());
  Refused said;
  std::strcpy(said.text, "the library does not load: no such symbol");
  runner.say(said);
  expectEnd("start failed", "the library does not load: no such symbol");
}

TEST_F(RunnerProcessTest, ARefusalThatIsStillUnreadAtItsEndIsTold) {
  PlayedRunner& runner = begin();
  runner.say(PlayedRunner::hello());
  (void)runner.hear<Start>();
  boost::asio::post(control_, [&] {
    Refused said;
    std::strcpy(said.text, "the library does not load: no such symbol");
    runner.say(said);
    Exited exited;
    exited.exit_code = kRunnerExitRefused;
    source_.endAtOnce(exited);
  });
  expectEnd("start failed", "the library does not load: no such symbol");
}

// It stands in answers of the API and on terminals.
TEST_F(RunnerProcessTest, ARefusalIsTextWhateverTheRunnerSays) {
  PlayedRunner& runner = begin();
  runner.say(PlayedRunner::hello());
  Refused said;
  std::strcpy(said.text, "a\x1b[2J\xc3\xa4\xc3\xff\n.");
  runner.say(said);
  expectEnd("start failed", "a?[2J\xc3\xa4???.");
}

TEST_F(RunnerProcessTest, WhatTheKernelSaysCountsAndNotWhatTheRunnerSays) {
#ifdef KANTE_SANITIZED
  GTEST_SKIP() << "nothing is compared in builds with sanitizers";
#endif
  source_.seen.seccomp_mode = 0;
  PlayedRunner& runner = begin();
  runner.say(PlayedRunner::hello());
  (void)runner.hear<Start>();
  runner.say(PlayedRunner::facts());
  expectEnd("start failed", "it has no filter");
}

TEST_F(RunnerProcessTest, LoadedBeforeLoadIsOutOfTurn) {
  PlayedRunner& runner = begin();
  runner.say(PlayedRunner::hello());
  (void)runner.hear<Start>();
  runner.say(*PlayedRunner::loaded());
  expectEnd("start failed", "spoke out of turn");
}

TEST_F(RunnerProcessTest, HalfAStructIsOutOfTurn) {
  PlayedRunner& runner = begin();
  const std::uint32_t half = static_cast<std::uint32_t>(StartKind::kHello);
  runner.say(half);
  expectEnd("start failed", "spoke out of turn on its control socket (4 bytes)");
}

TEST_F(RunnerProcessTest, ALoadedModuleWithoutTheSecondFilterIsNotTaken) {
  PlayedRunner& runner = begin();
  runner.say(PlayedRunner::hello());
  (void)runner.hear<Start>();
  runner.say(PlayedRunner::facts());
  (void)runner.hear<Load>();
  auto said = PlayedRunner::loaded();
  said->has_filter2 = 0;
  runner.say(*said);
  expectEnd("start failed", "it is without the filter after loading");
}

TEST_F(RunnerProcessTest, NamesThatAreNoneAreRefused) {
  PlayedRunner& runner = begin();
  runner.say(PlayedRunner::hello());
  (void)runner.hear<Start>();
  runner.say(PlayedRunner::facts());
  (void)runner.hear<Load>();
  const auto said = PlayedRunner::loaded();
  std::memset(said->names, 'x', sizeof said->names);
  runner.say(*said);
  expectEnd("start failed", "reports inputs that are no names");
}

TEST_F(RunnerProcessTest, SpeakingAfterTheStartIsTheEnd) {
  beginActive().say(PlayedRunner::hello());
  expectEnd("died", "spoke out of turn");
}

TEST_F(RunnerProcessTest, AClosedSocketOfALivingRunnerIsTheEnd) {
  beginActive().closeControl();
  expectEnd("died", "closed its control socket");
}

TEST_F(RunnerProcessTest, WhatCouldNotBeStartedIsToldAsTheLauncherSaysIt) {
  begin();
  Exited exited;
  std::strcpy(exited.text, "no cgroup");
  exit(exited);
  expectEnd("start failed", "could not be started: no cgroup");
}

TEST_F(RunnerProcessTest, LinesOfTheModuleAreLogged) {
  PlayedRunner& runner = beginActive();
  runner.print("one\ntw");
  runner.print("o\n");
  expectTold("log 2 two");
  EXPECT_TRUE(told_.has("log 2 one"));
  runner.print("terminate called");  // No line feed, and the end.
  Exited exited;
  exited.signal = SIGABRT;
  exit(exited);
  expectTold("log 2 terminate called");
  expectEnd("died", "SIGABRT");
}

TEST_F(RunnerProcessTest, AFloodOfLinesIsCutAndCounted) {
  PlayedRunner& runner = beginActive();
  std::string lines;
  for (int i = 0; i < 1000; ++i) lines += "flood\n";
  runner.print(lines);
  exit({});
  EXPECT_TRUE(eventually([&] { return !told_.find("died").empty(); }));
  EXPECT_LE(told_.count("log 2 flood"), 2 * LogPipe::kLinesPerSecond);
  EXPECT_NE(told_.find("log 2 ("), "");
}

TEST(LineCutterTest, CutsWhatIsTooLongAndDropsTheRestOfIt) {
  std::vector<std::string> lines;
  LineCutter cutter([&](std::string_view line) { lines.emplace_back(line); });
  cutter.add(std::string(10'000, 'x') + "\nnext\r\n\n");
  cutter.add("last");
  cutter.end();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], std::string(LineCutter::kLineMax, 'x') + "…");
  EXPECT_EQ(lines[1], "next");
  EXPECT_EQ(lines[2], "last");
}

}  // namespace
}  // namespace kante
