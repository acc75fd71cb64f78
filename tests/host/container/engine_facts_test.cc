#include "host/container/engine_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/container/json_lines.h"

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr char kContainer[] =
    R"({"Id":"26c6","Name":"/kante-g-a","Image":"sha256:95ea","State":{"Status":"exited",)"
    R"("ExitCode":137,"OOMKilled":true,"Error":"","StartedAt":"2026-11-26T14:36:41.773085247Z",)"
    R"("FinishedAt":"0001-01-01T00:00:00Z"},"Config":{"Tty":false,"Labels":{"dev.kante.module":"a"}}})";

std::string without(std::string text, const std::string& part) {
  text.erase(text.find(part), part.size());
  return text;
}

TEST(EngineTime, IsReadAsGoWritesIt) {
  EXPECT_EQ(parseEngineTime("2026-11-26T14:36:41.773085247Z"), 1'795'703'801'773'085'247);
  EXPECT_EQ(parseEngineTime("2026-11-26T15:36:41.5+01:00"), 1'795'703'801'500'000'000);
  EXPECT_EQ(parseEngineTime("2026-11-26T13:06:41-01:30"), 1'795'703'801'000'000'000);
  EXPECT_EQ(parseEngineTime("0001-01-01T00:00:00Z"), 0);
  for (const char* wrong :
       {"", "2026-11-26", "2026-13-26T14:36:41Z", "2026-02-30T14:36:41Z", "2026-11-26T24:36:41Z",
        "2026-11-26T14:36:41", "2026-11-26T14:36:41.Z", "2026-11-26T14:36:41.1234567890Z",
        "2026-11-26T14:36:41+1:00", "9999-11-26T14:36:41Z", "2026-11-26T14:36:41Zx",
        "-026-11-26T14:36:41Z"})
    EXPECT_EQ(parseEngineTime(wrong), std::nullopt) << wrong;
}

TEST(ApiVersion, IsTwoNumbersAndIsComparedAsSuch) {
  EXPECT_LT(*parseApiVersion("1.9"), kApiVersion);
  EXPECT_EQ(parseApiVersion("1.41"), kApiVersion);
  for (const char* wrong : {"", "1", "1.", ".1", "1.41.2", "1.x", "v1.41", "99999.1"})
    EXPECT_EQ(parseApiVersion(wrong), std::nullopt) << wrong;
}

TEST(ContainerFacts, AreReadWhole) {
  const auto facts = readContainerFacts(kContainer);
  ASSERT_TRUE(facts) << facts.error().text;
  EXPECT_EQ(facts->name, "kante-g-a");
  EXPECT_EQ(facts->image_id, "sha256:95ea");
  EXPECT_EQ(facts->phase, ContainerPhase::kExited);
  EXPECT_EQ(facts->exit_code, 137);
  EXPECT_TRUE(facts->oom_killed);
  EXPECT_EQ(facts->started_ns, 1'795'703'801'773'085'247);
  EXPECT_EQ(facts->finished_ns, 0);
  EXPECT_THAT(facts->labels, ElementsAre(Pair("dev.kante.module", "a")));
}

TEST(ContainerFacts, ThatAreMissingAreNamed) {
  const auto expectNamed = [](const std::string& json, const char* pointer) {
    const auto facts = readContainerFacts(json);
    ASSERT_FALSE(facts) << json;
    EXPECT_EQ(facts.error().code, Errc::kCorrupt);
    EXPECT_THAT(facts.error().text, HasSubstr(pointer));
  };
  expectNamed(without(kContainer, R"("ExitCode":137,)"), "/State/ExitCode");
  expectNamed(without(kContainer, R"("Id":"26c6",)"), "/Id");
  expectNamed(without(kContainer, "2026-11-26"), "/State/StartedAt");
  expectNamed(without(kContainer, "ited"), "\"ex\"");
  expectNamed("[]", "no JSON object");
  expectNamed("{\"Id\":", "no JSON object");
}

