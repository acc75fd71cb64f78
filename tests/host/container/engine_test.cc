// The client against answers that a real engine does not give on demand.
#include "host/container/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/base/encoding.h"
#include "host/container/engine_call.h"
#include "tests/host/container/loop.h"
#include "tests/host/container/stub_engine.h"

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kOk[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string chunk(const std::string& bytes) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}

class EngineTest : public ::testing::Test {
 protected:
  Result<EngineFacts> connect() {
    return loop.result<EngineFacts>([this](auto then) { return engine.connect(then); });
  }
  Result<ContainerFacts> inspect() {
    return loop.result<ContainerFacts>([this](auto then) { return engine.inspect("a", then); });
  }
  void expectInspectFails(Errc code, const char* text) {
    const auto facts = inspect();
    ASSERT_FALSE(facts);
    EXPECT_EQ(facts.error().code, code) << facts.error().text;
    EXPECT_THAT(facts.error().text, HasSubstr(text));
    EXPECT_THAT(facts.error().text, HasSubstr("inspect container a: "));
  }

  Loop loop;
  StubEngine stub{loop.io};
  Engine engine{loop.io, stub.socket(), {std::chrono::seconds(30), std::chrono::seconds(30)}};
};

TEST_F(EngineTest, SpeaksTheVersionThatBothKnow) {
  stub.answerJson(200, R"({"Version":"20.10","ApiVersion":"1.41","MinAPIVersion":"1.12"})");
  ASSERT_TRUE(connect());
  (void)inspect();
  EXPECT_THAT(stub.asked().at(0), HasSubstr("GET /version HTTP/1.1"));
  EXPECT_THAT(stub.asked().at(1), HasSubstr("GET /v1.41/containers/a/json"));
  stub.answerJson(200, R"({"Version":"29.0","ApiVersion":"1.52","MinAPIVersion":"1.44"})");
  ASSERT_TRUE(connect());
  (void)inspect();
  EXPECT_THAT(stub.asked().at(3), HasSubstr("GET /v1.44/containers/a/json"));
}

TEST_F(EngineTest, SaysThatAnEngineIsTooOld) {
  stub.answerJson(200, R"({"Version":"18.06","ApiVersion":"1.38"})");
  const auto facts = connect();
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().code, Errc::kUnsupported);
  EXPECT_THAT(facts.error().text, HasSubstr("18.06"));
  EXPECT_THAT(facts.error().text, HasSubstr("1.38; at least 1.41 is needed"));
}

TEST_F(EngineTest, PassesOnWhatTheEngineSays) {
  stub.answerJson(404, R"({"message":"No such container: a"})");
  expectInspectFails(Errc::kNotFound, "the engine says: No such container: a");
  stub.answerJson(409, R"({"message":"busy"})");
  expectInspectFails(Errc::kConflict, "busy");
  stub.answerJson(400, R"({"message":"bad"})");
  expectInspectFails(Errc::kInvalid, "bad");
  stub.answerJson(403, R"({"message":"no"})");
  expectInspectFails(Errc::kDenied, "no");
  stub.answerJson(500, "<html>");
  expectInspectFails(Errc::kIo, "the engine answered with status 500");
}

TEST_F(EngineTest, TakesNothingElseForAnEngine) {
  stub.answer("SSH-2.0-OpenSSH_9.2\r\n\r\n");
  expectInspectFails(Errc::kCorrupt, "is no engine");
  stub.answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{");
  expectInspectFails(Errc::kUnavailable, "went away");
  stub.answer("");
  expectInspectFails(Errc::kUnavailable, "went away");
  stub.answerJson(200, R"({"Id":1})");
  expectInspectFails(Errc::kCorrupt, "no object at /Config");
  stub.answer("HTTP/1.1 200 OK\r\nX: " + std::string(EngineOrder::kHeaderBytesMax, 'x') +
              "\r\n\r\n");
  expectInspectFails(Errc::kCorrupt, "is no engine");
}

TEST_F(EngineTest, TakesNoAnswerWithoutEnd) {
  stub.answerJson(200, std::string(EngineOrder::kAnswerBytesMax + 1, ' '));
  expectInspectFails(Errc::kLimit, "longer than 16777216 bytes");
  stub.answerJson(500, std::string(EngineOrder::kRefusalBytesMax + 1, ' '));
  expectInspectFails(Errc::kLimit, "longer than 65536 bytes");
}

TEST_F(EngineTest, SaysThatThereIsNone) {
  Engine none(loop.io, "/nowhere/engine.sock");
  const auto facts = loop.result<EngineFacts>([&none](auto then) { return none.connect(then); });
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().code, Errc::kUnavailable);
  EXPECT_THAT(facts.error().text, HasSubstr("no container engine at /nowhere/engine.sock"));
  Engine longer(loop.io, "/" + std::string(200, 'x'));
  const auto at = loop.result<EngineFacts>([&longer](auto then) { return longer.connect(then); });
  ASSERT_FALSE(at);
  EXPECT_EQ(at.error().code, Errc::kInvalid);
}

