// All modules brought to rest and their states given to another life, under traffic.
#include <gtest/gtest.h>

#include <numeric>
#include <tuple>

#include "tests/kits/module_kit.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

using Numbers = std::vector<std::uint64_t>;
using Room = ModuleHost::Room;

Numbers upTo(std::uint64_t count) {
  Numbers numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0u);
  return numbers;
}

// source → relay → $upstream
RuntimeTarget pipeline(const ModuleKit& kit, const std::string& source,
                       const std::string& relay = "{}") {
  RuntimeTarget target;
  target.modules = {kit.spec("s", "source", source), kit.spec("r", "relay", relay)};
  target.routes = {ModuleKit::route("s/out", "r/in"), ModuleKit::route("r/out", "$upstream")};
  target.routes[0].stall_ms = 0;
  return target;
}

ModuleKit::Options shards(std::uint32_t count) {
  ModuleKit::Options options;
  options.shards = count;
  return options;
}

// What both lives sent upstream.
Numbers sentBy(ModuleKit& first, ModuleKit& second) {
  Numbers all = first.upstream.numbers("module/r/out");
  const Numbers more = second.upstream.numbers("module/r/out");
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

using RestCase = std::tuple<PlacementUnderTest, const char*>;
class Rest : public ::testing::TestWithParam<RestCase> {};
class RestOfModules : public ::testing::TestWithParam<PlacementUnderTest> {};

TEST_P(Rest, LosesAndRepeatsNothingBetweenTwoLives) {
  constexpr std::uint64_t kCount = 300'000;
  const auto& [placement, source] = GetParam();
  ModuleKit first(placement, shards(2));
  RuntimeTarget target = pipeline(first, source);
  target.modules[1].execution = Execution::kDedicated;  // Messages cross from shard to shard.
  ASSERT_TRUE(first.apply(target).has_value());
  ASSERT_TRUE(eventually([&] { return first.upstream.count() > 1000; }));
  const auto saved = first.saveAll();
  ASSERT_TRUE(saved.has_value()) << saved.error().text;
  const std::size_t at_rest = first.upstream.count();
  ASSERT_EQ(saved->states.size(), 2u);
  EXPECT_EQ(saved->states.at("s")->bytes, std::to_string(at_rest));
  EXPECT_EQ(saved->states.at("s")->format, 7u);
  EXPECT_EQ(saved->states.at("r")->bytes, std::to_string(at_rest));
  first.shutDown();
  EXPECT_EQ(first.upstream.count(), at_rest) << "nothing follows what was saved";

  ModuleKit second(placement, shards(2));
  target.states = saved->states;
  target.modules[0].config = R"({"count":300000})";
  ASSERT_TRUE(second.apply(target).has_value());
  ASSERT_TRUE(second.sees("s", "restored " + std::to_string(at_rest) + " format 7"));
  if (at_rest < kCount) {
    ASSERT_TRUE(eventually([&] { return second.upstream.count() >= kCount - at_rest; }));
  }
  EXPECT_EQ(sentBy(first, second), upTo(kCount));
}
INSTANTIATE_TEST_SUITE_P(FromItsStrandAndFromAThread, Rest,
                         ::testing::Combine(::testing::ValuesIn(placementsUnderTest()),
                                            ::testing::Values(R"({"count":300000})",
                                                              R"({"count":300000,"thread":1})")));
INSTANTIATE_TEST_SUITE_P(Placements, RestOfModules, ::testing::ValuesIn(placementsUnderTest()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_P(RestOfModules, GoesOnAlsoWhereAModuleSentSomethingBehindItsState) {
  ModuleKit kit(GetParam());
  ASSERT_TRUE(kit.apply(pipeline(kit, R"({"count":10})", R"({"late":1})")).has_value());
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 10; }));
  ASSERT_TRUE(kit.saveAll().has_value());
  kit.resume();
  EXPECT_TRUE(eventually([&] { return kit.upstream.count() == 11; })) << kit.upstream.count();
  EXPECT_TRUE(kit.call("r", "any").has_value());
}

TEST_P(RestOfModules, ComesAfterWhatWaitsForThem) {
  ModuleKit kit(GetParam());
  ASSERT_TRUE(
      kit.apply(pipeline(kit, R"({"count":40})", R"({"sleep_ms":5,"again":1})")).has_value());
  ASSERT_TRUE(kit.sees("s", "sent all"));
  const auto saved = kit.saveAll();
  ASSERT_TRUE(saved.has_value()) << saved.error().text;
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), upTo(40));
  EXPECT_EQ(saved->states.at("r")->bytes, "40");
}

