// A module of every release runs in today's host.
#include <kante/testing.hpp>

namespace {

using kante::Draft;
using kante::TestModule;

class OldModuleTest : public ::testing::TestWithParam<const char*> {
 protected:
  const kante::TestLibrary library_{GetParam()};
};

TEST_P(OldModuleTest, LivesItsLife) {
  TestModule host(library_.entry());
  ASSERT_EQ(host.create(), KANTE_OK);
  EXPECT_TRUE(host.logged("counter 1.0 is here"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(host.send("in", Draft::json(i)), KANTE_OK);
  EXPECT_EQ(host.take("out").at(2).json(), 2);
  host.setCredit("out", 0);
  EXPECT_EQ(host.send("in", Draft::json(9)), KANTE_E_AGAIN);
  host.grant("out");
  host.advance(std::chrono::milliseconds(3));
  const auto answer = host.call("echo", {{"a", 1}});
  EXPECT_EQ(answer.code, 204);
  EXPECT_EQ(answer.result.dump(), R"({"a":1})");
  EXPECT_EQ(host.desire({{"x", 1}}), KANTE_E_UNSUPPORTED);
  EXPECT_EQ(host.health(), KANTE_E_UNSUPPORTED);
  EXPECT_TRUE(host.drain());
}

TEST_P(OldModuleTest, HandsItsStateOver) {
  TestModule first(library_.entry());
  ASSERT_EQ(first.create(), KANTE_OK);
  first.send("in", Draft::json(1));
  const auto state = first.save();
  ASSERT_TRUE(state);
  EXPECT_EQ(state->format, 10u);
  TestModule second(library_.entry());
  ASSERT_EQ(second.create(), KANTE_OK);
  EXPECT_EQ(second.restore(*state), KANTE_OK);
  EXPECT_EQ(second.save()->bytes[0], 1);
  EXPECT_EQ(second.restore({11, "x"}), KANTE_E_INVALID);
  EXPECT_EQ(second.explained(), "INVALID: not a state of mine");
}

TEST_P(OldModuleTest, DoesWithoutExtensions) {
  TestModule host(library_.entry());
  for (const char* id : {KANTE_EXT_TWIN, KANTE_EXT_TIMERS, KANTE_EXT_STATE}) host.without(id);
  ASSERT_EQ(host.create(), KANTE_OK);
  EXPECT_FALSE(host.save());
  EXPECT_EQ(host.call("echo").status, KANTE_E_UNSUPPORTED);
}

INSTANTIATE_TEST_SUITE_P(Releases, OldModuleTest, ::testing::Values(KANTE_COUNTER_1_0));

}  // namespace
