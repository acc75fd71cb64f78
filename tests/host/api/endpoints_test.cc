#include "host/api/endpoints.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "host/base/clock.h"
#include "host/base/events.h"
#include "host/placement/module_host.h"
#include "tests/host/api/wire.h"

namespace kante {
namespace {

namespace json = boost::json;
using testing::RunningApi;
using testing::Wire;

// Two modules; "good" obeys, "bad" fails whatever it is told.
class FakeModules final : public ModuleHost {
 public:
  void apply(RuntimeTarget, Applied applied) override { applied(ApplyReport{}); }
  void restart(const std::string& name, Done done) override { act(name, "restart", done); }
  void stop(const std::string& name, Done done) override { act(name, "stop", done); }
  void start(const std::string& name, Done done) override { act(name, "start", done); }
  void move(const std::string& name, Placement placement, const std::string&, Done done) override {
    act(name, kante::name(placement), done);
  }
  Room roomFor(const RuntimeTarget&) const override { return Room::kEnough; }
  Status check(const RuntimeTarget&) override { return {}; }
  void saveAll(SavedAll all) override { all(Saved()); }
  void resume() override {}
  void shutDown(std::function<void()> done) override { done(); }
  std::vector<ModuleStatus> modules() const override {
    ModuleStatus good;
    good.name = "good";
    good.id = "dev.kante.good";
    good.version = "1.0.0";
    good.state = ModuleState::kRunning;
    good.pid = 7;
    good.started_wall_ns = 1'760'000'000'000'000'000;
    good.messages_in = 3;
    ModuleStatus bad;
    bad.name = "bad";
    bad.state = ModuleState::kFailed;
    bad.last_exit = "it would not";
    return {good, bad};
  }
  std::vector<RouteStatus> routes() const override {
    return {{"up", "FROM /* INTO $upstream", 5, 1}};
  }
  DropCounts dropped() const override { return {}; }
  std::size_t loadsUsed() const override { return 2; }
  std::size_t loadsMax() const override { return 4; }
  void collect(MetricWriter&) const override {}

  std::vector<std::string> told;