TEST_P(RestOfModules, GoesOnWhenItIsTakenBack) {
  ModuleKit kit(GetParam());
  RuntimeTarget target = pipeline(kit, R"({"count":20,"tokens":1})", R"({"keep":2000})");
  target.modules.push_back(kit.spec("l", "life"));
  ASSERT_TRUE(kit.apply(target).has_value());
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() > 30; }));
  const auto saved = kit.saveAll();
  ASSERT_TRUE(saved.has_value()) << saved.error().text;
  EXPECT_EQ(kit.apply(target).error().code, Errc::kState);
  EXPECT_EQ(kit.restart("r").error().code, Errc::kState);
  EXPECT_FALSE(saved->states.contains("l"));
  EXPECT_TRUE(kit.saw("l", "drain")) << "who has no state is ended";
  const std::size_t at_rest = kit.upstream.count();
  kit.resume();
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() > at_rest + 10; }));
  ASSERT_TRUE(eventually([&] { return kit.status("l").state == ModuleState::kRunning; }))
      << "and begins anew";
  EXPECT_EQ(kit.times("l", "create"), 2u);
  EXPECT_TRUE(kit.apply(target).has_value());
}

TEST_P(RestOfModules, IsGivenUpForAModuleThatDoesNotHandleItsMessages) {
  ModuleKit kit(GetParam());
  RuntimeTarget target = pipeline(kit, R"({"count":5})", R"({"again":1000000})");
  target.modules[1].stop_ms = 0;
  ASSERT_TRUE(kit.apply(target).has_value());
  ASSERT_TRUE(kit.sees("s", "sent all"));
  ASSERT_TRUE(eventually([&] { return kit.status("r").queued == 5; }));
  const auto saved = kit.saveAll();
  ASSERT_TRUE(saved.has_error());
  EXPECT_NE(saved.error().text.find("module r: 5 messages wait"), std::string::npos)
      << saved.error().text;
  target.modules[1].config = "{}";
  ASSERT_TRUE(kit.apply(target).has_value());
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 5; })) << "and nothing is lost";
}

TEST_P(RestOfModules, ComesToModulesThatSendInARing) {
  ModuleKit kit(GetParam());
  RuntimeTarget target;
  target.modules = {kit.spec("a", "relay"), kit.spec("b", "relay"),
                    kit.spec("s", "source", R"({"count":50})")};
  target.routes = {ModuleKit::route("s/out", "a/in"), ModuleKit::route("a/out", "b/in"),
                   ModuleKit::route("b/out", "a/in")};
  for (RouteSpec& route : target.routes) route.overflow = Overflow::kDropNewest;
  ASSERT_TRUE(kit.apply(target).has_value());
  const auto saved = kit.saveAll();
  ASSERT_TRUE(saved.has_value()) << saved.error().text;
  EXPECT_EQ(saved->states.size(), 3u);
}

TEST_P(RestOfModules, NamesThoseThatDoNotRun) {
  ModuleKit kit(GetParam());
  RuntimeTarget target;
  target.modules = {kit.spec("l", "life"), kit.spec("f", "life", R"({"fail_create":1})")};
  target.on_start_failure = OnStartFailure::kBackOff;
  ASSERT_TRUE(kit.apply(target).has_value());
  const auto saved = kit.saveAll();
  ASSERT_TRUE(saved.has_value()) << saved.error().text;
  EXPECT_EQ(saved->down, std::set<std::string>{"f"});

  ModuleKit next(GetParam());
  target.on_start_failure = OnStartFailure::kRefuse;
  EXPECT_TRUE(next.apply(target).has_error());
  target.may_back_off = saved->down;
  EXPECT_TRUE(next.apply(target).has_value());
}

TEST(RoomForLoads, SaysWhichLifeATargetFits) {
  ModuleKit::Options options;
  options.loads_max = 2;
  ModuleKit kit(placementsUnderTest()[0], options);
  RuntimeTarget target;
  target.modules = {kit.spec("a", "life"), kit.spec("b", "life", "{}", "2")};
  EXPECT_EQ(kit.roomFor(target), Room::kEnough);
  ASSERT_TRUE(kit.apply(target).has_value());
  EXPECT_EQ(kit.roomFor(target), Room::kEnough);
  target.modules[1] = kit.spec("b", "life", "{}", "3");
  EXPECT_EQ(kit.roomFor(target), Room::kNextLife);
  target.modules.push_back(kit.spec("c", "life", "{}", "4"));
  EXPECT_EQ(kit.roomFor(target), Room::kNever);
  target.modules[2].desire = Desire::kStopped;
  EXPECT_EQ(kit.roomFor(target), Room::kNextLife) << "what is stopped is not loaded";
  target.beyond_loads_max = true;
  EXPECT_TRUE(kit.apply(target).has_value()) << "the way back is never closed";
}

TEST(RoomForLoads, RefusesBeforehandWhatApplyWould) {
  ModuleKit kit(placementsUnderTest()[0]);
  RuntimeTarget target = pipeline(kit, R"({"count":1})");
  EXPECT_TRUE(kit.check(target).has_value());
  target.routes.push_back(ModuleKit::route("s/out", "nobody/in"));
  EXPECT_NE(kit.check(target).error().text.find("there is no module 'nobody'"), std::string::npos);
  EXPECT_TRUE(kit.status("s").name.empty()) << "and nothing stays of it";
}

}  // namespace
}  // namespace kante
