#include "host/agent/deployment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kante {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr char kDigest[] =
    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

// A deployment with these modules and routes.
std::string with(const std::string& modules, const std::string& routes = "{}",
                 const std::string& more = "") {
  return R"({"schema":"kante.deployment/1","id":"line-4","version":12,"modules":)" + modules +
         R"(,"routes":)" + routes + more + "}";
}

// One good module with these members beside its placement and bundle.
std::string module(const std::string& more = "") {
  return R"({"bundle":"a.kmod","placement":"in-process")" + (more.empty() ? "" : "," + more) + "}";
}

std::string refused(const std::string& text) {
  const auto deployment = parseDeployment(text);
  return deployment ? "accepted" : deployment.error().text;
}
std::string refusedModule(const std::string& more) {
  return refused(with(R"({"x":)" + module(more) + "}"));
}
std::string refusedRoute(const std::string& route) {
  return refused(with("{}", R"({"r":)" + route + "}"));
}
Errc codeOf(const std::string& text) { return parseDeployment(text).error().code; }

TEST(Deployment, ReadsEveryMemberThatThisBuildServes) {
  const auto read = parseDeployment(with(
      R"({"sensor":)" + module() + R"(,"filter":{"bundle":")" + kDigest +
          R"(","from":["https://x/y",{"delta":"uplink:","base":"sha256:)" + std::string(64, 'b') +
          R"("}],"placement":"in-process",)"
          R"("config":{"b":1,"a":[1.5,"x"]},"desired":{"threshold":25},"env":{},"limits":{},)"
          R"("grants":{"methods":["module/sensor/reset","device/*/*"]},"execution":"dedicated",)"
          R"("start_after":["sensor"],"stop_ms":100,"status":"running","restart":"on-failure"},)"
          R"("off":)" +
          module(R"("status":"stopped","restart":"never")") + "}",
      R"({"up":{"route":"FROM /* INTO $upstream","priority":0,"timeToLiveSecs":86400},)"
      R"("in":{"route":"b","ttl_s":5,"durable":false,"overflow":"drop-oldest",)"
      R"("queue":{"messages":10,"bytes":4096},"stall_ms":0},"plain":"FROM c"})"));
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(read->id, "line-4");
  EXPECT_EQ(read->version, 12u);
  const ModuleEntry& filter = read->modules.at("filter");
  EXPECT_EQ(filter.bundle, kDigest);
  ASSERT_EQ(filter.from.size(), 2u);
  EXPECT_EQ(filter.from[0].base, "");
  EXPECT_EQ(filter.from[1].base, "sha256:" + std::string(64, 'b'));
  EXPECT_EQ(filter.from[1].kind, FetchSource::Kind::kUplink);
  EXPECT_EQ(filter.config, R"({"a":[1.5,"x"],"b":1})");
  EXPECT_EQ(filter.desired, R"({"threshold":25})");
  EXPECT_EQ(filter.method_grants.size(), 2u);
  EXPECT_EQ(filter.execution, Execution::kDedicated);
  EXPECT_EQ(filter.start_after, std::vector<std::string>{"sensor"});
  EXPECT_EQ(filter.stop_ms, 100u);
  EXPECT_EQ(filter.restart, Restart::kOnFailure);
  EXPECT_EQ(read->modules.at("off").desire, Desire::kStopped);
  EXPECT_EQ(read->modules.at("off").restart, Restart::kNever);
  EXPECT_EQ(read->modules.at("sensor").stop_ms, 5000u);
  EXPECT_FALSE(read->modules.at("sensor").execution.has_value());
  ASSERT_EQ(read->routes.size(), 3u);  // By name.
  EXPECT_EQ(read->routes[0].spec.ttl_s, 5u);
  EXPECT_EQ(read->routes[0].spec.durable, false);
  EXPECT_EQ(read->routes[0].spec.overflow, Overflow::kDropOldest);
  EXPECT_EQ(read->routes[0].spec.queue_messages, 10u);
  EXPECT_EQ(read->routes[0].spec.queue_bytes, 4096u);
  EXPECT_EQ(read->routes[0].spec.stall_ms, 0u);
  EXPECT_EQ(read->routes[0].text_pointer, "/routes/in/route");
  EXPECT_EQ(read->routes[1].text_pointer, "/routes/plain");
  EXPECT_EQ(read->routes[1].spec.priority, 9);
  EXPECT_EQ(read->routes[2].spec.priority, 0);
  EXPECT_EQ(read->routes[2].spec.ttl_s, 86400u);
}

TEST(Deployment, EqualDocumentsHaveEqualTexts) {
  const auto one = parseDeployment(with(R"({"x":)" + module(R"("config":{"a":1,"b":2})") + "}"));
  const auto two = parseDeployment(
      R"({ "version":12, "id":"line-4","routes":{}, "modules":{"x":{"placement":"in-process",)"
      R"("config":{"b":2, "a":1},"bundle":"a.kmod"}},"schema":"kante.deployment/1"})");
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->json, two->json);
}

TEST(Deployment, AnErrorOfTheHeadNamesItsPointer) {
  EXPECT_THAT(refused("nonsense"), StartsWith("deployment: line 1, column 1: not JSON"));
  EXPECT_THAT(refused("[]"), HasSubstr("expected a JSON object, not an array"));
  EXPECT_THAT(refused("{}"), StartsWith("/schema: expected \"kante.deployment/1\""));
  EXPECT_THAT(refused(R"({"schema":"kante.deployment/2"})"),
              HasSubstr("not \"kante.deployment/2\""));
  EXPECT_THAT(refused(R"({"schema":"kante.deployment/1","id":"a b"})"),
              StartsWith("/id: a name has"));
  EXPECT_THAT(refused(R"({"schema":"kante.deployment/1","id":"a"})"),
              StartsWith("/version: missing"));
  for (const char* version : {"0", "-1", "1.5", "\"1\"", "null", "9007199254740992", "1e30"})
    EXPECT_THAT(refused(R"({"schema":"kante.deployment/1","id":"a","version":)" +
                        std::string(version) + "}"),
                StartsWith("/version: expected a whole number from 1 to 9007199254740991"))
        << version;
  EXPECT_THAT(refused(R"({"schema":"kante.deployment/1","id":"a","version":1})"),
              StartsWith("/modules: missing"));
  EXPECT_THAT(refused(with("[]")), StartsWith("/modules: expected an object, not an array"));
  EXPECT_THAT(refused(with("{}", "[]")), StartsWith("/routes: expected an object, not an array"));
  EXPECT_EQ(refused(with("{}", "{}", R"(,"rutes":{})")),
            "/rutes: unknown member; did you mean \"routes\"?");
  EXPECT_EQ(refused(with("{}", "{}", R"(,"something":{})")), "/something: unknown member");
}

TEST(Deployment, AnImageIsAContainer) {
  const auto read = parseDeployment(with(
      R"({"x":{"image":"acme.test/opc:3","pull":"never","env":{"A":"b"},"create_options":{"Cmd":["run"],
      "HostConfig":{"Binds":["/srv:/data"]}},"limits":{"memory_mb":64,"threads":9},"grants":{"methods":
      ["module/y/reset"],"container":["bind:/srv"]},"desired":{"a":1},"restart":"never"}})"));
  ASSERT_TRUE(read) << read.error().text;
  const ModuleEntry& x = read->modules.at("x");
  EXPECT_EQ(x.placement, Placement::kContainer);
  EXPECT_EQ(x.bundle, "");
  EXPECT_EQ(x.container.image, "acme.test/opc:3");
  EXPECT_EQ(x.container.pull, ContainerSpec::Pull::kNever);
  EXPECT_EQ(x.container.env, (std::map<std::string, std::string>{{"A", "b"}}));
  EXPECT_EQ(x.container.create_options, R"({"Cmd":["run"],"HostConfig":{"Binds":["/srv:/data"]}})");
  EXPECT_EQ(x.container.grants, std::vector<std::string>{"bind:/srv"});
  EXPECT_EQ(x.method_grants, std::vector<std::string>{"module/y/reset"});
  EXPECT_EQ(x.limits.memory_mb, 64u);
}

TEST(Deployment, WhatContradictsAContainerIsRefused) {
  const auto refusedImage = [](const std::string& more) {
    return refused(with(R"({"x":{"image":"a:1",)" + more + "}}"));
  };
  EXPECT_EQ(refused(with(R"({"x":{"bundle":"a.kmod","placement":"container"}})")),
            "/modules/x/image: missing; a container is made of an image, a \"bundle\" runs "
            "in-process or in the sandbox");
  EXPECT_EQ(refusedImage(R"("placement":"sandbox")"),
            "/modules/x/placement: an \"image\" runs in a container; leave the placement out");
  EXPECT_EQ(refused(with(R"({"x":{"image":"a b"}})")),
            "/modules/x/image: expected an image as the engine names it: \"registry/name:tag\"");
  EXPECT_THAT(refusedImage(R"("bundle":"a.kmod")"), StartsWith("/modules/x/bundle: "));
  EXPECT_THAT(refusedImage(R"("config":{})"),
              StartsWith("/modules/x/config: a container has none"));
  EXPECT_THAT(refusedImage(R"("execution":"shared")"), StartsWith("/modules/x/execution: "));
  EXPECT_THAT(refusedImage(R"("from":[])"), StartsWith("/modules/x/from: "));
  EXPECT_THAT(refusedImage(R"("pull":"always")"), StartsWith("/modules/x/pull: "));
  EXPECT_THAT(refusedImage(R"("env":{"A":1})"), StartsWith("/modules/x/env/A: expected a text"));
  EXPECT_EQ(refusedImage(R"("env":{"IOTEDGE_DEVICEID":"x"})"),
            "/modules/x/env/IOTEDGE_DEVICEID: IOTEDGE_DEVICEID is set by Kante; take it out");
  EXPECT_THAT(refusedImage(R"("create_options":{"HostConfig":{"Privileged":true}})"),
              StartsWith("/modules/x/create_options/HostConfig/Privileged: needs \"privileged\""));
  EXPECT_THAT(refusedImage(R"("limits":{"ring_kb":64})"),
              StartsWith("/modules/x/limits/ring_kb: "));
  EXPECT_THAT(refusedImage(R"("grants":{"files":{}})"), StartsWith("/modules/x/grants/files: "));
  EXPECT_THAT(refusedModule(R"("grants":{"container":[]})"),
              StartsWith("/modules/x/grants/container: is for containers"));
  EXPECT_THAT(refusedModule(R"("pull":"never")"), StartsWith("/modules/x/pull: is for containers"));
}

TEST(Deployment, WhatThisBuildDoesNotServeIsRefusedAndNotIgnored) {
  EXPECT_THAT(refused(with("{}", "{}", R"(,"gateway":[])")), StartsWith("/gateway: "));
  EXPECT_THAT(refused(R"({"modulesContent":{"$edgeAgent":{}}})"),
              StartsWith("/modulesContent: an IoT Edge deployment manifest is not translated"));
  EXPECT_THAT(refusedModule(R"("create_options":{})"), StartsWith("/modules/x/create_options: "));
  EXPECT_THAT(refusedModule(R"("env":{"A":"b"})"), StartsWith("/modules/x/env: "));
  EXPECT_THAT(refusedModule(R"("limits":{"memory_mb":32})"), StartsWith("/modules/x/limits: "));
  EXPECT_THAT(refusedModule(R"("files":{})"), StartsWith("/modules/x/files: "));
}

TEST(Deployment, SaysHowLongItIsWatched) {
  const auto health = [](const std::string& rule) {
    return parseDeployment(with("{}", "{}", R"(,"health":)" + rule)).value().health;
  };
  EXPECT_EQ(health(R"({"window_s":120})").window_s, 120u);
  EXPECT_TRUE(health(R"({"window_s":120})").uplink);
  EXPECT_FALSE(health(R"({"uplink":false})").uplink);
  EXPECT_FALSE(health("{}").window_s);
  EXPECT_THAT(refused(with("{}", "{}", R"(,"health":{"window":1})")),
              StartsWith("/health/window: unknown member"));
  EXPECT_THAT(refused(with("{}", "{}", R"(,"health":{"window_s":86401})")),
              StartsWith("/health/window_s: "));
  EXPECT_THAT(refused(with("{}", "{}", R"(,"health":{"uplink":1})")),
              StartsWith("/health/uplink: expected true or false"));
}

TEST(Deployment, AModuleRunsInTheSandboxUnlessItSaysOtherwise) {
  const auto parsed = parseDeployment(
      with(R"({"x":{"bundle":"a.kmod"},"y":{"bundle":"a.kmod","placement":"in-process"}})"));
  ASSERT_TRUE(parsed) << parsed.error().text;
  EXPECT_EQ(parsed->modules.at("x").placement, Placement::kSandbox);
  EXPECT_EQ(parsed->modules.at("x").limits, ModuleLimits());
  EXPECT_EQ(parsed->modules.at("y").placement, Placement::kInProcess);
}

TEST(Deployment, ASandboxedModuleHasLimits) {
  const auto module = [](const std::string& limits) {
    return with(R"({"x":{"bundle":"a.kmod","limits":)" + limits + "}}");
  };
  const auto parsed =
      parseDeployment(module(R"({"memory_mb":32,"cpu_percent":50,"threads":8,"data_mb":16})"));
  ASSERT_TRUE(parsed) << parsed.error().text;
  EXPECT_EQ(parsed->modules.at("x").limits, (ModuleLimits{32, 50, 8, 16}));
  EXPECT_THAT(refused(module(R"({"memory_mb":7})")),
              StartsWith("/modules/x/limits/memory_mb: expected a whole number from 8 to"));
  EXPECT_THAT(refused(module(R"({"cpu_percent":0})")),
              StartsWith("/modules/x/limits/cpu_percent: expected a whole number from 1 to 6400"));
  EXPECT_THAT(refused(module(R"({"threads":5000})")), StartsWith("/modules/x/limits/threads: "));
  EXPECT_THAT(refused(module(R"({"data_mb":-1})")), StartsWith("/modules/x/limits/data_mb: "));
  const auto rings = parseDeployment(module(R"({"memory_mb":12,"ring_kb":4096})"));
  ASSERT_TRUE(rings) << rings.error().text;
  EXPECT_EQ(rings->modules.at("x").limits.ring_kb, 4096u);
  EXPECT_THAT(refused(module(R"({"ring_kb":32})")),
              StartsWith("/modules/x/limits/ring_kb: expected a whole number from 64 to 4096"));
  EXPECT_THAT(refused(module(R"({"ring_kb":8192})")), StartsWith("/modules/x/limits/ring_kb: "));
  EXPECT_EQ(refused(module(R"({"ring_kb":100})")),
            "/modules/x/limits/ring_kb: a power of two is wanted: 64, 128, 256, … 4096");
  EXPECT_EQ(refused(module(R"({"memory_mb":11,"ring_kb":4096})")),
            "/modules/x/limits/memory_mb: with rings of 4096 KiB it has to be 12 at least");
  EXPECT_EQ(refused(module(R"({"memory":32})")),
            "/modules/x/limits/memory: unknown member; did you mean \"memory_mb\"?");
  EXPECT_EQ(refusedModule(R"("limits":{"memory_mb":32})"),
            "/modules/x/limits: a module in the host's process cannot be limited; leave "
            "\"placement\" out, which means \"sandbox\"");
}

TEST(Deployment, AnErrorOfAModuleNamesItsPointer) {
  EXPECT_EQ(refused(with(R"({"x":1})")), "/modules/x: expected an object, not a number");
  EXPECT_EQ(refusedModule(R"("stopms":1)"),
            "/modules/x/stopms: unknown member; did you mean \"stop_ms\"?");
  EXPECT_THAT(refused(with(R"({"x":{"placement":"in-process"}})")),
              StartsWith("/modules/x/bundle: missing"));
  EXPECT_THAT(refused(with(R"({"x":{"placement":"in-process","bundle":""}})")),
              StartsWith("/modules/x/bundle: a path has"));
  EXPECT_THAT(refused(with(R"({"x":{"placement":"in-process","bundle":"sha256:12"}})")),
              StartsWith("/modules/x/bundle: a digest is"));
  EXPECT_THAT(refused(with(R"({"x":{"placement":"in-process","bundle":"a\u0000b"}})")),
              StartsWith("/modules/x/bundle: a text holds no U+0000"));
  EXPECT_THAT(refusedModule(R"("from":["ftp://x"])"), StartsWith("/modules/x/from/0: expected"));
  const std::string base = R"("base":"sha256:)" + std::string(64, 'a') + "\"";
  EXPECT_THAT(refusedModule(R"("from":["uplink:",7])"),
              StartsWith("/modules/x/from/1: expected a string or an object, not a number"));
  EXPECT_THAT(refusedModule(R"("from":[{)" + base + "}]"),
              StartsWith("/modules/x/from/0/delta: missing"));
  EXPECT_THAT(refusedModule(R"("from":[{"delta":"uplink:"}])"),
              StartsWith("/modules/x/from/0/base: missing"));
  EXPECT_THAT(refusedModule(R"("from":[{"delta":"uplink:","base":"2"}])"),
              StartsWith("/modules/x/from/0/base: expected the digest of the bundle"));
  EXPECT_THAT(refusedModule(R"("from":[{"delta":"ftp://x",)" + base + "}]"),
              StartsWith("/modules/x/from/0/delta: expected"));
  EXPECT_THAT(refusedModule(R"("from":[{"delta":"uplink:","more":1,)" + base + "}]"),
              StartsWith("/modules/x/from/0/more: "));
  EXPECT_THAT(refusedModule(R"("from":["file:///a","http://depot.example/a"])"),
              StartsWith("/modules/x/from/1: plain http is for this machine only"));
  EXPECT_THAT(refusedModule(R"("from":["https:///a"])"),
              StartsWith("/modules/x/from/0: it names no host"));
  std::string many = R"("from":["uplink:")";
  for (std::size_t i = 0; i < kFetchSourcesMax; ++i) many += R"(,"uplink:")";
  EXPECT_THAT(refusedModule(many + "]"), StartsWith("/modules/x/from: at most 16 places"));
  EXPECT_THAT(refusedModule(R"("from":"https://x")"),
              StartsWith("/modules/x/from: expected an array, not a string"));
  EXPECT_THAT(
      refused(with(R"({"x":{"bundle":"a","placement":"inprocess"}})")),
      StartsWith("/modules/x/placement: \"inprocess\" is not \"in-process\", \"sandbox\" or"));
  EXPECT_THAT(refusedModule(R"("config":[])"), StartsWith("/modules/x/config: expected an object"));
  EXPECT_THAT(refusedModule(R"("desired":{"a":{"$b":1}})"),
              StartsWith("/modules/x/desired/a/$b: a member name"));
  EXPECT_THAT(refusedModule(R"("desired":{"a":null})"), StartsWith("/modules/x/desired/a: null"));
  EXPECT_THAT(refusedModule(R"("grants":{"files":{"read":["etc"]}})"),
              StartsWith("/modules/x/grants/files/read/0: \"etc\" is no absolute path"));
  EXPECT_THAT(refusedModule(R"("grants":{"files":{"space":["x"]}})"),
              StartsWith("/modules/x/grants/files/space/0: \"x\" is no absolute path"));
  EXPECT_THAT(refusedModule(R"("grants":{"files":{"execute":[]}})"),
              StartsWith("/modules/x/grants/files/execute: unknown member"));
  EXPECT_THAT(refusedModule(R"("grants":{"listen":["*"]})"),
              StartsWith("/modules/x/grants/listen/0: \"*\" is not HOST:PORT"));
  EXPECT_THAT(refusedModule(R"("grants":{"method":[]})"),
              StartsWith("/modules/x/grants/method: unknown member; did you mean \"methods\"?"));
  for (const char* grant : {"x", "module/a", "module/a/", "module//b", "operator/a/b", "*"})
    EXPECT_THAT(
        refusedModule(R"("grants":{"methods":["module/a/b",")" + std::string(grant) + "\"]}"),
        StartsWith("/modules/x/grants/methods/1: expected"))
        << grant;
  EXPECT_THAT(refusedModule(R"("execution":"own")"),
              StartsWith("/modules/x/execution: \"own\" is not \"shared\" or \"dedicated\""));
  EXPECT_THAT(refusedModule(R"("status":"on")"), StartsWith("/modules/x/status: "));
  EXPECT_THAT(refusedModule(R"("restart":true)"),
              StartsWith("/modules/x/restart: expected a string"));
  EXPECT_THAT(refusedModule(R"("stop_ms":600001)"),
              StartsWith("/modules/x/stop_ms: expected a whole number from 0 to 600000"));
}

TEST(Deployment, NamesAreNamesAndDifferInMoreThanCase) {
  EXPECT_THAT(refused(with(R"({"a/b":)" + module() + "}")),
              StartsWith("/modules/a~1b: a name has"));
  EXPECT_THAT(refused(with(R"({"":)" + module() + "}")), StartsWith("/modules/: a name has"));
  EXPECT_EQ(refused(with(R"({"Filter":)" + module() + R"(,"filteR":)" + module() + "}")),
            "/modules/filteR: differs from \"Filter\" only in case");
  EXPECT_EQ(refused(with("{}", R"({"Up":"x","uP":"y"})")),
            "/routes/uP: differs from \"Up\" only in case");
  EXPECT_THAT(refused(with("{}", R"({"a b":"x"})")), StartsWith("/routes/a b: a name has"));
  EXPECT_THAT(refused(with(R"({"x":)" + module() + R"(,"x":)" + module() + "}")),
              HasSubstr("the member \"x\" is there twice"));
}

TEST(Deployment, StartOrderNamesModulesThatWillBeThere) {
  EXPECT_EQ(refused(with(R"({"a":)" + module(R"("start_after":["sensr"])") + R"(,"sensor":)" +
                         module() + "}")),
            "/modules/a/start_after/0: there is no module \"sensr\"; did you mean \"sensor\"?");
  EXPECT_THAT(refused(with(R"({"a":)" + module(R"("start_after":["b"])") + R"(,"b":)" +
                           module(R"("status":"stopped")") + "}")),
              StartsWith("/modules/a/start_after/0: \"b\" is stopped"));
  EXPECT_EQ(refused(with(R"({"a":)" + module(R"("start_after":["a"])") + "}")),
            "/modules/a/start_after: these wait for each other: a → a");
  EXPECT_EQ(refused(with(R"({"z":)" + module() + R"(,"a":)" + module(R"("start_after":["z","b"])") +
                         R"(,"b":)" + module(R"("start_after":["c"])") + R"(,"c":)" +
                         module(R"("start_after":["z","b"])") + "}")),
            "/modules/b/start_after: these wait for each other: b → c → b");
}

TEST(Deployment, AnErrorOfARouteNamesItsPointer) {
  EXPECT_EQ(refusedRoute("1"), "/routes/r: expected a string or an object, not a number");
  EXPECT_THAT(refusedRoute("{}"), StartsWith("/routes/r/route: missing"));
  EXPECT_EQ(refusedRoute(R"({"route":"x","prority":1})"),
            "/routes/r/prority: unknown member; did you mean \"priority\"?");
  EXPECT_THAT(refusedRoute(R"({"route":1})"), StartsWith("/routes/r/route: expected a string"));
  EXPECT_THAT(refusedRoute(R"({"route":"x","priority":10})"), StartsWith("/routes/r/priority: "));
  EXPECT_THAT(refusedRoute(R"({"route":"x","ttl_s":-1})"), StartsWith("/routes/r/ttl_s: "));
  EXPECT_THAT(refusedRoute(R"({"route":"x","timeToLiveSecs":4294967296})"),
              StartsWith("/routes/r/timeToLiveSecs: "));
  EXPECT_THAT(refusedRoute(R"({"route":"x","ttl_s":1,"timeToLiveSecs":1})"),
              StartsWith("/routes/r/timeToLiveSecs: is another name of \"ttl_s\""));
  EXPECT_THAT(refusedRoute(R"({"route":"x","durable":1})"), StartsWith("/routes/r/durable: "));
  EXPECT_THAT(
      refusedRoute(R"({"route":"x","overflow":"wait"})"),
      StartsWith("/routes/r/overflow: \"wait\" is not \"block\", \"spill\", \"drop-oldest\" or"));
  EXPECT_THAT(refusedRoute(R"({"route":"x","queue":1})"), StartsWith("/routes/r/queue: "));
  EXPECT_THAT(refusedRoute(R"({"route":"x","queue":{"message":1}})"),
              StartsWith("/routes/r/queue/message: unknown member; did you mean \"messages\"?"));
  EXPECT_THAT(refusedRoute(R"({"route":"x","queue":{"messages":0}})"),
              StartsWith("/routes/r/queue/messages: "));
  EXPECT_THAT(refusedRoute(R"({"route":"x","queue":{"bytes":1}})"),
              StartsWith("/routes/r/queue/bytes: "));
  EXPECT_THAT(refusedRoute(R"({"route":"x","stall_ms":"1s"})"), StartsWith("/routes/r/stall_ms: "));
  EXPECT_THAT(refusedRoute(R"({"route":"x","full":"keep"})"),
              StartsWith("/routes/r/full: \"keep\""));
}

TEST(Deployment, SizeDepthAndNumberAreBounded) {
  EXPECT_EQ(codeOf(std::string(kDeploymentBytesMax + 1, ' ')), Errc::kLimit);
  EXPECT_EQ(codeOf(std::string(100'000, '[')), Errc::kInvalid);
  std::string many = "{";
  for (std::size_t i = 0; i <= kModulesMax; ++i)
    many += "\"m" + std::to_string(i) + "\":" + module() + ",";
  many.back() = '}';
  EXPECT_EQ(codeOf(with(many)), Errc::kLimit);
}

TEST(Deployment, BundlesCanBeReplacedByDigests) {
  const auto read = parseDeployment(with(R"({"x":)" + module() + "}"));
  ASSERT_TRUE(read);
  const Deployment changed = withBundles(*read, {{"x", kDigest}});
  EXPECT_EQ(changed.modules.at("x").bundle, kDigest);
  const auto again = parseDeployment(changed.json);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->modules.at("x").bundle, kDigest);
  EXPECT_EQ(again->json, changed.json);
}

}  // namespace
}  // namespace kante
