#include "host/api/server.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "host/base/encoding.h"
#include "tests/host/api/wire.h"

namespace kante {
namespace {

using testing::RunningApi;
using testing::Wire;

constexpr std::uint64_t kBodyBytes = 1000;
constexpr std::uint64_t kFileBytes = 8 << 20;

class ApiServerTest : public ::testing::Test {
 protected:
  ApiServerTest() {
    api.router.add(HttpMethod::kGet, "/v1/echo/{what}", Audience::kReaders, BodyRule::none(),
                   [](ExchangePtr exchange) {
                     HttpResponse response;
                     response.body =
                         exchange->request().caller + " " + exchange->request().param("what");
                     exchange->respond(std::move(response));
                   });
    api.router.add(HttpMethod::kPut, "/v1/text", Audience::kOperators, BodyRule::text(kBodyBytes),
                   [](ExchangePtr exchange) {
                     HttpResponse response;
                     response.body =
                         exchange->request().content_type + ":" + exchange->request().body;
                     exchange->respond(std::move(response));
                   });
    api.router.add(HttpMethod::kPost, "/v1/file", Audience::kOperators, BodyRule::file(kFileBytes),
                   [](ExchangePtr exchange) {
                     const int fd = exchange->request().file.get();
                     HttpResponse response;
                     char buffer[65536];
                     std::string all;
                     for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) > 0;) {
                       all.append(buffer, static_cast<std::size_t>(n));
                     }
                     struct stat what {};
                     ::fstat(fd, &what);
                     response.body = toHex(sha256(all)) + " links=" + std::to_string(what.st_nlink);
                     exchange->respond(std::move(response));
                   });
    api.router.add(HttpMethod::kGet, "/v1/forgotten", Audience::kOperators, BodyRule::none(),
                   [](ExchangePtr) {});
    api.router.add(HttpMethod::kGet, "/v1/throws", Audience::kOperators, BodyRule::none(),
                   [](ExchangePtr) { throw std::runtime_error("of its own"); });
    api.router.add(
        HttpMethod::kGet, "/v1/stream", Audience::kReaders, BodyRule::none(),
        [this](ExchangePtr exchange) {
          stream = exchange->stream("text/event-stream", ":\n\n");
          stream->keep(std::shared_ptr<void>(nullptr, [this](void*) { ended.set_value(); }));
          stream->write("data: first\n\n");
        });
  }
  std::string get(const std::string& path) {
    return api.ask("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  }

  std::shared_ptr<ResponseStream> stream;
  std::promise<void> ended;
  RunningApi api;  // Stops first.
};

TEST_F(ApiServerTest, anOperatorIsAnsweredUnderTheirName) {
  ASSERT_TRUE(api.start());
  const std::string reply = get("/v1/echo/a%20b");
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 200 ")) << reply;
  EXPECT_NE(reply.find("operator/"), std::string::npos);
  EXPECT_TRUE(reply.ends_with(" a b")) << reply;
}

TEST_F(ApiServerTest, pipelinedRequestsAreAnsweredInOrder) {
  ASSERT_TRUE(api.start());
  const std::string reply = api.ask(
      "GET /v1/echo/one HTTP/1.1\r\nHost: x\r\n\r\n"
      "PUT /v1/text HTTP/1.1\r\nHost: x\r\nContent-Type: Text/Plain; x=y\r\nContent-Length: "
      "3\r\n\r\nabc"
      "GET /v1/echo/two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const auto one = reply.find(" one"), text = reply.find("text/plain:abc"),
             two = reply.find(" two");
  EXPECT_NE(two, std::string::npos) << reply;
  EXPECT_LT(one, text);
  EXPECT_LT(text, two);
}

TEST_F(ApiServerTest, whatIsNotHttpIsRefusedAndTheConnectionCloses) {
  ASSERT_TRUE(api.start());
  for (const char* bytes :
       {"\x16\x03\x01garbage\r\n\r\n", "GET /v1/echo/x SPDY/9\r\n\r\n", "GET  HTTP/1.1\r\n\r\n",
        "G(T / HTTP/1.1\r\n\r\n", "PUT /v1/text HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "PUT /v1/text HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "PUT /v1/text HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    const std::string reply = api.ask(std::string(bytes));
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 400 ")) << bytes << "\n" << reply;
    EXPECT_NE(reply.find("\"code\":\"invalid\""), std::string::npos) << reply;
  }
}

TEST_F(ApiServerTest, aHeaderOverTheBoundIs431) {
  ASSERT_TRUE(api.start());
  const std::string reply =
      api.ask("GET /v1/echo/x HTTP/1.1\r\nX: " + std::string(100'000, 'a') + "\r\n\r\n");
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 431 ")) << reply;
}

TEST_F(ApiServerTest, aBodyOverTheBoundIsRefusedBeforeItIsRead) {
  ASSERT_TRUE(api.start());
  EXPECT_TRUE(api.ask("PUT /v1/text HTTP/1.1\r\nContent-Length: 1001\r\n\r\n")
                  .starts_with("HTTP/1.1 413 "));
  EXPECT_TRUE(
      api.ask("GET /v1/echo/x HTTP/1.1\r\nContent-Length: 1\r\n\r\n").starts_with("HTTP/1.1 413 "));
  std::string chunked = "PUT /v1/text HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 11; ++i) chunked += "64\r\n" + std::string(100, 'x') + "\r\n";
  EXPECT_TRUE(api.ask(chunked).starts_with("HTTP/1.1 413 "));
}

TEST_F(ApiServerTest, whoSendsAllOfItBeforeReadingHearsWhyItWasRefused) {
  ASSERT_TRUE(api.start());
  const std::string body(std::size_t{8} << 20, 'x');
  const std::string length = " HTTP/1.1\r\nContent-Length: " + std::to_string(body.size());
  for (const auto& [line, status] : {std::pair("PUT /v1/text", "413"),
                                     {"GET /v1/echo/x", "413"},
                                     {"POST /v1/nothing", "404"},
                                     {"POST /v1/echo/x", "405"}}) {
    Wire wire = Wire::toSocket(api.socket());
    EXPECT_TRUE(wire.say(line + length + "\r\n\r\n" + body)) << line;
    const std::string heard = wire.hearAll();
    EXPECT_TRUE(heard.starts_with(std::string("HTTP/1.1 ") + status)) << line << "\n" << heard;
  }
}

TEST_F(ApiServerTest, pathsThatClimbOrHideAreRefused) {
  ASSERT_TRUE(api.start());
  for (const char* path : {"/v1/../etc/passwd", "/v1/%2e%2e/x", "/v1//echo/x", "/v1/echo/%00",
                           "/v1/echo/%zz", "/v1/echo/%0a", "http://x/v1", "*"}) {
    EXPECT_TRUE(get(path).starts_with("HTTP/1.1 400 ")) << path;
  }
  EXPECT_TRUE(get("/" + std::string(5000, 'a')).starts_with("HTTP/1.1 414 "));
  EXPECT_TRUE(get("/v1/nothing").starts_with("HTTP/1.1 404 "));
}

TEST_F(ApiServerTest, aWrongMethodIsToldTheRightOnes) {
  ASSERT_TRUE(api.start());
  const std::string reply = api.ask("DELETE /v1/text HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 405 ")) << reply;
  EXPECT_NE(reply.find("Allow: PUT\r\n"), std::string::npos) << reply;
  for (const char* method : {"BREW", "HEAD", "OPTIONS"}) {
    const std::string other = api.ask(std::string(method) + " /v1/text HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(other.starts_with("HTTP/1.1 405 ")) << other;
    EXPECT_NE(other.find("Allow: PUT\r\n"), std::string::npos) << other;
  }
}

TEST_F(ApiServerTest, aTransferCodingThatIsNotKnownIsNoBodyOfNothing) {
  ASSERT_TRUE(api.start());
  EXPECT_TRUE(api.ask("PUT /v1/text HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n")
                  .starts_with("HTTP/1.1 501 "));
}

TEST_F(ApiServerTest, anUploadBecomesAnUnnamedFile) {
  ASSERT_TRUE(api.start());
  std::string bytes(3'000'000, 'k');
  bytes[1'500'000] = 'x';
  Wire wire = Wire::toSocket(api.socket());
  wire.say(
      "POST /v1/file HTTP/1.1\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: " +
      std::to_string(bytes.size()) + "\r\n\r\n");
  EXPECT_EQ(wire.hearUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  wire.say(bytes);
  EXPECT_NE(wire.hearAll().find(toHex(sha256(bytes)) + " links=0"), std::string::npos);
}

TEST_F(ApiServerTest, aRequestThatNobodyAnsweredIs500) {
  ASSERT_TRUE(api.start());
  EXPECT_TRUE(get("/v1/forgotten").starts_with("HTTP/1.1 500 "));
  EXPECT_NE(get("/v1/throws").find("of its own"), std::string::npos);
}

TEST_F(ApiServerTest, aSlowHeaderOrBodyIsCutOff) {
  ApiServer::Options options;
  options.socket = api.socket();
  options.limits.idle = options.limits.header = options.limits.progress =
      std::chrono::milliseconds(50);
  ASSERT_TRUE(api.start(options));
  EXPECT_EQ(api.ask(""), "");
  EXPECT_EQ(api.ask("GET /v1/ec"), "");
  EXPECT_EQ(api.ask("PUT /v1/text HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"), "");
}

TEST_F(ApiServerTest, aStreamGoesOnUntilItsReaderLeaves) {
  ASSERT_TRUE(api.start());
  Wire wire = Wire::toSocket(api.socket());
  wire.say("GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(wire.hearUntil("data: first").find("Transfer-Encoding: chunked"), std::string::npos);
  EXPECT_TRUE(api.onControl([&] { return stream->write("data: second\n\n"); }));
  EXPECT_NE(wire.hearUntil("data: second").find("e\r\ndata: second\n\n\r\n"), std::string::npos);
  wire.close();
  EXPECT_EQ(ended.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_FALSE(api.onControl([&] { return stream->write("x"); }));
}

TEST_F(ApiServerTest, aSlowReaderOfAStreamIsNotBufferedWithoutBound) {
  ASSERT_TRUE(api.start());
  Wire wire = Wire::toSocket(api.socket());
  wire.say("GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n");
  wire.hearUntil("data: first");
  bool refused = false;
  for (int i = 0; i < 1000 && !refused; ++i) {
    refused = api.onControl([&] { return !stream->write(std::string(16'000, 'x')); });
  }
  EXPECT_TRUE(refused);
}

TEST_F(ApiServerTest, aStreamPulsesWhenItHasNothingToSay) {
  ApiServer::Options options;
  options.socket = api.socket();
  options.limits.pulse = std::chrono::milliseconds(20);
  ASSERT_TRUE(api.start(options));
  Wire wire = Wire::toSocket(api.socket());
  wire.say("GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(wire.hearUntil("3\r\n:\n\n\r\n").find("3\r\n:\n\n\r\n"), std::string::npos);
}

TEST_F(ApiServerTest, stoppingEndsStreamsAndRemovesTheSocket) {
  ASSERT_TRUE(api.start());
  Wire wire = Wire::toSocket(api.socket());
  wire.say("GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n");
  wire.hearUntil("data: first");
  api.onControl([&] { api.server->stop(); });
  EXPECT_TRUE(wire.hearAll().ends_with("0\r\n\r\n"));
  EXPECT_FALSE(std::filesystem::exists(api.socket()));
}

TEST_F(ApiServerTest, connectionsOverTheBoundAreToldSo) {
  ApiServer::Options options;
  options.socket = api.socket();
  options.limits.socket_connections_max = 2;
  ASSERT_TRUE(api.start(options));
  Wire first = Wire::toSocket(api.socket());
  Wire second = Wire::toSocket(api.socket());
  first.say("GET /v1/echo/x HTTP/1.1\r\n\r\n");
  first.hearUntil(" x");
  second.say("GET /v1/echo/x HTTP/1.1\r\n\r\n");
  second.hearUntil(" x");
  EXPECT_TRUE(get("/v1/echo/x").starts_with("HTTP/1.1 503 "));
}

TEST_F(ApiServerTest, theReadOnlyDoorChecksTheHostAndServesReadersOnly) {
  ASSERT_TRUE(api.start());
  const auto ask = [&](const std::string& first, const std::string& host) {
    Wire wire = Wire::toPort(api.server->httpPort());
    wire.say(first + " HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n");
    return wire.hearAll().substr(9, 3);
  };
  EXPECT_EQ(ask("GET /v1/echo/x", "Host: localhost:9180\r\n"), "200");
  EXPECT_EQ(ask("GET /v1/echo/x", "Host: 127.0.0.1\r\n"), "200");
  EXPECT_EQ(ask("GET /v1/echo/x", "Host: [::1]:9180\r\n"), "200");
  EXPECT_EQ(ask("GET /v1/echo/x", "Host: evil.example\r\n"), "421");
  EXPECT_EQ(ask("GET /v1/echo/x", "Host: 127.0.0.1.evil.example\r\n"), "421");
  EXPECT_EQ(ask("GET /v1/echo/x", ""), "421");
  EXPECT_EQ(ask("GET /v1/echo/x", "Host: localhost\r\nHost: localhost\r\n"), "421");
  EXPECT_EQ(ask("PUT /v1/text", "Host: localhost\r\n"), "403");
}

TEST_F(ApiServerTest, theSocketIsForItsOwnerAndGroupOnly) {
  ASSERT_TRUE(api.start());
  struct stat what {};
  ASSERT_EQ(::stat(api.socket().c_str(), &what), 0);
  EXPECT_EQ(what.st_mode & 07777, 0660u);
}

TEST_F(ApiServerTest, theFoldersOfTheSocketLetTheGroupThrough) {
  ApiServer::Options options;
  options.socket = api.dir.path + "/run/kante/api.sock";
  const mode_t before = ::umask(077);  // As kante run has it.
  const Status started = api.start(std::move(options));
  ::umask(before);
  ASSERT_TRUE(started);
  for (const char* folder : {"/run", "/run/kante"}) {
    struct stat what {};
    ASSERT_EQ(::stat((api.dir.path + folder).c_str(), &what), 0);
    EXPECT_EQ(what.st_mode & 07777, 0755u) << folder;
  }
}

TEST_F(ApiServerTest, aStrangerIsRefusedEvenWhereTheFileLetsThemIn) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  ASSERT_TRUE(api.start());
  ASSERT_EQ(::chmod(api.dir.path.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(api.socket().c_str(), 0666), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(9);
    ::_exit(get("/v1/echo/x").starts_with("HTTP/1.1 403 ") ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(api.onControl([&] { return api.server->refused(); }), 1u);
}

TEST_F(ApiServerTest, aDeadSocketIsReplacedAndALiveOneIsNot) {
  ASSERT_TRUE(api.start());
  ApiServer::Options options;
  options.socket = api.socket();
  ApiServer second(api.control, api.router, api.log, options);
  const auto live = api.onControl([&] { return second.start(); });
  ASSERT_FALSE(live);
  EXPECT_EQ(live.error().code, Errc::kState);

  const std::string file = api.dir.path + "/plain";
  ASSERT_TRUE(replaceFile(AT_FDCWD, file, "x"));
  options.socket = file;
  ApiServer third(api.control, api.router, api.log, options);
  EXPECT_FALSE(third.start());
  EXPECT_TRUE(std::filesystem::exists(file));
}

}  // namespace
}  // namespace kante
