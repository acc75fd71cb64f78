// What a host hears of a runner that keeps no rule.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sandbox/runner/test_host.h"

namespace kante {
namespace {

TestHost::Options hostile(const std::string& what) {
  TestHost::Options options;
  options.program = KANTE_HOSTILE_RUNNER;
  options.module_id = "dev.kante.hostile." + what;
  options.routes = false;
  return options;
}

struct Breach {
  const char* what;
  const char* heard;
};

class HostileRunner : public ::testing::TestWithParam<Breach> {};

TEST_P(HostileRunner, BreaksTheRingForGoodAndIsNamed) {
  TestHost host("kit-relay", hostile(GetParam().what));
  ASSERT_EQ(host.refused(), "");
  host.create();
  ASSERT_TRUE(host.until([&] { return host.isBroken(); }));
  EXPECT_THAT(host.broken(), ::testing::HasSubstr(GetParam().heard));
  EXPECT_FALSE(host.pump());
}

INSTANTIATE_TEST_SUITE_P(
    Breaches, HostileRunner,
    ::testing::Values(
        Breach{"head-back", "is at byte 8, and was at 40"}, Breach{"head-odd", "no multiple of 8"},
        Breach{"head-ahead", "a whole ring and more"}, Breach{"words-none", "a record of no words"},
        Breach{"words-many", "a record of 4294967295 words"},
        Breach{"words-beyond", "beyond what was published"},
        Breach{"pad-short", "a PAD that does not fill the end"},
        Breach{"pad-alone", "a PAD with no record behind it"},
        Breach{"kind", "frame 999 from a runner"}, Breach{"flags", "DRAINED with unknown flags"},
        Breach{"field", "DRAINED with a field that it does not have"},
        Breach{"text", "LOG with a text of 4294967295 bytes"},
        Breach{"message", "EMIT with a message of 4294967295 words"},
        Breach{"without", "EMIT without a message"},
        Breach{"part", "a PART with no record before it"},
        Breach{"parts", "DRAINED amid the parts of EMIT"}, Breach{"hole", "record"},
        Breach{"scribble", ""}),
    [](const auto& test) {
      std::string name = test.param.what;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

// Whether it is caught or not, what is read is a frame or a breach, never half of each.
TEST(HostileRunnerTest, WhatChangesWhileItIsReadIsHarmless) {
  TestHost host("kit-relay", hostile("changing"));
  host.create();
  EXPECT_TRUE(host.until([&] { return host.isBroken() || host.said().size() > 2'000; }));
  for (const TestHost::Said& one : host.said()) {
    ASSERT_EQ(static_cast<bool>(one.message), one.head.message_words > 0);
    ASSERT_EQ(one.text.size(), one.head.text_bytes);
  }
}

TEST(HostileRunnerTest, CannotWriteTheHostsFile) {
  TestHost host("kit-relay", hostile("writes-host"));
  EXPECT_EQ(host.exitCode(), 1);
}

TEST(HostileRunnerTest, ATailThatCannotBeIsSeenByWhoWrites) {
  for (const char* what : {"tail-back", "tail-ahead", "tail-odd"}) {
    TestHost host("kit-relay", hostile(what));
    host.create();
    ASSERT_TRUE(host.next(Frame::kCreated)) << what;
    for (int i = 0; i < 1000 && host.sendBroken().empty(); ++i) host.input("1");
    EXPECT_THAT(host.sendBroken(), ::testing::HasSubstr("the ring's reader says")) << what;
  }
}

// Well-formed, so it is the receiver's to judge; nothing is broken by it.
TEST(HostileRunnerTest, WhatIsWellFormedGetsThrough) {
  TestHost host("kit-relay", hostile("strangers"));
  host.create();
  ASSERT_TRUE(host.next(Frame::kCreated));
  ASSERT_TRUE(host.next(Frame::kCreated));
  EXPECT_FALSE(host.isBroken());
  TestHost flood("kit-relay", hostile("log"));
  flood.create();
  ASSERT_TRUE(flood.until([&] { return flood.countLogged("the same line") > 20'000; }));
  EXPECT_FALSE(flood.isBroken());
}

}  // namespace
}  // namespace kante