TEST(ContainerList, MayHaveNoLabelsAndNoName) {
  const auto list = readContainerList(
      R"([{"Id":"1","Names":["/a"],"Labels":null,"State":"running"},
          {"Id":"2","Names":null,"Labels":{"x":"y"},"State":"dead"}])");
  ASSERT_TRUE(list) << list.error().text;
  EXPECT_EQ(list->at(0).name, "a");
  EXPECT_EQ(list->at(1).name, "2");
  const auto wrong = readContainerList(R"([{"Id":"1","State":"running","Labels":{"x":1}}])");
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().text, HasSubstr("/0/Labels"));
}

TEST(EngineEvent, NamesTheContainer) {
  const auto event = readEvent(
      R"({"Type":"container","Action":"die","Actor":{"ID":"26","Attributes":{"name":"a"}}})");
  ASSERT_TRUE(event);
  EXPECT_EQ(event->action, "die");
  EXPECT_EQ(event->name, "a");
  EXPECT_FALSE(readEvent(R"({"Action":"die"})"));
}

TEST(PullProgress, EndsWithTheErrorInItsMidst) {
  const auto progress = readPullProgress(
      R"({"status":"Downloading","progressDetail":{"current":5,"total":9},"id":"ab"})");
  ASSERT_TRUE(progress);
  EXPECT_EQ(progress->layer, "ab");
  EXPECT_EQ(progress->bytes, 5u);
  EXPECT_EQ(progress->bytes_total, 9u);
  const auto failed =
      readPullProgress(R"({"errorDetail":{"message":"no space"},"error":"no space"})");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().text, "the engine says: no space");
}

TEST(JsonLines, ComeWholeWhateverThePieces) {
  for (const std::size_t step : {1u, 4u, 100u}) {
    std::vector<std::string> lines;
    JsonLines cutter([&lines](std::string_view line) {
      lines.emplace_back(line);
      return Status();
    });
    const std::string_view bytes = "{\"a\":1}\r\n\n{\"b\":2}\n{\"c\"";
    for (std::size_t at = 0; at < bytes.size(); at += step)
      ASSERT_TRUE(cutter.take(bytes.substr(at, step)));
    ASSERT_TRUE(cutter.finish());
    EXPECT_THAT(lines, ElementsAre("{\"a\":1}\r", "{\"b\":2}", "{\"c\""));
  }
}

TEST(JsonLines, ThatAreTooLongEndTheStream) {
  JsonLines cutter([](std::string_view) { return Status(); });
  const std::string piece(JsonLines::kLineBytesMax / 2 + 1, ' ');
  EXPECT_TRUE(cutter.take(piece));
  const Status second = cutter.take(piece);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kLimit);
}

TEST(EngineFacts, OldPodmanDoesNotKnowTheHostsGateway) {
  const auto facts = [](const std::string& components) {
    return readEngineFacts(
        R"({"Version":"4.3.1","ApiVersion":"1.41","MinAPIVersion":"1.24","Components":)" +
        components + "}");
  };
  EXPECT_FALSE(facts(R"([{"Name":"Podman Engine","Version":"4.3.1"},{"Name":"Conmon"}])")
                   ->knows_host_gateway);
  EXPECT_TRUE(facts(R"([{"Name":"Podman Engine","Version":"4.7.0"}])")->knows_host_gateway);
  EXPECT_TRUE(facts(R"([{"Name":"Podman Engine","Version":"5.4.2-rc1"}])")->knows_host_gateway);
  EXPECT_TRUE(facts(R"([{"Name":"Engine","Version":"20.10.24"}])")->knows_host_gateway);
  EXPECT_TRUE(facts("[1]")->knows_host_gateway);
}

TEST(EngineFacts, TheGatewayOfANetwork) {
  EXPECT_EQ(*readGateway(R"({"IPAM":{"Config":[{"Subnet":"fd00::/64"},{"Gateway":"10.88.0.1"}]}})"),
            "10.88.0.1");
  EXPECT_EQ(*readGateway(R"({"IPAM":{"Config":null}})"), "");
  EXPECT_EQ(*readGateway("{}"), "");
  EXPECT_FALSE(readGateway(R"({"IPAM":{"Config":[{"Gateway":1}]}})"));
  EXPECT_FALSE(readGateway("[]"));
}

}  // namespace
}  // namespace kante