TEST_F(EngineTest, DoesNotWaitForEverForAnAnswer) {
  Engine hasty(loop.io, stub.socket(), {std::chrono::milliseconds(50), std::chrono::seconds(1)});
  stub.answer("", StubEngine::Then::kKeep);
  const auto facts = loop.result<EngineFacts>([&hasty](auto then) { return hasty.connect(then); });
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().code, Errc::kTimeout);
  EXPECT_THAT(facts.error().text, HasSubstr("was silent"));
}

TEST_F(EngineTest, CallsNobodyWhoDroppedTheHandle) {
  const std::string event = R"({"Action":"die","Actor":{"ID":"1","Attributes":{"name":"a"}}})"
                            "\n";
  stub.answer(kOk + chunk(event + event + event), StubEngine::Then::kKeep);
  int events = 0;
  bool ended = false;
  Engine::Call call;
  call = engine.events(
      "l", [] {},
      [&](const EngineEvent&) {
        ++events;
        call.reset();
      },
      [&](const Status&) { ended = true; });
  ASSERT_TRUE(loop.until([&] { return events > 0; }));
  Engine::Call other = engine.inspect("a", [&](const Result<ContainerFacts>&) { ended = true; });
  other.reset();
  loop.io.restart();
  loop.io.run_for(std::chrono::milliseconds(20));
  EXPECT_EQ(events, 1);
  EXPECT_FALSE(ended);
}

TEST_F(EngineTest, EndsAStreamOfEventsThatIsNone) {
  stub.answer(kOk + chunk("{}\n"), StubEngine::Then::kKeep);
  const auto end = loop.result<void>([this](auto then) {
    return engine.events(
        "l", [] {}, [](const EngineEvent&) {}, then);
  });
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::kCorrupt);
}

TEST_F(EngineTest, FindsTheErrorInAPull) {
  stub.answer(
      kOk + chunk("{\"status\":\"Pulling\",\"id\":\"1\"}\r\n") +
      chunk("{\"errorDetail\":{\"message\":\"no space left\"},\"error\":\"no space left\"}") +
      "0\r\n\r\n");
  std::vector<std::string> seen;
  const RegistryLogin login{"r.example", "me", "s3cr\xc3\xa9t>>??"};
  const auto end = loop.result<void>([&](auto then) {
    return engine.pullImage(
        "r.example:5000/x", &login,
        [&seen](const PullProgress& progress) { seen.push_back(progress.text); }, then);
  });
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().text, "pull image r.example:5000/x: the engine says: no space left");
  EXPECT_THAT(seen, ElementsAre("Pulling"));
  const std::string& head = stub.asked().at(0);
  EXPECT_THAT(head,
              HasSubstr("POST /v1.41/images/create?fromImage=r.example%3A5000%2Fx&tag=latest"));
  std::string auth = head.substr(head.find("X-Registry-Auth: ") + 17);
  auth.resize(auth.find('\r'));
  EXPECT_THAT(auth, Not(HasSubstr("+")));
  for (char& c : auth) c = c == '-' ? '+' : c == '_' ? '/' : c;
  EXPECT_EQ(
      *fromBase64(auth),
      "{\"username\":\"me\",\"password\":\"s3cr\xc3\xa9t>>??\",\"serveraddress\":\"r.example\"}");
}

TEST_F(EngineTest, PullsTheTagThatIsNamed) {
  stub.answer(kOk + std::string("0\r\n\r\n"));
  for (const char* image : {"a:1", "r:5000/a:1", "a@sha256:12"}) {
    ASSERT_TRUE(loop.result<void>([&](auto then) {
      return engine.pullImage(
          image, nullptr, [](const PullProgress&) {}, then);
    }));
    EXPECT_THAT(stub.asked().back(), Not(HasSubstr("latest"))) << image;
    EXPECT_THAT(stub.asked().back(), Not(HasSubstr("Registry-Auth")));
  }
}

}  // namespace
}  // namespace kante
