#include "host/hub/http/websocket_transport.h"

#include <gtest/gtest.h>

#include "tests/host/hub/http/frames.h"
#include "tests/host/hub/mqtt/engine_kit.h"

namespace kante::hub {
namespace {

class WebSocketTransportTest : public ::testing::Test {
 protected:
  std::string read() {
    std::string out;
    std::array<char, 64> into;
    for (;;) {
      const auto moved = transport_.read(into);
      if (moved.flow != Transport::Flow::kOk) {
        flow_ = moved.flow;
        return out;
      }
      out.append(into.data(), moved.bytes);
    }
  }
  Transport::Moved write(std::string text) {
    const iovec part{text.data(), text.size()};
    return transport_.write(std::span(&part, 1));
  }

  std::shared_ptr<Wire> wire_ = std::make_shared<Wire>();
  WebSocketTransport transport_{std::make_unique<WireTransport>(wire_), clientFrame(0x82, "early")};
  Transport::Flow flow_ = Transport::Flow::kOk;
};

TEST_F(WebSocketTransportTest, BeginsWithWhatCameBehindTheRequest) {
  wire_->to_broker = clientFrame(0x82, std::string(500, 'x'));
  EXPECT_EQ(read(), "early" + std::string(500, 'x'));
  EXPECT_EQ(flow_, Transport::Flow::kAgain);
}

TEST_F(WebSocketTransportTest, AnswersTheLastPing) {
  wire_->to_broker = clientFrame(0x89, "one") + clientFrame(0x89, "two");
  EXPECT_EQ(read(), "early");
  EXPECT_EQ(wire_->to_client, "\x8a\x03two");
}

TEST_F(WebSocketTransportTest, WritesOneFrameHoweverSlowly) {
  const std::string payload(40'000, 'p');
  std::string all;
  for (std::size_t at = 0; at < payload.size();) {
    wire_->room = 777;
    const auto moved = write(payload.substr(at));
    if (moved.flow == Transport::Flow::kOk) at += moved.bytes;
    // A ping in the middle waits for the end of the frame.
    if (at > 5000 && at < 6000) {
      wire_->to_broker = clientFrame(0x89, "q");
      (void)read();
    }
    all += std::exchange(wire_->to_client, {});
  }
  wire_->room = SIZE_MAX;
  EXPECT_EQ(transport_.writeOwn(), Transport::Flow::kOk);
  all += wire_->to_client;
  EXPECT_EQ(all, "\x82\x7e\x9c\x40" + payload + "\x8a\x01q");
}

TEST_F(WebSocketTransportTest, WritesWhatIsLargeFromWhereItIs) {
  std::string head = "head";
  std::string payload(30'000, 'p');
  const std::array<iovec, 2> parts{iovec{head.data(), head.size()},
                                   iovec{payload.data(), payload.size()}};
  EXPECT_EQ(transport_.write(parts).bytes, 30'004u);
  EXPECT_EQ(wire_->to_client, "\x82\x7e\x75\x34head" + payload);
}

TEST_F(WebSocketTransportTest, NeverPromisesMoreThanItHas) {
  wire_->room = 3;  // A part of the head.
  EXPECT_EQ(write(std::string(300, 'a')).flow, Transport::Flow::kAgain);
  wire_->room = SIZE_MAX;
  EXPECT_EQ(write(std::string(300, 'a') + "next").bytes, 300u);
  EXPECT_EQ(write("next").bytes, 4u);
  EXPECT_EQ(wire_->to_client,
            std::string("\x82\x7e\x01\x2c", 4) + std::string(300, 'a') + "\x82\x04next");
}

TEST_F(WebSocketTransportTest, AnswersAGoodbye) {
  wire_->to_broker = clientFrame(0x82, "last") + clientFrame(0x88, "\x03\xe8");
  EXPECT_EQ(read(), "earlylast");
  EXPECT_EQ(flow_, Transport::Flow::kClosed);
  EXPECT_EQ(transport_.fault(), nullptr);
  EXPECT_FALSE(transport_.expectsGoodbye());
  transport_.shutDown();
  EXPECT_EQ(wire_->to_client, "\x88\x02\x03\xe8");
}

TEST_F(WebSocketTransportTest, SaysGoodbyeAndHearsTheAnswer) {
  transport_.shutDown();
  EXPECT_EQ(wire_->to_client, "\x88\x02\x03\xe8");
  EXPECT_TRUE(transport_.expectsGoodbye());
  wire_->to_broker = clientFrame(0x88, "\x03\xe8");
  (void)read();
  EXPECT_EQ(flow_, Transport::Flow::kClosed);
}

TEST_F(WebSocketTransportTest, SaysHowItWasBroken) {
  wire_->to_broker = clientFrame(0x81, "text") + "and more";
  EXPECT_EQ(read(), "early");
  EXPECT_EQ(flow_, Transport::Flow::kClosed);
  ASSERT_NE(transport_.fault(), nullptr);
  transport_.shutDown();
  EXPECT_EQ(wire_->to_client, "\x88\x02\x03\xeb");
  EXPECT_EQ(read(), "") << "what still comes is read away";
  EXPECT_EQ(flow_, Transport::Flow::kAgain);
}

// ---- with the broker behind it

TEST(WebSocketSessionTest, CarriesASession) {
  World world;
  world.access.user("user");
  auto wire = std::make_shared<Wire>();
  Client plain(world, Version::k311);
  ASSERT_EQ(plain.connect({.id = "plain"}).reason, Reason::kSuccess);
  ASSERT_EQ(plain.subscribe("t").reasons, std::vector<unsigned>{0});
  const std::string connect = plain.connectPacket({.id = "web"});
  world.engine().accept(
      std::make_unique<WebSocketTransport>(std::make_unique<WireTransport>(wire),
                                           clientFrame(0x02, connect.substr(0, 5))),
      Peer{});
  wire->to_broker = clientFrame(0x80, connect.substr(5));
  world.settle();
  EXPECT_EQ(wire->to_client, std::string("\x82\x04\x20\x02\0\0", 6));
  // A packet in two frames, and two packets in one.
  const std::string hello = plain.publishPacket("t", "hello");
  wire->to_broker = clientFrame(0x82, hello.substr(0, 4)) +
                    clientFrame(0x82, hello.substr(4) + plain.publishPacket("t", "again"));
  world.settle();
  EXPECT_EQ(plain.payloads(), (std::vector<std::string>{"hello", "again"}));
  wire->to_client.clear();
  wire->to_broker = clientFrame(0x82, Client::packetOf(0xe0, ""));
  world.settle();
  EXPECT_EQ(wire->to_client, "\x88\x02\x03\xe8") << "a DISCONNECT is answered with a goodbye";
  wire->to_broker = clientFrame(0x88, "\x03\xe8");
  world.settle();
  EXPECT_EQ(world.closed, 1);
}

TEST(WebSocketSessionTest, CountsWhoBreaksIt) {
  World world;
  auto wire = std::make_shared<Wire>();
  world.engine().accept(
      std::make_unique<WebSocketTransport>(std::make_unique<WireTransport>(wire), ""), Peer{});
  wire->to_broker =
      "\x82\x03"
      "abc";
  world.settle();
  EXPECT_EQ(world.refused(Refusal::kMalformed), 1u);
  ASSERT_EQ(world.reports.size(), 1u);
  EXPECT_NE(world.reports[0].find("a frame without a mask"), std::string::npos);
  EXPECT_EQ(wire->to_client, "\x88\x02\x03\xea");
  wire->client_gone = true;
  world.settle();
  EXPECT_EQ(world.closed, 1);
}

}  // namespace
}  // namespace kante::hub