 private:
  void act(const std::string& name, const char* what, const Done& done) {
    told.push_back(std::string(what) + " " + name);
    if (name == "good") return done({});
    done(name == "bad" ? fail(Errc::kState, "bad will not")
                       : fail(Errc::kNotFound, "no such module"));
  }
};

class EndpointsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    addModuleEndpoints(api.router, modules, api.log, api.control);
    addMoveEndpoint(api.router, modules,
                    [this](const std::string& module, std::optional<Placement> placement,
                           const std::string&, std::function<void(Status)> done) {
                      modules.move(module, placement.value_or(Placement::kContainer), "",
                                   std::move(done));
                    });
    addEventEndpoints(api.router, events);
    addDashboard(api.router);
    ASSERT_TRUE(api.start());
  }
  std::string ask(const std::string& first) {
    return api.ask(first + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  }
  static std::string bodyOf(const std::string& reply) {
    return reply.substr(reply.find("\r\n\r\n") + 4);
  }

  FakeModules modules;
  ManualClock clock;
  EventLog events{clock};
  RunningApi api;
};

TEST_F(EndpointsTest, aModuleIsMovedAndMovedBack) {
  const auto move = [this](const std::string& module, const std::string& body) {
    return api.ask(
        "POST /v1/modules/" + module + "/move HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" +
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
        "\r\n\r\n" + body);
  };
  EXPECT_TRUE(move("good", R"({"placement":"sandbox"})").starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(move("good", R"({"reset":true})").starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(move("bad", R"({"placement":"in-process"})").starts_with("HTTP/1.1 409 "));
  EXPECT_TRUE(move("none", R"({"placement":"sandbox"})").starts_with("HTTP/1.1 404 "));
  for (const char* body : {R"({"placement":"container"})", R"({"reset":false})", "{}", "[]",
                           R"({"placement":1})", R"({"placement":"sandbox","reset":true})"}) {
    EXPECT_TRUE(move("good", body).starts_with("HTTP/1.1 400 ")) << body;
  }
  EXPECT_EQ(modules.told, (std::vector<std::string>{"sandbox good", "container good",
                                                    "in-process bad", "sandbox none"}));
}

TEST_F(EndpointsTest, modulesHaveTheFieldsOfTheContract) {
  const auto all = json::parse(bodyOf(ask("GET /v1/modules"))).as_array();
  ASSERT_EQ(all.size(), 2u);
  for (const char* key : {"name", "id", "version", "placement", "state", "restarts", "pid",
                          "override", "last_exit", "started"}) {
    EXPECT_TRUE(all[0].as_object().contains(key)) << key;
  }
  EXPECT_EQ(all[0].at("started").as_string(), "2025-10-09T08:53:20.000Z");
  EXPECT_EQ(all[0].at("pid").as_int64(), 7);
  EXPECT_TRUE(all[1].at("pid").is_null());
  EXPECT_EQ(all[1].at("last_exit").as_string(), "it would not");
}

TEST_F(EndpointsTest, routesSayWhatTheyCarried) {
  EXPECT_EQ(
      bodyOf(ask("GET /v1/routes")),
      "[{\"name\":\"up\",\"route\":\"FROM /* INTO $upstream\",\"messages\":5,\"dropped\":1}]\n");
}

TEST_F(EndpointsTest, anActionAnswersWhenItIsDone) {
  EXPECT_TRUE(ask("POST /v1/modules/good/restart").starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(ask("POST /v1/modules/bad/stop").starts_with("HTTP/1.1 409 "));
  EXPECT_TRUE(ask("POST /v1/modules/none/start").starts_with("HTTP/1.1 404 "));
  EXPECT_TRUE(ask("GET /v1/modules/good/restart").starts_with("HTTP/1.1 405 "));
  EXPECT_EQ(modules.told, (std::vector<std::string>{"restart good", "stop bad", "start none"}));
}

TEST_F(EndpointsTest, logsAreKeptCutAndFollowed) {
  api.log.info("module/good", "one");
  api.log.info("module/good", "two");
  api.log.info("module/other", "not this");
  EXPECT_NE(ask("GET /v1/modules/good/logs").find("\"one\""), std::string::npos);
  const std::string tail = ask("GET /v1/modules/good/logs?tail=1");
  EXPECT_EQ(tail.find("\"one\""), std::string::npos);
  EXPECT_NE(tail.find("\"two\""), std::string::npos);
  EXPECT_TRUE(ask("GET /v1/modules/none/logs").starts_with("HTTP/1.1 404 "));

  Wire wire = Wire::toSocket(api.socket());
  wire.say("GET /v1/modules/good/logs?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n");
  wire.hearUntil("\"two\"");
  api.log.info("module/other", "nor this");
  api.log.warn("module/good", "three");
  const std::string heard = wire.hearUntil("\"three\"");
  EXPECT_NE(heard.find("\"three\""), std::string::npos);
  EXPECT_EQ(heard.find("this"), std::string::npos);
}

TEST_F(EndpointsTest, eventsComeAsTheyHappenAndFromWhereAReaderWas) {
  const auto add = [&](const char* text) {
    api.onControl([&] {
      Event event;
      event.kind = "module.failed";
      event.subject = "module/bad";
      event.text = text;
      event.fields = {{"k", "v"}};
      events.add(std::move(event));
    });
  };
  add("first");
  add("second");
  EXPECT_EQ(json::parse(bodyOf(ask("GET /v1/events?follow=0&last=1"))).as_array().size(), 1u);
  Wire wire = Wire::toSocket(api.socket());
  wire.say("GET /v1/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 1\r\n\r\n");
  EXPECT_EQ(wire.hearUntil("second").find("first"), std::string::npos);
  add("third");
  const std::string heard = wire.hearUntil("third");
  EXPECT_NE(heard.find("id: 3\ndata: {\"id\":3,"), std::string::npos) << heard;
}

TEST_F(EndpointsTest, theReadOnlyDoorShowsModulesButNotTheirLogs) {
  const auto ask_port = [&](const std::string& path) {
    Wire wire = Wire::toPort(api.server->httpPort());
    wire.say("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    return wire.hearAll();
  };
  EXPECT_TRUE(ask_port("/v1/modules").starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(ask_port("/v1/modules/good/logs").starts_with("HTTP/1.1 403 "));
  const std::string page = ask_port("/");
  EXPECT_NE(page.find("Content-Security-Policy: default-src 'none'"), std::string::npos);
  EXPECT_EQ(page.find("http://"), std::string::npos) << "an outside resource";
  EXPECT_EQ(page.find("https://"), std::string::npos) << "an outside resource";
}

TEST(EventLogTest, keepsTheLastAndNumbersAll) {
  ManualClock clock;
  EventLog events(clock);
  std::size_t told = 0;
  auto handle = events.follow([&](const Event&) { ++told; });
  for (std::size_t i = 0; i < EventLog::kKeptMax + 5; ++i) events.add({});
  handle.reset();
  events.add({});
  EXPECT_EQ(told, EventLog::kKeptMax + 5);
  EXPECT_EQ(events.count(), EventLog::kKeptMax + 6);
  EXPECT_EQ(events.since().size(), EventLog::kKeptMax);
  EXPECT_EQ(events.since().front().id, 7u);
  EXPECT_EQ(events.since(events.count() - 1).size(), 1u);
}

TEST(EventLogTest, aFollowerMayEndItselfWhileItIsTold) {
  ManualClock clock;
  EventLog events(clock);
  std::shared_ptr<void> handle;
  int told = 0;
  handle = events.follow([&](const Event&) {
    ++told;
    handle.reset();
  });
  events.add({});
  events.add({});
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace kante
