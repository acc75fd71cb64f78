#include "host/identity/grants.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace kante {
namespace {

using Action = Grants::Action;

GrantsPtr grantsOf(const std::vector<std::string>& texts,
                   PrincipalName::Kind kind = PrincipalName::Kind::kDevice) {
  auto grants = Grants::compile(kind, texts);
  EXPECT_TRUE(grants) << grants.error().text;
  return grants ? *grants : nullptr;
}

bool publishes(const std::string& filter, std::string_view topic, Caller caller = {"car-7"}) {
  return grantsOf({"publish:" + filter})->mayPublish(topic, caller);
}

bool subscribes(const std::string& filter, std::string_view wanted, Caller caller = {"car-7"}) {
  return grantsOf({"subscribe:" + filter})->maySubscribe(wanted, caller);
}

TEST(GrantsTest, NothingIsGrantedUnlessItIsSaid) {
  const GrantsPtr none = grantsOf({});
  const Caller caller{"car-7"};
  EXPECT_FALSE(none->mayPublish("a", caller));
  EXPECT_FALSE(none->maySubscribe("a", caller));
  EXPECT_FALSE(none->mayCall("module/a", "m", caller));
  EXPECT_FALSE(none->mayUseTwin("device/car-7", caller));
  EXPECT_FALSE(none->mayActFor("device/car-7", caller));
  const GrantsPtr publish = grantsOf({"publish:#"});
  EXPECT_TRUE(publish->mayPublish("a", caller));
  EXPECT_FALSE(publish->maySubscribe("a", caller));
}

TEST(GrantsTest, ADeviceHasItsOwnTopicsAndTwinByDefault) {
  const GrantsPtr grants = grantsOf({"default"});
  const Caller car{"car-7"};
  EXPECT_TRUE(grants->mayPublish("devices/car-7/messages/events/a=b", car));
  EXPECT_TRUE(grants->mayPublish("$iothub/twin/GET/?$rid=1", car));
  EXPECT_TRUE(grants->maySubscribe("devices/car-7/messages/devicebound/#", car));
  EXPECT_TRUE(grants->maySubscribe("$iothub/methods/POST/#", car));
  EXPECT_TRUE(grants->mayUseTwin("device/car-7", car));
  EXPECT_FALSE(grants->mayPublish("devices/car-70/messages/events/", car));
  EXPECT_FALSE(grants->mayPublish("devices/CAR-7/messages/events/", car));
  EXPECT_FALSE(grants->maySubscribe("devices/+/messages/devicebound/#", car));
  EXPECT_FALSE(grants->maySubscribe("#", car));
  EXPECT_FALSE(grants->maySubscribe("$SYS/#", car));
  EXPECT_FALSE(grants->mayPublish("factory/temp", car));
  EXPECT_FALSE(grants->mayUseTwin("device/car-8", car));
  EXPECT_FALSE(grants->mayCall("module/sensor", "reset", car));
}

TEST(GrantsTest, GrantsThatBeginAlikeAreToldApartWhateverTheirLength) {
  const Caller car{"car-7"};
  const std::string letters = "abcdefghijklmnopqrst";
  for (std::size_t size = 1; size <= letters.size(); ++size) {
    const std::string name = letters.substr(0, size);
    const GrantsPtr exact = grantsOf({"publish:" + name + "x", "publish:" + name});
    const GrantsPtr below = grantsOf({"publish:" + name + "x/#", "publish:" + name + "/+/t"});
    EXPECT_TRUE(exact->mayPublish(name, car));
    EXPECT_TRUE(exact->mayPublish(name + "x", car));
    EXPECT_TRUE(below->mayPublish(name + "/1/t", car));
    EXPECT_TRUE(below->mayPublish(name + "x/1", car));
    for (const std::string& other : {name + "y", letters.substr(0, size - 1) + "!", name + "/t"}) {
      EXPECT_FALSE(exact->mayPublish(other, car)) << other;
      EXPECT_FALSE(below->mayPublish(other, car)) << other;
    }
  }
}

TEST(GrantsTest, AModuleOfADeviceHasItsOwn) {
  const GrantsPtr grants = grantsOf({"default"}, PrincipalName::Kind::kDeviceModule);
  const Caller module{"car-7", "m"};
  EXPECT_TRUE(grants->mayPublish("devices/car-7/modules/m/messages/events/", module));
  EXPECT_TRUE(grants->maySubscribe("devices/car-7/modules/m/inputs/#", module));
  EXPECT_TRUE(grants->mayUseTwin("device/car-7/module/m", module));
  EXPECT_FALSE(grants->mayPublish("devices/car-7/modules/n/messages/events/", module));
  EXPECT_FALSE(grants->mayPublish("devices/car-7/messages/events/", module));
  EXPECT_FALSE(grants->mayUseTwin("device/car-7", module));
}

TEST(GrantsTest, AGatewayUsesItsOwnTopicsInTheirDirections) {
  const GrantsPtr grants = grantsOf({"default"}, PrincipalName::Kind::kGateway);
  const Caller plant{"plant"};
  const std::string own = "kante/v1/plant/";
  for (const char* up : {"telemetry/device/a", "state", "lost", "twin/gateway/reported",
                         "twin/device/a/reported", "twin/device/a/module/m/reported",
                         "methods/response/r", "c2d/response/m", "deployment/reported"}) {
    EXPECT_TRUE(grants->mayPublish(own + up, plant)) << up;
    EXPECT_FALSE(grants->maySubscribe(own + up, plant)) << up;
    EXPECT_FALSE(grants->mayPublish(std::string("kante/v1/other/") + up, plant)) << up;
  }
  for (const char* down :
       {"twin/+/desired", "twin/+/+/desired", "twin/+/+/+/+/desired", "methods/gateway/+/+",
        "methods/+/+/+/+", "methods/+/+/+/+/+/+", "c2d/+/+/+", "deployment/set",
        "deployment/layer/+", "deployment/trust", "deployment/secrets", "deployment/patch"}) {
    EXPECT_TRUE(grants->maySubscribe(own + down, plant)) << down;
    EXPECT_FALSE(grants->maySubscribe(std::string("kante/v1/other/") + down, plant)) << down;
  }
  EXPECT_FALSE(grants->mayPublish(own + "twin/device/a/desired", plant));
  EXPECT_FALSE(grants->mayPublish(own + "methods/device/a/reset/r", plant));
  EXPECT_FALSE(grants->mayActFor("device/a", plant)) << "that is granted by name";
}

TEST(GrantsTest, AGatewaySpeaksForDevicesAndTheirModules) {
  const GrantsPtr grants =
      grantsOf({"default", "on-behalf:device/*"}, PrincipalName::Kind::kGateway);
  const Caller plant{"plant"};
  EXPECT_TRUE(grants->mayActFor("device/a", plant));
  EXPECT_TRUE(grants->mayActFor("device/a/module/m", plant));
  EXPECT_FALSE(grants->mayActFor("module/filter", plant));
  EXPECT_FALSE(grants->mayActFor("gateway/other", plant));
  const GrantsPtr middle = grantsOf({"on-behalf:gateway/*"}, PrincipalName::Kind::kGateway);
  EXPECT_TRUE(middle->mayActFor("gateway/other", plant));
  EXPECT_TRUE(middle->mayActFor("gateway/other/module/m", plant));
  EXPECT_FALSE(middle->mayActFor("device/a", plant));
  EXPECT_FALSE(grantsOf({"on-behalf:device/b"})->mayActFor("device/a/module/m", plant));
}

TEST(GrantsTest, PublishingMatchesAsSubscribingDoes) {
  EXPECT_TRUE(publishes("a/+/c", "a/b/c"));
  EXPECT_FALSE(publishes("a/+/c", "a/b/d"));
  EXPECT_FALSE(publishes("a/+", "a"));
  EXPECT_TRUE(publishes("a/+", "a/"));
  EXPECT_TRUE(publishes("a/#", "a"));
  EXPECT_TRUE(publishes("a/#", "a/b/c"));
  EXPECT_FALSE(publishes("a/#", "ab"));
  EXPECT_FALSE(publishes("a/b", "a/b/c"));
  EXPECT_FALSE(publishes("a/b/c", "a/b"));
  EXPECT_TRUE(publishes("+/+", "/a"));
  EXPECT_FALSE(publishes("#", "$SYS/uptime"));
  EXPECT_FALSE(publishes("+/uptime", "$SYS/uptime"));
  EXPECT_TRUE(publishes("$SYS/#", "$SYS/uptime"));
}

TEST(GrantsTest, PlaceholdersAreTheCallersOwn) {
  EXPECT_TRUE(publishes("cars/{id}/up", "cars/car-7/up"));
  EXPECT_FALSE(publishes("cars/{id}/up", "cars/car-8/up"));
  EXPECT_TRUE(publishes("cars/x{id}y", "cars/xcar-7y"));
  EXPECT_FALSE(publishes("cars/x{id}y", "cars/xcar-7"));
  EXPECT_FALSE(publishes("cars/x{id}y", "cars/xy"));
  EXPECT_TRUE(publishes("{id}/{module}/a", "car-7/m/a", {"car-7", "m"}));
  EXPECT_FALSE(publishes("a/{module}", "a/", {"car-7"}));
}

// Whatever an id is, it becomes neither a wildcard nor the beginning of a reserved tree.
TEST(GrantsTest, AnIdThatIsAWildcardFillsNothing) {
  for (const char* id : {"+", "#", "a+b", "a#"}) {
    EXPECT_FALSE(publishes("devices/{id}/#", "devices/" + std::string(id) + "/x", {id})) << id;
    EXPECT_FALSE(subscribes("devices/{id}/#", "devices/" + std::string(id) + "/#", {id})) << id;
    EXPECT_FALSE(publishes("devices/{id}/#", "devices/victim/x", {id})) << id;
  }
  EXPECT_FALSE(publishes("{id}/#", "$SYS/uptime", {"$SYS"}));
  EXPECT_FALSE(subscribes("{id}/#", "$SYS/#", {"$SYS"}));
  EXPECT_TRUE(publishes("a/{id}/#", "a/$SYS/b", {"$SYS"}));
}

TEST(GrantsTest, ASubscriptionIsCoveredWhole) {
  EXPECT_TRUE(subscribes("a/b", "a/b"));
  EXPECT_TRUE(subscribes("a/+", "a/b"));
  EXPECT_TRUE(subscribes("a/+", "a/+"));
  EXPECT_FALSE(subscribes("a/b", "a/+"));
  EXPECT_FALSE(subscribes("a/+", "a/#"));
  EXPECT_TRUE(subscribes("a/#", "a/#"));
  EXPECT_TRUE(subscribes("a/#", "a"));
  EXPECT_TRUE(subscribes("a/#", "a/+/b/#"));
  EXPECT_FALSE(subscribes("a/+/#", "a/#"));
  EXPECT_FALSE(subscribes("a/#", "#"));
  EXPECT_FALSE(subscribes("a/#", "+/b"));
  EXPECT_TRUE(subscribes("#", "#"));
  EXPECT_TRUE(subscribes("#", "+/b"));
  EXPECT_TRUE(subscribes("+/b", "+/b"));
  EXPECT_FALSE(subscribes("#", "$SYS/#"));
  EXPECT_FALSE(subscribes("+/#", "$SYS/#"));
  EXPECT_TRUE(subscribes("cars/{id}/#", "cars/car-7/+"));
  EXPECT_FALSE(subscribes("cars/{id}/#", "cars/+/x"));
}

TEST(GrantsTest, OfASharedSubscriptionTheFilterCounts) {
  EXPECT_TRUE(subscribes("a/#", "$share/group/a/b"));
  EXPECT_FALSE(subscribes("a/#", "$share/group/b"));
  EXPECT_FALSE(subscribes("#", "$share/group"));
  EXPECT_FALSE(subscribes("#", "$share//a"));
  EXPECT_FALSE(subscribes("#", "$share/group/$SYS/#"));
}

TEST(GrantsTest, MethodsAreGrantedByTargetAndName) {
  const Caller caller{"car-7"};
  const GrantsPtr grants =
      grantsOf({"method:module/sensor/reset", "method:device/*/ping", "method:device/{id}/*"});
  EXPECT_TRUE(grants->mayCall("module/sensor", "reset", caller));
  EXPECT_FALSE(grants->mayCall("module/sensor", "other", caller));
  EXPECT_FALSE(grants->mayCall("module/sensor/reset", "reset", caller));
  EXPECT_FALSE(grants->mayCall("module/sensor", "", caller));
  EXPECT_TRUE(grants->mayCall("device/x", "ping", caller));
  EXPECT_FALSE(grants->mayCall("device/x/module/y", "ping", caller));
  EXPECT_TRUE(grants->mayCall("device/car-7", "any/thing", caller));
  EXPECT_FALSE(grants->mayCall("device/car-7/any", "thing", caller));
  EXPECT_TRUE(grantsOf({"method:*"})->mayCall("module/a", "b", caller));
  EXPECT_TRUE(grantsOf({"twin:*"})->mayUseTwin("module/a", caller));
}

TEST(GrantsTest, WhatIsWrongIsNamed) {
  const auto refused = [](const std::vector<std::string>& texts) {
    const auto grants = Grants::compile(PrincipalName::Kind::kDevice, texts);
    EXPECT_FALSE(grants) << texts.front();
    return grants ? std::string() : grants.error().text;
  };
  const auto says = [&](const std::string& grant, const std::string& what) {
    const std::string text = refused({grant});
    EXPECT_NE(text.find(what), std::string::npos) << text;
  };
  says("publsh:a", "did you mean publish:?");
  says("publish", "there are publish:…");
  says("", "there are publish:…");
  says("publish:", "for a topic filter");
  says("publish:a/#/b", "\"a/#/b\" is no topic filter");
  says("subscribe:$share/g/a", "behind the group");
  says("publish:a/{name}", "braces are for {id} and {module}");
  says("publish:a/{id}{module}", "one placeholder");
  says("publish:a/{id", "braces");
  says("publish:\xff", "UTF-8");
  says("method:module//a", "a part is a name");
  says("method:module/se*/a", "a part is a name");
  says("publish:" + std::string(1025, 'a'), "at most 1024 bytes");
  EXPECT_NE(refused({"publish:a", "publish:a"}).find("twice"), std::string::npos);
  std::vector<std::string> many;
  for (int i = 0; i < 65; ++i) many.push_back("publish:" + std::to_string(i));
  EXPECT_NE(refused(many).find("at most 64"), std::string::npos);
}

TEST(GrantsTest, ExplainNamesTheGrantThatDecided) {
  const GrantsPtr grants = grantsOf({"default", "publish:factory/#"});
  const Caller car{"car-7"};
  const auto allowed = grants->explain(Action::kPublish, "factory/temp", car);
  EXPECT_TRUE(allowed.allowed);
  EXPECT_EQ(allowed.grant, "publish:factory/#");
  EXPECT_EQ(allowed.because, "publish factory/temp is allowed by publish:factory/#");
  const auto denied = grants->explain(Action::kSubscribe, "factory/temp", car);
  EXPECT_FALSE(denied.allowed);
  EXPECT_EQ(denied.grant, "");
  EXPECT_EQ(denied.because, "subscribe factory/temp is denied: no subscribe grant covers it");
  EXPECT_EQ(grants->explain(Action::kMethod, "module/a/b", car).because,
            "method module/a/b is denied: there is no method grant");
  EXPECT_NE(
      grants->explain(Action::kPublish, "devices/a+b/x", {"a+b"}).because.find("fills no {id}"),
      std::string::npos);
}

std::atomic<std::uint64_t> allocations{0};

TEST(GrantsTest, AskingAllocatesNothing) {
  const GrantsPtr grants =
      grantsOf({"default", "publish:factory/+/{id}/#", "method:device/*/ping"});
  const Caller car{"a-rather-long-name-of-a-car-that-fits-no-small-string"};
  const std::string topic =
      "factory/hall/a-rather-long-name-of-a-car-that-fits-no-small-string/temperature";
  const std::uint64_t before = allocations;
  bool all = true;
  for (int i = 0; i < 100; ++i) {
    all = all && grants->mayPublish(topic, car) && !grants->maySubscribe(topic, car) &&
          grants->mayCall("device/x", "ping", car);
  }
  EXPECT_EQ(allocations, before);
  EXPECT_TRUE(all);
}

}  // namespace
}  // namespace kante

// Counts what the test above must not do.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++kante::allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
