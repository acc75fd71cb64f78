#include "host/api/router.h"

#include <gtest/gtest.h>

#include "host/api/error_reply.h"

namespace kante {
namespace {

using Path = std::vector<std::string>;

Router makeRouter() {
  Router router;
  for (const auto& [method, pattern] : {std::pair{HttpMethod::kGet, "/v1/deployment"},
                                        {HttpMethod::kPut, "/v1/deployment"},
                                        {HttpMethod::kGet, "/v1/deployment/history"},
                                        {HttpMethod::kGet, "/v1/modules/{name}/logs"},
                                        {HttpMethod::kPost, "/v1/methods/{principal...}/{name}"},
                                        {HttpMethod::kGet, "/v1/twins/{principal...}"},
                                        {HttpMethod::kGet, "/"}}) {
    router.add(method, pattern, Audience::kOperators, BodyRule::none(), [](const ExchangePtr&) {});
  }
  return router;
}

TEST(RouterTest, findsLiteralPathsAndParameters) {
  const Router router = makeRouter();
  EXPECT_EQ(router.find(HttpMethod::kGet, {}).route->pattern, "/");
  EXPECT_EQ(router.find(HttpMethod::kGet, {"v1", "deployment"}).route->method, HttpMethod::kGet);
  const auto logs = router.find(HttpMethod::kGet, {"v1", "modules", "a", "logs"});
  ASSERT_NE(logs.route, nullptr);
  EXPECT_EQ(logs.params.at("name"), "a");
}

TEST(RouterTest, aPrincipalTakesAsManySegmentsAsItHas) {
  const Router router = makeRouter();
  EXPECT_EQ(router.find(HttpMethod::kGet, {"v1", "twins", "module/filter"}).params.at("principal"),
            "module/filter");
  EXPECT_EQ(
      router.find(HttpMethod::kGet, {"v1", "twins", "module", "filter"}).params.at("principal"),
      "module/filter");
  const auto call =
      router.find(HttpMethod::kPost, {"v1", "methods", "device", "car-7", "module", "m", "reset"});
  ASSERT_NE(call.route, nullptr);
  EXPECT_EQ(call.params.at("principal"), "device/car-7/module/m");
  EXPECT_EQ(call.params.at("name"), "reset");
  EXPECT_EQ(router.find(HttpMethod::kPost, {"v1", "methods", "reset"}).route, nullptr);
}

TEST(RouterTest, tellsAWrongMethodFromAnUnknownPath) {
  const Router router = makeRouter();
  EXPECT_EQ(router.find(HttpMethod::kDelete, {"v1", "deployment"}).route, nullptr);
  EXPECT_EQ(router.allowed({"v1", "deployment"}), "GET, PUT");
  EXPECT_EQ(router.allowed({"v1", "deployment", "x"}), "");
}

TEST(ErrorReplyTest, carriesCodeTextAndPointer) {
  const HttpResponse reply =
      errorReply(fail(Errc::kConflict, "/modules/a~1b/config: is not what \"it\" takes"));
  EXPECT_EQ(reply.status, 409u);
  EXPECT_EQ(
      reply.body,
      "{\"error\":{\"code\":\"conflict\",\"text\":\"/modules/a~1b/config: is not what \\\"it\\\" "
      "takes\",\"pointer\":\"/modules/a~1b/config\"}}\n");
  EXPECT_EQ(pointerOf("no pointer: here"), "");
  EXPECT_EQ(pointerOf("/no/colon"), "");
}

TEST(ErrorReplyTest, everyReasonHasItsStatus) {
  EXPECT_EQ(statusOf(Errc::kInvalid), 400u);
  EXPECT_EQ(statusOf(Errc::kNotFound), 404u);
  for (const Errc refused : {Errc::kDenied, Errc::kUntrusted, Errc::kExpired, Errc::kRevoked}) {
    EXPECT_EQ(statusOf(refused), 403u);
  }
  for (const Errc against : {Errc::kState, Errc::kConflict, Errc::kDowngrade}) {
    EXPECT_EQ(statusOf(against), 409u);
  }
  EXPECT_EQ(statusOf(Errc::kLimit), 429u);
  EXPECT_EQ(statusOf(Errc::kCorrupt), 422u);
  EXPECT_EQ(statusOf(Errc::kIo), 500u);
  EXPECT_EQ(statusOf(Errc::kTimeout), 504u);
  EXPECT_EQ(statusOf(Errc::kUnsupported), 501u);
  EXPECT_EQ(statusOf(Errc::kUnavailable), 503u);
}

}  // namespace
}  // namespace kante
