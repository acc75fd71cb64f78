#include "host/sandbox/runner_link.h"

#include "host/base/clock.h"
#include "host/base/metrics.h"

#include "tests/host/sandbox/link_fixture.h"

namespace kante {
namespace {

using RunnerLinkTest = LinkFixture;

Exited bySignal(int signal) {
  Exited exited;
  exited.signal = signal;
  return exited;
}

// ---- towards the runner

TEST_F(RunnerLinkTest, HandsAnInputOverAndLearnsThatItWasHandled) {
  PlayedRunner& runner = beginActive();
  EXPECT_EQ(input("{\"n\":1}", 77), KANTE_PENDING);
  const FrameIn frame = runner.read();
  EXPECT_EQ(frame.kind, Frame::kInput);
  EXPECT_EQ(frame.head.token, 77u);
  EXPECT_EQ(frame.head.status, 3);  // Hops.
  EXPECT_EQ(frame.text, "module/a/b");
  runner.handled(1);
  EXPECT_TRUE(eventually([&] { return told_.handled == 1; }));
}

TEST_F(RunnerLinkTest, SaysAgainWithoutCreditAndRoomWhenHalfIsBack) {
  PlayedRunner& runner = beginActive();
  for (std::uint32_t i = 0; i < kInputCredit; ++i) {
    ASSERT_EQ(input("1"), KANTE_PENDING) << i;
    EXPECT_EQ(runner.read().kind, Frame::kInput);
  }
  EXPECT_EQ(input("1"), KANTE_E_AGAIN);
  runner.handled(1);
  EXPECT_TRUE(eventually([&] { return told_.handled == 1; }));
  EXPECT_FALSE(told_.has("room"));
  runner.handled(kInputCredit / 2);
  expectTold("room");
  EXPECT_EQ(input("1"), KANTE_PENDING);
}

TEST_F(RunnerLinkTest, SaysAgainWhenTheRingIsFullAndRoomWhenHalfOfItIsFree) {
  PlayedRunner& runner = beginActive();
  const auto message = *jsonMessage("\"" + std::string(8000, 'x') + "\"");
  std::uint64_t sent = 0;
  while (input(message) == KANTE_PENDING) ASSERT_LT(++sent, 100u);
  EXPECT_GT(sent, 20u);
  for (std::uint64_t i = 0; i < sent; ++i) EXPECT_EQ(runner.read().kind, Frame::kInput);
  runner.ringDoorbell();
  expectTold("room");
  EXPECT_EQ(input(message), KANTE_PENDING);
}

TEST_F(RunnerLinkTest, SendsAMessageOfAMegabyteInParts) {
  PlayedRunner& runner = beginActive();
  const auto message = *jsonMessage("\"" + std::string(1'000'000, 'x') + "\"");
  EXPECT_EQ(input(message), KANTE_PENDING);
  EXPECT_EQ(input("1"), KANTE_E_AGAIN);  // Its parts go first.
  const FrameIn frame = runner.read();
  EXPECT_EQ(frame.head.message_words, message.wordCount());
  EXPECT_EQ(std::memcmp(frame.message.get()->data(), message.words(), message.bytes()), 0);
  expectTold("room");
}

TEST_F(RunnerLinkTest, SendsEveryEventInItsFrame) {
  PlayedRunner& runner = beginActive();
  EXPECT_EQ(event(KANTE_EVENT_METHOD, 0, 5, "reset"), KANTE_PENDING);
  FrameIn frame = runner.read();
  EXPECT_EQ(frame.kind, Frame::kMethod);
  EXPECT_EQ(frame.text, "reset");
  EXPECT_EQ(event(KANTE_EVENT_HEALTH), KANTE_PENDING);
  EXPECT_EQ(runner.read().kind, Frame::kHealth);
  EXPECT_EQ(event(KANTE_EVENT_DONE, 0, 9), KANTE_OK);
  frame = runner.read();
  EXPECT_EQ(frame.kind, Frame::kDone);
  EXPECT_EQ(frame.head.token, 9u);
  EXPECT_EQ(event(KANTE_EVENT_SAVE, 0, 6), KANTE_PENDING);
  EXPECT_EQ(runner.read().kind, Frame::kSave);
  on([&] { link_->resume(); });
  EXPECT_EQ(runner.read().kind, Frame::kResume);
  EXPECT_EQ(event(KANTE_EVENT_DRAIN), KANTE_OK);
  EXPECT_EQ(runner.read().kind, Frame::kDrain);
  EXPECT_EQ(event(99), KANTE_E_UNSUPPORTED);
}

TEST_F(RunnerLinkTest, RestoresAStateLargerThanTheRing) {
  PlayedRunner& runner = beginActive();
  const std::string state(3'000'001, 's');
  EXPECT_EQ(event(KANTE_EVENT_RESTORE, 0, 0, state, 4), KANTE_PENDING);
  const FrameIn frame = runner.read();
  EXPECT_EQ(frame.kind, Frame::kRestore);
  EXPECT_EQ(frame.head.arg, 4u);
  EXPECT_EQ(frame.state, state);
}

// ---- from the runner

TEST_F(RunnerLinkTest, RoutesWhatTheModuleEmitsAndGivesItsCreditBack) {
  PlayedRunner& runner = beginActive();
  const std::uint32_t before = runner.hostPage().routed[1].load();
  EXPECT_EQ(before, 0u);  // It had none until there were routes.
  runner.emit(1, "{\"n\":2}", 42);
  expectTold("emit 1 {\"n\":2} hops 1 token 42");
  EXPECT_TRUE(eventually([&] { return runner.hostPage().routed[1].load() == 1; }));
}

TEST_F(RunnerLinkTest, TakesAMessageOfAMegabyteInParts) {
  PlayedRunner& runner = beginActive();
  runner.emit(0, "\"" + std::string(1'000'000, 'y') + "\"");
  EXPECT_TRUE(eventually([&] { return !told_.find("emit 0 1000002 bytes").empty(); }));
}

TEST_F(RunnerLinkTest, WhatHasNoRoomIsSetAsideAndSettlementsWaitBehindIt) {
  PlayedRunner& runner = beginActive();
  told_.no_room = true;
  runner.emit(0, "1");
  runner.write(Frame::kSettle, 11);
  runner.emit(0, "2");
  runner.write(Frame::kSettle, 12, KANTE_E_INVALID, "bad");
  runner.write(Frame::kDrained);
  runner.write(Frame::kLog, 0, 0, "not a barrier", 3);
  expectTold("log 3 not a barrier");
  EXPECT_FALSE(told_.has("settle 11 0"));
  told_.no_room = false;
  EXPECT_EQ(event(KANTE_EVENT_WRITABLE, 0), KANTE_OK);
  expectTold("drained");
  EXPECT_LT(told_.at("emit 0 1 hops 1 token 0"), told_.at("settle 11 0"));
  EXPECT_LT(told_.at("settle 11 0"), told_.at("emit 0 2 hops 1 token 0"));
  EXPECT_LT(told_.at("emit 0 2 hops 1 token 0"), told_.at("explain -1 bad"));
  EXPECT_LT(told_.at("explain -1 bad"), told_.at("settle 12 -1"));
  EXPECT_TRUE(eventually([&] { return runner.hostPage().routed[0].load() == 2; }));
}

TEST_F(RunnerLinkTest, AnOutputWithoutRoomDoesNotHoldAnother) {
  PlayedRunner& runner = beginActive();
  told_.no_room = true;
  runner.emit(0, "1");
  runner.write(Frame::kLog, 0, 0, "behind it", 3);
  expectTold("log 3 behind it");
  told_.no_room = false;
  runner.emit(1, "2");
  runner.emit(0, "3");
  expectTold("emit 1 2 hops 1 token 0");
  EXPECT_FALSE(told_.has("emit 0 3 hops 1 token 0"));  // Behind the first.
  EXPECT_EQ(event(KANTE_EVENT_WRITABLE, 0), KANTE_OK);
  EXPECT_LT(told_.at("emit 0 1 hops 1 token 0"), told_.at("emit 0 3 hops 1 token 0"));
}

TEST_F(RunnerLinkTest, CallsTheHostForEveryFrame) {
  PlayedRunner& runner = beginActive();
  const auto message = *jsonMessage("{}");
  runner.write(Frame::kReport, message, 1);
  runner.write(Frame::kReply, message, 2);
  runner.write(Frame::kStorageGet, 3, 0, "key");
  runner.write(Frame::kStoragePut, message, 4, "key");
  runner.write(Frame::kStorageErase, 5, 0, "key");
  runner.write(Frame::kInvoke, message, 6, "module/areset", 250 | std::uint64_t{8} << 32);
  runner.write(Frame::kDefineMetric, 0, 0, "load", 3, 1);
  runner.write(Frame::kAddMetric, 0, 0, {}, 3, static_cast<std::uint64_t>(-2));
  runner.write(Frame::kAddMetric, 0, 0, {}, 4, 1);  // Never defined.
  runner.write(Frame::kReady);
  runner.write(Frame::kEventEnded, 5, KANTE_OK, {}, KANTE_EVENT_METHOD);
  expectTold("ended 2 5 0 ");
  for (const char* text :
       {"report token 1", "reply 0 token 2", "get key token 3", "put key token 4",
        "erase key token 5", "invoke module/a reset 250 token 6", "metric load 1", "add 7 -2",
        "ready"}) {
    EXPECT_TRUE(told_.has(text)) << text;
  }
}

TEST_F(RunnerLinkTest, ARefusedRequestIsAnsweredByDone) {
  PlayedRunner& runner = beginActive();
  told_.answer = KANTE_E_AGAIN;
  runner.write(Frame::kStorageGet, 3, 0, "key");
  const FrameIn frame = runner.read();
  EXPECT_EQ(frame.kind, Frame::kDone);
  EXPECT_EQ(frame.head.token, 3u);
  EXPECT_EQ(frame.head.status, KANTE_E_AGAIN);
}

TEST_F(RunnerLinkTest, SavesStateAndCountsWhatIsNotHandledNoMore) {
  PlayedRunner& runner = beginActive();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(input("1"), KANTE_PENDING);
  EXPECT_EQ(event(KANTE_EVENT_SAVE, 0, 9), KANTE_PENDING);
  while (runner.read().kind != Frame::kSave) {
  }
  runner.page().handled.store(1);
  const std::string state = "state of it";
  std::string padded = state + std::string(8, '\0');
  runner.write(stateFrame(Frame::kSaved, 9, 5, padded.data(), state.size()));
  runner.write(Frame::kEventEnded, 9, KANTE_OK, {}, KANTE_EVENT_SAVE);
  expectTold("ended 9 9 0 ");
  EXPECT_LT(told_.at("saved 9 5 state of it"), told_.at("ended 9 9 0 "));
  EXPECT_EQ(told_.handled, 1u);
  // The two that went back are no part of its credit any more.
  on([&] { link_->resume(); });
  EXPECT_EQ(input("1"), KANTE_PENDING);
  runner.handled(2);
  EXPECT_TRUE(eventually([&] { return told_.handled == 2; }));
}

struct Sheet final : MetricWriter {
  void counter(std::string_view name, std::string_view, Labels labels, double value) override {
    std::string key(name);
    for (const auto& [label, text] : labels)
      key += " " + std::string(label) + "=" + std::string(text);
    values[key] = value;
  }
  void gauge(std::string_view, std::string_view, Labels, double) override {}
  void histogram(std::string_view, std::string_view, Labels, const std::vector<Bucket>&,
                 double) override {}
  std::map<std::string, double> values;
};

TEST_F(RunnerLinkTest, CountsWhatPassesIt) {
  PlayedRunner& runner = beginActive();
  runner.emit(0, "1");
  expectTold("emit 0 1 hops 1 token 0");
  EXPECT_EQ(input("1"), KANTE_PENDING);
  runner.page().spins_lost.store(3);
  Sheet sheet;
  on([&] { link_->collect(sheet, "guest"); });
  EXPECT_EQ(sheet.values["kante_sandbox_frames_total module=guest direction=in"], 2);
  EXPECT_EQ(sheet.values["kante_sandbox_frames_total module=guest direction=out"], 2);
  EXPECT_GT(sheet.values["kante_sandbox_bytes_total module=guest direction=in"], 0);
  EXPECT_EQ(sheet.values["kante_sandbox_spins_total module=guest result=lost"], 3);
  EXPECT_EQ(sheet.values["kante_sandbox_refused_total module=guest"], 0);
}

// ---- breaches

TEST_F(RunnerLinkTest, ABrokenRingIsTheEnd) {
  PlayedRunner& runner = beginActive();
  runner.page().end.head.store(3);
  runner.ringDoorbell();
  expectEnd("died", "broke the rules of its rings");
  EXPECT_EQ(told_.find("died").find("from outside"), std::string::npos);
}

TEST_F(RunnerLinkTest, ScribblingOverItsRingIsTheEnd) {
  PlayedRunner& runner = beginActive();
  std::memset(runner.ring(), 0xa5, kRingBytesDefault);
  runner.page().end.head.store(4096);
  runner.ringDoorbell();
  expectEnd("died", "broke the rules of its rings");
}

TEST_F(RunnerLinkTest, ATailThatGoesAheadIsTheEnd) {
  PlayedRunner& runner = beginActive();
  runner.page().end.tail.store(1u << 20);
  const auto message = *jsonMessage("\"" + std::string(8000, 'x') + "\"");
  for (int i = 0; i < 100; ++i) (void)input(message);
  expectEnd("died", "broke the rules of its rings");
}

TEST_F(RunnerLinkTest, MoreHandledThanSentIsTheEnd) {
  PlayedRunner& runner = beginActive();
  EXPECT_EQ(input("1"), KANTE_PENDING);
  (void)runner.read();
  runner.handled(2);
  expectEnd("died", "it says that it has handled 2 inputs, after 0 of 1");
}

// The runner does not judge every layout, so this can be a module's mistake.
TEST_F(RunnerLinkTest, WhatIsNoMessageIsRefusedAndItsSenderIsTold) {
  PlayedRunner& runner = beginActive();
  const std::uint64_t words[4] = {~0ull, ~0ull, ~0ull, ~0ull};
  FrameOut frame;
  frame.kind = Frame::kEmit;
  frame.token = 5;
  frame.arg = 1;
  frame.words = words;
  frame.word_count = 4;
  runner.write(frame);
  FrameIn done = runner.read();
  EXPECT_EQ(done.kind, Frame::kDone);
  EXPECT_EQ(done.head.token, 5u);
  EXPECT_EQ(done.head.status, KANTE_E_CORRUPT);
  EXPECT_TRUE(eventually([&] { return runner.hostPage().routed[0].load() == 1; }));
  frame.kind = Frame::kStoragePut;
  frame.token = 6;
  frame.arg = 0;
  frame.text = "key";
  runner.write(frame);
  done = runner.read();
  EXPECT_EQ(done.head.token, 6u);
  EXPECT_EQ(done.head.status, KANTE_E_CORRUPT);
  EXPECT_EQ(link_->counts().refused.value(), 2u);
}

TEST_F(RunnerLinkTest, AnOutputThatItDoesNotHaveIsTheEnd) {
  beginActive().emit(2, "1");
  expectEnd("died", "it has no output 2");
}

TEST_F(RunnerLinkTest, SendingBeyondItsCreditIsTheEnd) {
  PlayedRunner& runner = beginActive();
  told_.no_room = true;
  for (std::uint32_t i = 0; i <= kOutputCredit; ++i) runner.emit(0, "1");
  expectEnd("died", "more on its output out than it has credit for");
}

TEST_F(RunnerLinkTest, SettlingWithoutEndIsTheEnd) {
  PlayedRunner& runner = beginActive();
  told_.no_room = true;
  runner.emit(0, "1");
  for (std::size_t i = 0; i <= SetAside::kBarriersMax && told_.find("died").empty(); ++i)
    runner.write(Frame::kSettle, i + 1);
  expectEnd("died", "settles more than it was given");
}

// Or it could have them brought again and again, and none would ever count as tried.
TEST_F(RunnerLinkTest, GivingInputsBackForWhatItWasNotHandlingIsTheEnd) {
  PlayedRunner& runner = beginActive();
  told_.settled = KANTE_E_NOT_FOUND;
  runner.write(Frame::kSettle, 11, KANTE_E_INVALID);
  expectTold("settle 11 -1");
  runner.write(Frame::kSettle, 12, KANTE_E_INVALID, {}, 1);
  expectEnd("died", "it gives its inputs back for one that it was not handling");
  EXPECT_FALSE(told_.has("recalled"));
}

TEST_F(RunnerLinkTest, AStateThatNobodyAskedForIsTheEnd) {
  PlayedRunner& runner = beginActive();
  told_.no_room = true;
  runner.emit(0, "1");
  EXPECT_EQ(event(KANTE_EVENT_SAVE, 0, 9), KANTE_PENDING);
  EXPECT_EQ(runner.read().kind, Frame::kSave);
  const std::uint64_t state = 1;
  runner.write(stateFrame(Frame::kSaved, 9, 5, &state, sizeof state));
  runner.write(Frame::kLog, 0, 0, "once", 3);
  expectTold("log 3 once");
  runner.write(stateFrame(Frame::kSaved, 9, 5, &state, sizeof state));
  expectEnd("died", "it answers a SAVE that nobody asked for");
}

TEST_F(RunnerLinkTest, TheEndOfASaveThatNobodyAskedForIsTheEnd) {
  PlayedRunner& runner = beginActive();
  runner.write(Frame::kEventEnded, 9, KANTE_OK, {}, KANTE_EVENT_SAVE);
  expectEnd("died", "it answers a SAVE that nobody asked for");
  EXPECT_EQ(told_.find("ended 9"), "");
}

TEST_F(RunnerLinkTest, AStateMayComeAfterTheEndOfItsSave) {
  PlayedRunner& runner = beginActive();
  const std::uint64_t state = 0x2121212121212121;
  for (const std::uint64_t token : {9u, 10u}) {  // The first one's after the second one's SAVE.
    EXPECT_EQ(event(KANTE_EVENT_SAVE, 0, token), KANTE_PENDING);
    EXPECT_EQ(runner.read().kind, Frame::kSave);
    if (token == 10) runner.write(stateFrame(Frame::kSaved, 9, 5, &state, sizeof state));
    runner.write(Frame::kEventEnded, token, KANTE_OK, {}, KANTE_EVENT_SAVE);
    expectTold("ended 9 " + std::to_string(token) + " 0 ");
  }
  runner.write(stateFrame(Frame::kSaved, 10, 5, &state, sizeof state));
  expectTold("saved 9 5 !!!!!!!!");
  expectTold("saved 10 5 !!!!!!!!");
  EXPECT_EQ(told_.find("died"), "");
}

// Nothing is lost, and the shard rests meanwhile.
TEST_F(RunnerLinkTest, ReadsNoMoreThanItMaySetAsideUntilThereIsRoom) {
  PlayedRunner& runner = beginActive();
  told_.no_room = true;
  const std::string mebibyte = "\"" + std::string(1'000'000, 'x') + "\"";
  constexpr std::size_t kSent = SetAside::kBytesMax / 1'000'000 + 1;
  for (std::size_t i = 0; i < kSent; ++i) runner.emit(0, mebibyte);
  runner.write(Frame::kLog, 0, 0, "behind it", 3);
  const std::uint64_t vain = link_->counts().vain_rings.value();
  EXPECT_TRUE(eventually([&] {
    runner.ringDoorbell();
    return link_->counts().vain_rings.value() > vain;
  }));
  EXPECT_FALSE(told_.has("log 3 behind it"));
  told_.no_room = false;
  EXPECT_EQ(event(KANTE_EVENT_WRITABLE, 0), KANTE_OK);
  expectTold("log 3 behind it");
  EXPECT_EQ(told_.count("emit 0 1000002 bytes hops 1 token 0"), kSent);
}

TEST_F(RunnerLinkTest, EndsARunnerOfWhichItReadsNoMore) {
  PlayedRunner& runner = beginActive();
  told_.no_room = true;
  for (std::size_t i = 0; i < SetAside::kBytesMax / 1'000'000 + 1; ++i)
    runner.emit(0, "\"" + std::string(1'000'000, 'x') + "\"");
  std::atomic<bool> gone{false};
  on([&] { link_->destroy([&] { gone = true; }); });
  EXPECT_EQ(runner.read().kind, Frame::kDestroy);
  for (std::size_t i = 0; i < SetAside::kBytesMax / 1'000'000 + 1; ++i)
    runner.emit(1, "\"" + std::string(1'000'000, 'x') + "\"");
  runner.write(Frame::kLog, 0, 0, "last words", 2);
  expectTold("log 2 last words");
  exit({});
  EXPECT_TRUE(eventually([&] { return gone.load(); }));
  EXPECT_EQ(link_->counts().lost.value(), 2 * (SetAside::kBytesMax / 1'000'000 + 1));
}

TEST_F(RunnerLinkTest, AnEmptyCreditBeforeItsRoutesIsNoCredit) {
  PlayedRunner& runner = begin();
  runner.converse();
  runner.created();
  expectTold("created 0 ");
  runner.emit(0, "1");
  expectEnd("died", "than it has credit for");
}

TEST_F(RunnerLinkTest, RingingForNothingWithoutPauseIsTheEnd) {
  PlayedRunner& runner = beginActive();
  EXPECT_TRUE(eventually([&] {
    for (int i = 0; i < 1000; ++i) runner.ringDoorbell();
    return !told_.find("died").empty() || link_->counts().vain_rings.value() > 1000;
  }));
  EXPECT_EQ(told_.find("emit"), "");
}

// ---- ends

TEST_F(RunnerLinkTest, WhatItHadPublishedBeforeItDiedCounts) {
  PlayedRunner& runner = beginActive();
  for (int i = 0; i < 300; ++i) {
    const auto message = *jsonMessage(std::to_string(i));
    FrameOut frame;
    frame.kind = Frame::kEmit;
    frame.arg = 1;
    frame.words = message.words();
    frame.word_count = message.wordCount();
    runner.write(frame);
  }
  exit(bySignal(SIGKILL));
  expectEnd("died", "was killed from outside");
  EXPECT_NE(told_.at("emit 0 299 hops 1 token 0"), std::string::npos);
  EXPECT_LT(told_.at("emit 0 299 hops 1 token 0"), told_.at(told_.find("died")));
  EXPECT_NE(told_.find("died").find("from outside"), std::string::npos);
}

TEST_F(RunnerLinkTest, WhatWaitedForRoomWhenItDiedIsLostAndTold) {
  PlayedRunner& runner = beginActive();
  told_.no_room = true;
  runner.emit(1, "1");
  runner.emit(0, "2");
  runner.write(Frame::kSettle, 11);
  runner.write(Frame::kLog, 0, 0, "read", 3);
  expectTold("log 3 read");
  exit(bySignal(SIGKILL));
  expectEnd("died", "was killed from outside");
  EXPECT_LT(told_.at("lost 1 1"), told_.at("lost 0 2"));
  EXPECT_LT(told_.at("lost 0 2"), told_.at(told_.find("died")));
  EXPECT_FALSE(told_.has("settle 11 0"));  // It comes again.
}

TEST_F(RunnerLinkTest, ACrashIsNamedWithItsSignalAddressAndEvent) {
  PlayedRunner& runner = beginActive();
  runner.page().sequence.store(1);
  runner.page().event.store(KANTE_EVENT_INPUT);
  runner.page().signal.store(SIGSEGV);
  runner.page().fault_address.store(0x10);
  exit(bySignal(SIGSEGV));
  expectEnd("died in input", "SIGSEGV at 0x10 in event INPUT");
}

TEST_F(RunnerLinkTest, AForbiddenCallIsToldWhileItLives) {
  PlayedRunner& runner = beginActive();
  runner.page().architecture.store(0xC000003E);  // AUDIT_ARCH_X86_64
  runner.page().syscall.store(41);
  runner.page().violations.store(1);
  EXPECT_EQ(input("1"), KANTE_PENDING);
  expectTold("violated: called `socket`, which its sandbox refuses");
  EXPECT_EQ(told_.find("died"), "");
}

TEST_F(RunnerLinkTest, ACallbackWithoutEndIsKilledAndNamed) {
  PlayedRunner& runner = beginActive();
  runner.page().event.store(KANTE_EVENT_INPUT);
  runner.page().sequence.store(7);
  EXPECT_EQ(link_->callbacks(), 7u);
  EXPECT_EQ(link_->callbackEvent(), static_cast<std::uint32_t>(KANTE_EVENT_INPUT));
  // Nothing is under way: it may be a timer's.
  expectEnd("died in input", "event INPUT took longer than 5000 ms");
}

TEST_F(RunnerLinkTest, ARunnerThatTakesNothingIsKilledAndNamed) {
  beginActive();
  EXPECT_EQ(input("1"), KANTE_PENDING);
  expectEnd("died", "has taken none of its events for 5000 ms");
}

TEST_F(RunnerLinkTest, ARunnerHasAsLongForItsFirstEventAsForAnyOther) {
  PlayedRunner& runner = begin();
  const std::int64_t before = SystemClock().bootNs();
  runner.converse();
  expectEnd("start failed", "has taken none of its events for 5000 ms");
  EXPECT_GE(SystemClock().bootNs() - before,
            std::chrono::nanoseconds(RunnerLink::kHardLimit).count());
}

TEST_F(RunnerLinkTest, DestroyIsAskedForAndWaitedFor) {
  PlayedRunner& runner = beginActive();
  std::atomic<bool> gone{false};
  on([&] { link_->destroy([&] { gone = true; }); });
  EXPECT_EQ(runner.read().kind, Frame::kDestroy);
  runner.write(Frame::kLog, 0, 0, "last words", 2);
  runner.closeControl();
  expectTold("log 2 last words");
  EXPECT_FALSE(gone);
  exit({});
  EXPECT_TRUE(eventually([&] { return gone.load(); }));
  EXPECT_EQ(told_.find("died"), "");
}

TEST_F(RunnerLinkTest, WhoDoesNotEndWhenAskedToIsKilled) {
  beginActive();
  std::atomic<bool> gone{false};
  on([&] { link_->destroy([&] { gone = true; }); });
  EXPECT_TRUE(eventually([&] { return gone.load(); }));
}

TEST_F(RunnerLinkTest, ADeadLifeIsGoneAtOnce) {
  beginActive();
  exit(bySignal(SIGKILL));
  expectEnd("died", "");
  bool gone = false;
  on([&] { link_->destroy([&] { gone = true; }); });
  EXPECT_TRUE(gone);
  EXPECT_EQ(link_->pid(), 0);
}

TEST_F(RunnerLinkTest, DestroyedBeforeItIsReadyItIsKilled) {
  PlayedRunner& runner = begin();
  runner.say(PlayedRunner::hello());
  std::atomic<bool> gone{false};
  on([&] { link_->destroy([&] { gone = true; }); });
  EXPECT_TRUE(eventually([&] { return gone.load(); }));
  EXPECT_EQ(told_.find("start failed"), "");
}

}  // namespace
}  // namespace kante
