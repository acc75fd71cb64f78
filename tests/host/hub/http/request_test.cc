#include "host/hub/http/request.h"

#include <gtest/gtest.h>

#include <tuple>

namespace kante::hub {
namespace {

using State = WebRequestReader::State;

std::string head(const std::string& more, const std::string& line = "POST /a/b?c=d HTTP/1.1") {
  return line + "\r\nHost: h\r\n" + more + "\r\n";
}

unsigned refusalOf(const std::string& bytes) {
  WebRequestReader reader;
  (void)reader.take(bytes);
  return reader.state() == State::kRefused ? reader.status() : 0;
}

TEST(WebRequestTest, IsReadInAnyPieces) {
  const std::string text = head("X-Name:  some value \r\nContent-Length: 5\r\n") + "hello";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    WebRequestReader reader;
    for (std::size_t at = 0; at < text.size(); at += step)
      (void)reader.take(std::string_view(text).substr(at, step));
    ASSERT_EQ(reader.state(), State::kDone) << step;
    EXPECT_TRUE(reader.keepsAlive());
    const WebRequest request = reader.finish();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path(), "/a/b");
    EXPECT_EQ(request.query(), "c=d");
    EXPECT_EQ(*request.field("x-name"), "some value");
    EXPECT_EQ(request.body, "hello");
    EXPECT_FALSE(reader.begun());
  }
}

TEST(WebRequestTest, LeavesTheNextOneAlone) {
  const std::string first = head("Connection: close\r\n");
  const std::string second = head("Content-Length: 2\r\n") + "ok";
  WebRequestReader reader;
  EXPECT_EQ(reader.take(first + second), first.size());
  EXPECT_FALSE(reader.keepsAlive());
  EXPECT_EQ(reader.finish().body, "");
  EXPECT_EQ(reader.take(second + "G"), second.size());
  EXPECT_EQ(reader.finish().body, "ok");
}

TEST(WebRequestTest, TakesABodyInChunks) {
  const std::string text =
      head("Transfer-Encoding: Chunked\r\n") + "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    WebRequestReader reader;
    for (std::size_t at = 0; at < text.size(); at += step)
      (void)reader.take(std::string_view(text).substr(at, step));
    ASSERT_EQ(reader.state(), State::kDone) << step;
    EXPECT_EQ(reader.finish().body, "hello0123456789");
  }
}

TEST(WebRequestTest, KnowsWhoWaitsToBeToldToGoOn) {
  WebRequestReader reader;
  (void)reader.take(head("Expect: 100-Continue\r\nContent-Length: 2\r\n"));
  EXPECT_EQ(reader.state(), State::kBody);
  EXPECT_TRUE(reader.expectsContinue());
}

