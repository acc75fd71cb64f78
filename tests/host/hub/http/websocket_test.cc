#include "host/hub/http/websocket.h"

#include <gtest/gtest.h>

#include "tests/host/hub/http/frames.h"

namespace kante::hub {
namespace {

constexpr const char* kKey = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

std::optional<Upgrade> ask(const std::string& target, const std::string& fields,
                           const std::string& method = "GET") {
  WebRequestReader reader;
  (void)reader.take(method + " " + target + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n");
  return upgradeOf(reader.finish());
}

std::string asking(const std::string& protocol = "mqtt", const std::string& key = kKey,
                   const std::string& version = "13") {
  return "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: " +
         version + "\r\nSec-WebSocket-Protocol: " + protocol + "\r\n" + key;
}

TEST(WebSocketTest, IsOpenedWhereMqttIs) {
  for (const char* target : {"/", "/mqtt", "/$iothub/websocket", "/%24iothub/websocket",
                             "/$iothub/websocket?iothub-no-client-cert=true"}) {
    const auto upgrade = ask(target, asking("AMQPWSB10, mqtt"));
    ASSERT_TRUE(upgrade) << target;
    EXPECT_EQ(upgrade->status, 101u) << target;
    EXPECT_EQ(upgrade->accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") << "as RFC 6455 has it";
  }
}

TEST(WebSocketTest, IsRefusedWithTheStatusThatSaysWhy) {
  EXPECT_EQ(ask("/elsewhere", asking())->status, 404u);
  EXPECT_EQ(ask("/mqtt", asking("AMQPWSB10"))->status, 400u) << "AMQP is not spoken yet";
  EXPECT_EQ(ask("/mqtt", asking("mqttv3.1"))->status, 400u);
  EXPECT_EQ(ask("/mqtt", asking("mqtt", ""))->status, 400u);
  EXPECT_EQ(ask("/mqtt", asking("mqtt", "Sec-WebSocket-Key: dGhl\r\n"))->status, 400u);
  EXPECT_EQ(ask("/mqtt", asking("mqtt", kKey, "8"))->status, 426u);
  EXPECT_EQ(ask("/mqtt", asking(), "POST")->status, 400u);
  EXPECT_FALSE(ask("/mqtt", "Upgrade: h2c\r\nConnection: Upgrade\r\n"));
  EXPECT_FALSE(ask("/mqtt", "Upgrade: websocket\r\n"));
}

struct Decoded {
  WebSocketFrames frames;
  std::string carried;
};
Decoded decode(std::string bytes, std::size_t step = SIZE_MAX) {
  Decoded out;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t count = std::min(step, bytes.size() - at);
    out.carried.append(bytes, at, out.frames.decode(std::span(bytes.data() + at, count)));
    at += count;
  }
  return out;
}

TEST(WebSocketTest, CarriesBytesWhereverFramesBeginAndEnd) {
  const std::string large(70'000, 'l');
  const std::string bytes = clientFrame(0x02, "ab") + clientFrame(0x89, "are you there") +
                            clientFrame(0x00, "") + clientFrame(0x80, "cd") +
                            clientFrame(0x82, std::string(300, 'm')) + clientFrame(0x82, large) +
                            clientFrame(0x8a, "");
  for (const std::size_t step : {std::size_t{1}, std::size_t{3}, std::size_t{1000}, SIZE_MAX}) {
    Decoded decoded = decode(bytes, step);
    EXPECT_EQ(decoded.carried, "abcd" + std::string(300, 'm') + large) << step;
    EXPECT_EQ(decoded.frames.takePing(), "are you there");
    EXPECT_FALSE(decoded.frames.takePing());
    EXPECT_EQ(decoded.frames.fault(), nullptr);
  }
}

TEST(WebSocketTest, HearsAGoodbye) {
  const auto decoded = decode(clientFrame(0x82, "ab") +
                              clientFrame(0x88,
                                          "\x03\xe9"
                                          "bye") +
                              clientFrame(0x82, "later"));
  EXPECT_EQ(decoded.carried, "ab");
  EXPECT_TRUE(decoded.frames.closed());
  EXPECT_EQ(static_cast<int>(decoded.frames.closeCode()), 1001);
  EXPECT_EQ(decode(clientFrame(0x88, "")).frames.closeCode(), WebSocketCode::kNoStatus);
  EXPECT_EQ(static_cast<int>(decode(clientFrame(0x88, "\x0f\xa0")).frames.closeCode()), 4000);
}

TEST(WebSocketTest, KnowsWhatBreaksTheProtocol) {
  const std::pair<std::string, WebSocketCode> kCases[] = {
      {"\x82\x03"
       "abc",
       WebSocketCode::kProtocolError},  // No mask.
      {clientFrame(0x81, "text"), WebSocketCode::kNotBinary},
      {clientFrame(0xc2, "a"), WebSocketCode::kProtocolError},  // A reserved bit.
      {clientFrame(0x83, "a"), WebSocketCode::kProtocolError},  // Unknown kinds.
      {clientFrame(0x8b, "a"), WebSocketCode::kProtocolError},
      {clientFrame(0x80, "a"), WebSocketCode::kProtocolError},  // Continues nothing.
      {clientFrame(0x02, "a") + clientFrame(0x82, "b"), WebSocketCode::kProtocolError},
      {clientFrame(0x09, "a"), WebSocketCode::kProtocolError},  // A ping in fragments.
      {clientFrame(0x89, std::string(126, 'p')), WebSocketCode::kProtocolError},
      {clientFrame(0x88, "\x03"), WebSocketCode::kProtocolError},      // Half a code.
      {clientFrame(0x88, "\x03\xed"), WebSocketCode::kProtocolError},  // 1005.
      {clientFrame(0x88, "\x03\xe8\xff"), WebSocketCode::kNotUtf8},
      {std::string("\x82\xfe\x00\x05"
                   "mask",
                   8),
       WebSocketCode::kProtocolError},  // 5 in two bytes.
      {std::string("\x82\xff\0\0\0\0\0\0\1\0mask", 14), WebSocketCode::kProtocolError},
      {std::string("\x82\xff\x80\0\0\0\0\0\0\0mask", 14), WebSocketCode::kProtocolError},
  };
  for (const auto& [bytes, code] : kCases) {
    for (const std::size_t step : {std::size_t{1}, SIZE_MAX}) {
      const auto decoded = decode(bytes + clientFrame(0x82, "more"), step);
      ASSERT_NE(decoded.frames.fault(), nullptr) << static_cast<int>(bytes[0]);
      EXPECT_EQ(decoded.frames.closeCode(), code) << decoded.frames.fault();
      EXPECT_EQ(decoded.carried.find("more"), std::string::npos);
    }
  }
}

TEST(WebSocketTest, WritesHeadsInTheirShortestForm) {
  for (const auto& [size, head] : {std::pair<std::size_t, std::string>{125, "\x82\x7d"},
                                   {126, std::string("\x82\x7e\0\x7e", 4)},
                                   {65'535, "\x82\x7e\xff\xff"},
                                   {65'536, std::string("\x82\x7f\0\0\0\0\0\1\0\0", 10)}}) {
    std::string out;
    appendWebSocketHead(out, WebSocketKind::kBinary, size);
    EXPECT_EQ(out, head) << size;
  }
  std::string out;
  appendWebSocketClose(out, WebSocketCode::kProtocolError);
  appendWebSocketClose(out, WebSocketCode::kNoStatus);
  EXPECT_EQ(out, std::string("\x88\x02\x03\xea\x88\0", 6));
}

}  // namespace
}  // namespace kante::hub
