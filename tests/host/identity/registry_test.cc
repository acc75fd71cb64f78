#include "host/identity/registry.h"

#include <gtest/gtest.h>

#include "host/base/clock.h"

namespace kante {
namespace {

using State = Identity::State;
using What = Registry::What;
using Sessions = Registry::Sessions;

class RegistryTest : public testing::Test {
 protected:
  void SetUp() override { open(); }
  void open() {
    registry.reset();
    auto opened = Registry::open(map, seal, clock);
    ASSERT_TRUE(opened) << opened.error().text;
    registry = std::move(*opened);
  }
  static PrincipalName named(std::string_view text) { return *PrincipalName::parse(text); }
  Status add(std::string_view text, std::vector<std::string> grants = {"default"}) {
    return registry->add(named(text), {Verifier::randomKeys(), std::move(grants)});
  }
  const Identity& at(std::string_view text) {
    const Identity* identity = registry->find(named(text));
    EXPECT_NE(identity, nullptr) << text;
    static const Identity kNone;
    return identity != nullptr ? *identity : kNone;
  }

  MemoryMap map;
  Seal seal = Seal::random();
  ManualClock clock;
  std::unique_ptr<Registry> registry;
};

TEST_F(RegistryTest, KnowsWhatWasAddedAlsoAfterAStart) {
  ASSERT_TRUE(add("car-7", {"default", "publish:factory/#"}));
  const std::string key(at("car-7").verifier.primary.view());
  EXPECT_EQ(key.size(), 32u);
  EXPECT_FALSE(at("car-7").verifier.secondary.same(key));
  const std::uint64_t generation = at("car-7").generation;
  open();
  const Identity& again = at("car-7");
  EXPECT_TRUE(again.verifier.primary.same(key));
  EXPECT_EQ(again.generation, generation);
  EXPECT_EQ(again.created_s, 1'760'000'000);
  EXPECT_EQ(again.state, State::kEnabled);
  EXPECT_EQ(again.grants->texts(), (std::vector<std::string>{"default", "publish:factory/#"}));
  EXPECT_EQ(registry->find(named("car-8")), nullptr);
  EXPECT_EQ(registry->find(named("CAR-7")), nullptr);
  EXPECT_EQ(registry->find(named("gateway/car-7")), nullptr);
}

TEST_F(RegistryTest, ADeviceMayBeBehindAGatewayForGood) {
  const auto behind = [&](std::string_view who, std::string parent) {
    Registry::Registration what{Verifier::randomKeys()};
    what.parent = std::move(parent);
    return registry->add(named(who), what);
  };
  EXPECT_EQ(behind("car-7", "plant").error().code, Errc::kNotFound);
  ASSERT_TRUE(add("gateway/plant"));
  ASSERT_TRUE(behind("car-7", "plant"));
  EXPECT_EQ(behind("car-7/module/m", "plant").error().code, Errc::kInvalid);
  EXPECT_EQ(behind("gateway/other", "plant").error().code, Errc::kInvalid);
  open();
  EXPECT_EQ(at("car-7").parent, "plant");
  EXPECT_EQ(at("gateway/plant").parent, "");
}

TEST_F(RegistryTest, NoKeyIsOnDiskAsItIs) {
  ASSERT_TRUE(add("car-7"));
  const std::string key(at("car-7").verifier.primary.view());
  const std::string record = (*map.readAll())["device/car-7"];
  EXPECT_EQ(record.find(key), std::string::npos);
  EXPECT_EQ(record.find(toBase64(key)), std::string::npos);
  EXPECT_EQ(record.find(toBase64(key).substr(0, 12)), std::string::npos);
}

// Whoever can write the store but has no key of it gives no device the key of another.
TEST_F(RegistryTest, ARecordUnderAnotherNameIsDamagedAndSaysSo) {
  ASSERT_TRUE(add("mine"));
  ASSERT_TRUE(map.put("device/yours", (*map.readAll())["device/mine"]));
  ASSERT_TRUE(map.put("device/broken", "{"));
  ASSERT_TRUE(map.put("no/name", "{}"));
  open();
  EXPECT_EQ(registry->size(), 1u);
  EXPECT_EQ(registry->damaged().size(), 3u);
  EXPECT_EQ(registry->find(named("yours")), nullptr);
  const Status status = registry->setState(named("yours"), State::kDisabled);
  EXPECT_EQ(status.error().code, Errc::kCorrupt);
  EXPECT_NE(status.error().text.find("remove it and add it again"), std::string::npos);
  ASSERT_TRUE(registry->remove(named("yours")));
  ASSERT_TRUE(add("broken"));
  open();
  EXPECT_EQ(registry->damaged().size(), 1u);
  EXPECT_NE(registry->find(named("broken")), nullptr);
}

TEST_F(RegistryTest, AnotherSealKeyOpensNothing) {
  ASSERT_TRUE(add("car-7"));
  seal = Seal::random();
  open();
  EXPECT_EQ(registry->size(), 0u);
  EXPECT_NE(registry->damaged().at("device/car-7").find("seal.key"), std::string::npos);
}

TEST_F(RegistryTest, ModulesNeedTheirDeviceAndGoWithIt) {
  EXPECT_EQ(add("car-7/module/m").error().code, Errc::kNotFound);
  ASSERT_TRUE(add("car-7"));
  ASSERT_TRUE(add("car-70"));
  ASSERT_TRUE(add("car-7/module/m"));
  ASSERT_TRUE(add("car-70/module/m"));
  EXPECT_TRUE(registry->lookUp(named("car-7/module/m")).enabled());
  ASSERT_TRUE(registry->setState(named("car-7"), State::kDisabled));
  EXPECT_FALSE(registry->lookUp(named("car-7/module/m")).enabled());
  EXPECT_TRUE(registry->lookUp(named("car-70/module/m")).enabled());
  ASSERT_TRUE(registry->remove(named("car-7")));
  EXPECT_EQ(registry->find(named("car-7/module/m")), nullptr);
  EXPECT_NE(registry->find(named("car-70/module/m")), nullptr);
  open();
  EXPECT_EQ(registry->size(), 2u);
}

TEST_F(RegistryTest, WhatDoesNotFitIsRefusedAndChangesNothing) {
  ASSERT_TRUE(add("car-7"));
  EXPECT_EQ(add("car-7").error().code, Errc::kConflict);
  EXPECT_EQ(registry->remove(named("x")).error().code, Errc::kNotFound);
  EXPECT_EQ(registry->setGrants(named("car-7"), {"nonsense"}).error().code, Errc::kInvalid);
  EXPECT_EQ(at("car-7").grants->texts(), std::vector<std::string>{"default"});
  Registry::Registration bad;
  EXPECT_EQ(registry->add(named("y"), bad).error().code, Errc::kInvalid);  // No keys.
  bad.verifier.kind = Verifier::Kind::kThumbprint;
  bad.verifier.primary = *Secret::of("not as long as a digest");
  EXPECT_EQ(registry->add(named("y"), bad).error().code, Errc::kInvalid);
  bad.verifier = Verifier::randomKeys();
  bad.verifier.kind = Verifier::Kind::kAuthority;
  EXPECT_EQ(registry->add(named("y"), bad).error().code, Errc::kInvalid);
  EXPECT_EQ(registry->find(named("y")), nullptr);
  for (std::size_t i = 0; i < Registry::kModulesPerDeviceMax; ++i)
    ASSERT_TRUE(add("car-7/module/" + std::to_string(i)));
  EXPECT_EQ(add("car-7/module/x").error().code, Errc::kLimit);
}

TEST_F(RegistryTest, TheLongestNamesFit) {
  const std::string longest(128, 'x');
  ASSERT_TRUE(add(longest));
  ASSERT_TRUE(add(longest + "/module/" + longest));
  open();
  EXPECT_EQ(registry->size(), 2u);
}

TEST_F(RegistryTest, ARotationKeepsTheOldKeyForTheNextOne) {
  ASSERT_TRUE(add("car-7"));
  const Verifier first = at("car-7").verifier;
  ASSERT_TRUE(registry->rotate(named("car-7"), Registry::Keys::kPrimary, Sessions::kKeep));
  const Verifier second = at("car-7").verifier;
  EXPECT_TRUE(second.secondary.same(first.primary.view()));
  EXPECT_FALSE(second.primary.same(first.primary.view()));
  ASSERT_TRUE(registry->rotate(named("car-7"), Registry::Keys::kSecondary, Sessions::kKeep));
  EXPECT_TRUE(at("car-7").verifier.primary.same(second.primary.view()));
  EXPECT_FALSE(at("car-7").verifier.secondary.same(second.secondary.view()));
  ASSERT_TRUE(registry->rotate(named("car-7"), Registry::Keys::kBoth, Sessions::kKeep));
  EXPECT_FALSE(at("car-7").verifier.primary.same(second.primary.view()));
  const std::string last(at("car-7").verifier.primary.view());
  open();
  EXPECT_TRUE(at("car-7").verifier.primary.same(last));
  Registry::Registration ca;
  ca.verifier = Verifier::authority();
  ASSERT_TRUE(registry->add(named("cert"), ca));
  EXPECT_EQ(registry->rotate(named("cert"), Registry::Keys::kBoth, Sessions::kKeep).error().code,
            Errc::kState);
}

TEST_F(RegistryTest, ObserversAreToldOfEveryChangeAndWhatBecomesOfSessions) {
  std::vector<std::string> seen;
  auto observation = registry->observe([&](const Registry::Change& change) {
    seen.push_back(change.principal.name() + " " + name(change.what) +
                   (change.sessions == Sessions::kEnd ? " end" : ""));
  });
  ASSERT_TRUE(add("a"));
  ASSERT_TRUE(add("a/module/m"));
  ASSERT_TRUE(registry->setGrants(named("a"), {"publish:x"}));
  ASSERT_TRUE(registry->setGrants(named("a"), {"publish:x"}));  // As it was.
  ASSERT_TRUE(registry->setState(named("a"), State::kDisabled));
  ASSERT_TRUE(registry->setState(named("a"), State::kDisabled));
  ASSERT_TRUE(registry->setState(named("a"), State::kEnabled));
  ASSERT_TRUE(registry->rotate(named("a"), Registry::Keys::kPrimary, Sessions::kKeep));
  ASSERT_TRUE(registry->rotate(named("a"), Registry::Keys::kPrimary, Sessions::kEnd));
  ASSERT_TRUE(registry->remove(named("a")));
  EXPECT_EQ(seen,
            (std::vector<std::string>{
                "device/a added", "device/a/module/m added", "device/a grants",
                "device/a disabled end", "device/a/module/m disabled end", "device/a enabled",
                "device/a/module/m enabled", "device/a credentials", "device/a credentials end",
                "device/a/module/m removed end", "device/a removed end"}));
  observation.reset();
  ASSERT_TRUE(add("b"));
  EXPECT_EQ(seen.size(), 11u);
}

TEST_F(RegistryTest, AnObserverMayGoWithinACall) {
  int told = 0;
  Registry::Observation first, second;
  first = registry->observe([&](const Registry::Change&) {
    ++told;
    second.reset();
  });
  second = registry->observe([&](const Registry::Change&) { told += 100; });
  ASSERT_TRUE(add("a"));
  EXPECT_EQ(told, 1);
}

TEST_F(RegistryTest, PagesGoThroughAllOfThemByName) {
  for (const char* id : {"c", "a", "e", "b", "d"}) ASSERT_TRUE(add(id));
  std::vector<std::string> seen;
  for (std::string after;;) {
    const auto page = registry->page(after, 2);
    if (page.empty()) break;
    for (const auto& [principal, identity] : page) seen.emplace_back(principal);
    after = seen.back();
  }
  EXPECT_EQ(seen,
            (std::vector<std::string>{"device/a", "device/b", "device/c", "device/d", "device/e"}));
}

TEST_F(RegistryTest, EqualListsOfGrantsAreCompiledOnce) {
  ASSERT_TRUE(add("a"));
  ASSERT_TRUE(add("b"));
  EXPECT_EQ(at("a").grants, at("b").grants);
  ASSERT_TRUE(add("gateway/a"));
  EXPECT_NE(at("a").grants, at("gateway/a").grants);
}

// A store that takes no more.
class FullMap final : public DurableMap {
 public:
  Result<std::map<std::string, std::string>> readAll() override {
    return std::map<std::string, std::string>();
  }
  Status put(const std::string&, const std::string&) override {
    return fail(Errc::kLimit, "store: full");
  }
  Status erase(const std::string&) override { return {}; }
  void sync(std::function<void(Status)> done) override { done(fail(Errc::kIo, "disk")); }
};

TEST_F(RegistryTest, WhatTheStoreRefusesIsNotThere) {
  FullMap full;
  const auto opened = Registry::open(full, seal, clock);
  ASSERT_TRUE(opened);
  EXPECT_EQ((*opened)->add(named("a"), {Verifier::randomKeys()}).error().code, Errc::kLimit);
  EXPECT_EQ((*opened)->find(named("a")), nullptr);
}

}  // namespace
}  // namespace kante