TEST(WebRequestTest, RefusesWhatTwoReadersMayReadDifferently) {
  const std::string chunked = head("Transfer-Encoding: chunked\r\n");
  const std::tuple<const char*, unsigned, std::string> kCases[] = {
      {"a length beside a coding", 400,
       head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")},
      {"a coding beside a length", 400,
       head("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")},
      {"two lengths", 400, head("Content-Length: 5\r\nContent-Length: 5\r\n")},
      {"a list of lengths", 400, head("Content-Length: 5, 5\r\n")},
      {"a length with a sign", 400, head("Content-Length: +5\r\n")},
      {"a length below nothing", 400, head("Content-Length: -5\r\n")},
      {"no length", 400, head("Content-Length: \r\n")},
      {"a length in hexadecimal", 400, head("Content-Length: 0x5\r\n")},
      {"two codings", 400, head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
      {"another coding", 501, head("Transfer-Encoding: gzip, chunked\r\n")},
      {"a coding with a control character", 400,
       head("Transfer-Encoding: \x0b"
            "chunked\r\n")},
      {"a space before the colon", 400, head("Content-Length : 5\r\n")},
      {"a folded line", 400, head("X-A: b\r\n c\r\n")},
      {"a bare line feed", 400, head("X-A: b\nContent-Length: 5\r\n")},
      {"a bare carriage return", 400, head("X-A: b\rContent-Length: 5\r\n")},
      {"two hosts", 400, head("Host: i\r\n")},
      {"no host", 400, "GET / HTTP/1.1\r\n\r\n"},
      {"a field without a name", 400, head(": b\r\n")},
      {"no colon", 400, head("X-A\r\n")},
      {"an extension of a chunk", 400, chunked + "5;a=b\r\nhello\r\n"},
      {"a chunk with a sign", 400, chunked + "-5\r\nhello\r\n"},
      {"a chunk in no number", 400, chunked + "\r\nhello\r\n"},
      {"a chunk with a bare line feed", 400, chunked + "5\nhello\r\n"},
      {"a chunk that is longer than it says", 400, chunked + "4\r\nhello\r\n"},
      {"a chunk with too many digits", 400, chunked + "00000000000000005\r\nhello\r\n"},
      {"fields behind the body", 400, chunked + "0\r\nContent-Length: 5\r\n\r\n"},
  };
  for (const auto& [what, status, text] : kCases) EXPECT_EQ(refusalOf(text), status) << what;
}

TEST(WebRequestTest, RefusesWhatIsNoRequest) {
  EXPECT_EQ(refusalOf("\x16\x03\x01"), 400u) << "TLS where none is spoken, by its first byte";
  EXPECT_EQ(refusalOf(std::string("\x10\x0c\0\4MQTT", 8)), 400u) << "MQTT";
  EXPECT_EQ(refusalOf(head("", "GET /")), 400u);
  EXPECT_EQ(refusalOf(head("", "GET  HTTP/1.1")), 400u);
  EXPECT_EQ(refusalOf(head("", "GET http://h/ HTTP/1.1")), 400u);
  EXPECT_EQ(refusalOf(head("", "GET /a b HTTP/1.1")), 400u);
  EXPECT_EQ(refusalOf(head("", "G(T / HTTP/1.1")), 400u);
  EXPECT_EQ(refusalOf(head("", "GET / HTTP/1.0")), 505u);
  EXPECT_EQ(refusalOf(head("", "GET / SIP/2.0")), 400u);
  EXPECT_EQ(refusalOf(head("Expect: miracles\r\n")), 417u);
}

TEST(WebRequestTest, IsBounded) {
  EXPECT_EQ(refusalOf(head("X: " + std::string(WebRequestReader::kHeadBytesMax, 'x') + "\r\n")),
            431u);
  EXPECT_EQ(refusalOf(std::string(WebRequestReader::kHeadBytesMax + 1, 'x')), 431u);
  std::string many;
  for (std::size_t i = 0; i < WebRequestReader::kFieldsMax; ++i) many += "A: b\r\n";
  EXPECT_EQ(refusalOf(head(many)), 431u);
  EXPECT_EQ(refusalOf(head("Content-Length: 262145\r\n")), 413u);
  EXPECT_EQ(refusalOf(head("Content-Length: 99999999999999999999\r\n")), 413u);
  EXPECT_EQ(refusalOf(head("Transfer-Encoding: chunked\r\n") + "40001\r\n"), 413u);
  std::string chunks = head("Transfer-Encoding: chunked\r\n");
  chunks += "40000\r\n" + std::string(262'144, 'x') + "\r\n";
  WebRequestReader reader;
  (void)reader.take(chunks);
  (void)reader.take("1\r\n");
  EXPECT_EQ(reader.status(), 413u);
}

TEST(WebRequestTest, FindsATokenInAList) {
  WebRequestReader reader;
  (void)reader.take(head("Connection: keep-alive ,Upgrade\r\nconnection: x\r\n"));
  const WebRequest request = reader.finish();
  EXPECT_TRUE(request.hasToken("connection", "upgrade"));
  EXPECT_TRUE(request.hasToken("connection", "X"));
  EXPECT_FALSE(request.hasToken("connection", "grade"));
}

}  // namespace
}  // namespace kante::hub
