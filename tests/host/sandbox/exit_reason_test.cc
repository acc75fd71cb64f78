#include "host/sandbox/exit_reason.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstring>

#include "host/runtime/event_name.h"
#include "host/sandbox/facts.h"

namespace kante {
namespace {

RunnerReport calledSocket() {
  RunnerReport report;
  report.violations = 1;
  report.architecture = 0xC000003E;
  report.syscall = 41;
  return report;
}

std::string reason(const Exited& exited, const RunnerReport& report = {},
                   const std::string& killed_for = "") {
  return endOf(exited, report, 32, killed_for).reason;
}

TEST(ExitReasonTest, NamesWhatEndedIt) {
  Exited exited;
  exited.exit_code = 3;
  EXPECT_EQ(reason(exited), "ended by itself with exit code 3");
  EXPECT_EQ(reason(exited, calledSocket()),
            "ended by itself with exit code 3; before that it called `socket`");
  exited.exit_code = kRunnerExitHostGone;
  EXPECT_EQ(reason(exited), "closed its control socket");
  exited = {};
  exited.signal = SIGKILL;
  EXPECT_EQ(reason(exited), "was killed from outside");
  EXPECT_EQ(endOf(exited, {}, 32, "").by, LifeEnd::By::kOutside);
  exited.out_of_memory = 1;
  EXPECT_EQ(reason(exited), "memory limit 32 MB reached");
  EXPECT_EQ(endOf(exited, {}, 32, "").by, LifeEnd::By::kItself);
  exited = {};
  exited.signal = SIGSYS;
  EXPECT_EQ(reason(exited, calledSocket()), "called `socket`");
  EXPECT_EQ(reason(exited), "made a system call of a foreign architecture");
  exited.signal = SIGABRT;
  RunnerReport report;
  report.in_callback = true;
  report.event = KANTE_EVENT_TIMER;
  report.signal = SIGABRT;
  EXPECT_EQ(reason(exited, report), "SIGABRT in event TIMER");
  exited.signal = SIGILL;
  EXPECT_EQ(reason(exited, report), "SIGABRT in event TIMER");
  exited.pids_refused = 12;
  EXPECT_EQ(reason(exited, report),
            "SIGABRT in event TIMER; it was refused 12 processes or threads beyond its limit");
}

TEST(ExitReasonTest, WhatTheHostKilledItForComesFirst) {
  Exited exited;
  exited.signal = SIGKILL;
  exited.asked = 1;
  EXPECT_EQ(reason(exited, {}, "event INPUT took longer than 5000 ms"),
            "event INPUT took longer than 5000 ms");
  EXPECT_EQ(endOf(exited, {}, 32, "x").by, LifeEnd::By::kItself);
}

TEST(ExitReasonTest, NamesAllThatHasNoName) {
  EXPECT_EQ(eventName(0), "create or destroy");
  EXPECT_EQ(eventName(KANTE_EVENT_RESTORE), "event RESTORE");
  EXPECT_EQ(eventName(99), "event 99");
  RunnerReport report = calledSocket();
  report.syscall = 99'999;
  EXPECT_EQ(violationText(report), "called the system call 99999 of architecture 0xc000003e");
}

Facts goodFacts() {
  Facts facts;
  facts.landlock_abi = 4;
  facts.no_new_privs = 1;
  facts.seccomp_mode = 2;
  facts.refused = facts.tried = 10;
  return facts;
}

SeenRunner goodSeen() {
  SeenRunner seen;
  seen.no_new_privs = 1;
  seen.seccomp_mode = 2;
  seen.namespaces = {1, 2, 3, 4, 5, 6};
  return seen;
}

constexpr Namespaces kOwn{11, 12, 13, 14, 15, 16};

void expectLack(std::uint32_t tier, const Facts& facts, const SeenRunner& seen,
                const std::string& what) {
  const Status status = checkFacts(tier, facts, seen, kOwn);
  ASSERT_TRUE(status.has_error()) << what;
  EXPECT_NE(status.error().text.find(what), std::string::npos) << status.error().text;
}

TEST(FactsTest, NamesEachLayerThatIsMissing) {
  EXPECT_FALSE(checkFacts(kTierFull, goodFacts(), goodSeen(), kOwn).has_error());
  Facts facts = goodFacts();
  SeenRunner seen = goodSeen();
  seen.no_new_privs = 0;
  expectLack(kTierFull, facts, seen, "it may gain privileges");
  seen = goodSeen();
  seen.seccomp_mode = 1;
  expectLack(kTierFull, facts, seen, "it has no filter");
  seen = goodSeen();
  seen.capabilities = 2;
  expectLack(kTierNoNamespaces, facts, seen, "the capabilities 0x2");
  seen = goodSeen();
  seen.namespaces[3] = kOwn[3];
  expectLack(kTierFull, facts, seen, "the host's net namespace");
  EXPECT_FALSE(checkFacts(kTierNoNamespaces, facts, seen, kOwn).has_error());
  facts.landlock_abi = 0;
  expectLack(kTierNoNamespaces, facts, goodSeen(), "without Landlock");
  EXPECT_FALSE(checkFacts(kTierNoLandlock, facts, goodSeen(), kOwn).has_error());
  facts = goodFacts();
  facts.dumpable = 1;
  expectLack(kTierFull, facts, goodSeen(), "dumpable");
  facts = goodFacts();
  facts.refused = 8;
  expectLack(kTierFull, facts, goodSeen(), "2 of 10 forbidden acts");
}

TEST(FactsTest, LooksAtAProcessFromOutside) {
  const auto own = ownNamespaces();
  ASSERT_FALSE(own.has_error());
  for (const std::uint64_t space : *own) EXPECT_NE(space, 0u);
}

}  // namespace
}  // namespace kante
