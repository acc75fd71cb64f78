#include "host/hub/http/web_shard.h"

#include <poll.h>
#include <sys/socket.h>

#include <mutex>

#include "host/hub/mqtt/socket_transport.h"
#include "tests/host/shard/shard_fixture.h"
#include "tests/support/eventually.h"

namespace kante::hub {
namespace {

// Says what it was asked; "/later" waits until the test answers.
class Echo final : public WebHandler {
 public:
  void handle(WebRequest request, const Peer&, WebAnswer answer) override {
    if (request.path() == "/later") {
      const std::lock_guard lock(mutex_);
      later_ = std::move(answer);
      return;
    }
    WebResponse response;
    response.body = request.target + " " + request.body;
    response.close = request.path() == "/close";
    answer(response);
  }
  WebAnswer later() {
    const std::lock_guard lock(mutex_);
    return std::exchange(later_, nullptr);
  }

 private:
  std::mutex mutex_;
  WebAnswer later_;
};

class WebShardTest : public ShardFixture {
 protected:
  ~WebShardTest() override {
    if (!web_) return;
    std::promise<void> done;
    web_->stop([&] { done.set_value(); });
    done.get_future().wait();
    EXPECT_EQ(ended_ + upgraded_, connections_) << "every connection ends, or becomes a WebSocket";
  }
  void serve(WebTimes times = {}, std::size_t bodies_bytes_max = 1u << 20) {
    WebShard::Options options;
    options.bodies_bytes_max = bodies_bytes_max;
    options.times = times;
    options.handler = &echo_;
    options.closed = [this] { ++ended_; };
    options.upgraded = [this](std::unique_ptr<Transport> transport, Peer peer) {
      peer_ = std::move(peer);
      websocket_ = std::move(transport);
      ++upgraded_;
    };
    options.report = [](Refusal, const std::string&, const std::string&) {};
    web_ = std::make_unique<WebShard>(shards_[0], std::move(options));
  }
  FileDescriptor connect() {
    std::array<int, 2> pair{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
    Peer peer;
    peer.loopback = true;
    web_->accept(std::make_unique<SocketTransport>(FileDescriptor(pair[0])), std::move(peer));
    ++connections_;
    return FileDescriptor(pair[1]);
  }
  static void say(const FileDescriptor& to, const std::string& text) {
    ASSERT_EQ(::send(to.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // What has come when `until` has, or the end.
  static std::string hear(const FileDescriptor& from, const std::string& until) {
    std::string out;
    std::array<char, 4096> bytes;
    while (out.find(until) == std::string::npos) {
      pollfd ready{from.get(), POLLIN, 0};
      if (::poll(&ready, 1, 30'000) != 1) return out + "(nothing more)";
      const ssize_t count = ::recv(from.get(), bytes.data(), bytes.size(), 0);
      if (count <= 0) return out + "(end)";
      out.append(bytes.data(), static_cast<std::size_t>(count));
    }
    return out;
  }
  static std::string hearEnd(const FileDescriptor& from) { return hear(from, "no such bytes"); }
  static std::string post(const std::string& path, const std::string& body,
                          const std::string& more = "") {
    return "POST " + path + " HTTP/1.1\r\nHost: h\r\n" + more +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  Echo echo_;
  std::atomic<int> ended_{0};
  std::atomic<int> upgraded_{0};
  int connections_ = 0;
  Peer peer_;
  std::unique_ptr<Transport> websocket_;
  std::unique_ptr<WebShard> web_;
};

TEST_F(WebShardTest, AnswersOneRequestAfterTheOther) {
  serve();
  const auto client = connect();
  say(client, post("/a", "one"));
  EXPECT_EQ(hear(client, "one"),
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Type: application/json; "
            "charset=utf-8\r\n\r\n/a one");
  std::string many;
  for (int i = 0; i < 200; ++i) many += post("/p", std::to_string(i));
  say(client, many);
  const std::string answers = hear(client, "/p 199");
  std::size_t at = 0;
  for (int i = 0; i < 200; ++i) {
    at = answers.find("/p " + std::to_string(i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_EQ(web_->counters().answers[2].value(), 201u);
}

TEST_F(WebShardTest, TellsWhoWaitsToGoOn) {
  serve();
  const auto client = connect();
  const std::string request = post("/a", "body", "Expect: 100-continue\r\n");
  say(client, request.substr(0, request.size() - 4));
  EXPECT_EQ(hear(client, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  say(client, "body");
  EXPECT_NE(hear(client, "/a body").find("200 OK"), std::string::npos);
}

TEST_F(WebShardTest, WaitsForWhoAnswersLater) {
  serve();
  const auto client = connect();
  say(client, post("/later", "") + post("/next", ""));
  WebAnswer answer;
  EXPECT_TRUE(eventually([&] { return static_cast<bool>(answer = echo_.later()); }));
  WebResponse response;
  response.status = 204;
  answer(response);
  const std::string heard = hear(client, "/next");
  EXPECT_TRUE(heard.starts_with("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK")) << heard;
}

TEST_F(WebShardTest, DoesNotWaitForEverForWhoAnswers) {
  WebTimes times;
  times.answer_ms = 100;
  serve(times);
  const auto client = connect();
  say(client, post("/later", ""));
  EXPECT_TRUE(hearEnd(client).starts_with("HTTP/1.1 504 "));
  WebAnswer answer;
  EXPECT_TRUE(eventually([&] { return static_cast<bool>(answer = echo_.later()); }));
  answer(WebResponse());  // Nobody hears it.
}

TEST_F(WebShardTest, HasRoomForSoManyBodies) {
  serve({}, 1000);
  const std::string half = post("/a", std::string(600, 'x'));
  const auto first = connect();
  say(first, half.substr(0, half.size() - 1));
  const auto second = connect();
  EXPECT_TRUE(eventually([&] {  // The first one's bytes are there.
    const auto other = connect();
    say(other, half);
    return hear(other, "\r\n\r\n").starts_with("HTTP/1.1 503 ");
  }));
  say(first, "x");
  EXPECT_TRUE(hear(first, "xxx").starts_with("HTTP/1.1 200 ")) << "who was there is served";
  say(second, half);
  EXPECT_TRUE(hear(second, "xxx").starts_with("HTTP/1.1 200 ")) << "then there is room again";
}

TEST_F(WebShardTest, ForgetsWhoDidNotWait) {
  serve();
  WebAnswer answer;
  {
    const auto client = connect();
    say(client, post("/later", ""));
    EXPECT_TRUE(eventually([&] { return static_cast<bool>(answer = echo_.later()); }));
  }
  answer(WebResponse());
  EXPECT_TRUE(eventually([&] { return ended_ == 1; }));
}

TEST_F(WebShardTest, ClosesWhenAskedTo) {
  serve();
  for (const std::string& request : {post("/close", ""), post("/a", "", "Connection: close\r\n")}) {
    const auto client = connect();
    say(client, request + post("/never", ""));
    const std::string heard = hearEnd(client);
    EXPECT_NE(heard.find("Connection: close\r\n"), std::string::npos) << heard;
    EXPECT_EQ(heard.find("/never"), std::string::npos);
  }
}

TEST_F(WebShardTest, RefusesWhatIsNoHttpAndGoesOnWithOthers) {
  serve();
  const auto good = connect();
  for (const char* bad : {"\x16\x03\x01\x02", "GET / HTTP/1.1\n\n", "GET / HTTP/1.1\r\n\r\n",
                          "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n"
                          "Host: h\r\n\r\n"}) {
    const auto client = connect();
    say(client, std::string(bad) + "\r\n\r\n");
    const std::string heard = hearEnd(client);
    EXPECT_TRUE(heard.starts_with("HTTP/1.1 400 Bad Request\r\n")) << heard;
    EXPECT_EQ(heard.find("smuggled"), std::string::npos);
    say(good, post("/a", "still"));
    (void)hear(good, "/a still");
  }
  EXPECT_EQ(web_->counters().malformed.value(), 4u);
}

TEST_F(WebShardTest, TellsWhoSendsAllOfItBeforeReadingWhyItWasRefused) {
  serve();
  const auto client = connect();
  const std::string request = post("/a", std::string(std::size_t{8} << 20, 'x'));
  for (std::string_view rest = request; !rest.empty();) {
    pollfd ready{client.get(), POLLOUT, 0};
    ASSERT_EQ(::poll(&ready, 1, 30'000), 1);
    const ssize_t count = ::send(client.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    ASSERT_GT(count, 0) << rest.size() << " bytes were not taken";
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  const std::string heard = hearEnd(client);
  EXPECT_TRUE(heard.starts_with("HTTP/1.1 413 ")) << heard;
}

TEST_F(WebShardTest, EndsWhoIsTooSlow) {
  WebTimes times;
  times.head_ms = times.body_ms = 100;
  serve(times);
  const auto silent = connect();
  EXPECT_EQ(hearEnd(silent), "(end)");
  const auto slow = connect();
  say(slow, "POST / HTTP/1.1\r\nHost: h\r\n");
  EXPECT_TRUE(hearEnd(slow).starts_with("HTTP/1.1 408 ")) << "a head";
  const auto stuck = connect();
  say(stuck, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345");
  EXPECT_TRUE(hearEnd(stuck).starts_with("HTTP/1.1 408 ")) << "a body";
  EXPECT_EQ(web_->counters().timeouts.value(), 3u);
}

TEST_F(WebShardTest, BecomesAWebSocketWithWhatCameBehind) {
  serve();
  const auto client = connect();
  say(client,
      "GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Origin: http://elsewhere.example\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
      "\x82\x82mask" +
          std::string({'h' ^ 'm', 'i' ^ 'a'}));
  EXPECT_EQ(hear(client, "\r\n\r\n"),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            "Sec-WebSocket-Protocol: mqtt\r\n\r\n");
  EXPECT_TRUE(eventually([&] { return upgraded_ == 1; }));
  on(*shards_[0], [&] {
    std::array<char, 16> into;
    EXPECT_EQ(websocket_->read(into).bytes, 2u);
    EXPECT_EQ(std::string(into.data(), 2), "hi");
    EXPECT_FALSE(peer_.loopback) << "a page of elsewhere";
  });
}

TEST_F(WebShardTest, SaysWhyThereIsNoWebSocket) {
  serve();
  const auto client = connect();
  const std::string ask =
      "GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  say(client, ask + "Sec-WebSocket-Version: 7\r\n\r\n");
  EXPECT_NE(hear(client, "}").find("Sec-WebSocket-Version: 13\r\n"), std::string::npos);
  say(client, ask + "Sec-WebSocket-Version: 13\r\n\r\n");
  EXPECT_TRUE(hear(client, "}").starts_with("HTTP/1.1 400 "));
}

}  // namespace
}  // namespace kante::hub
