// MQTT 5.0, 4.2 and 4.13, where the transport has a say: over TCP, with the broker on its shards.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "host/base/clock.h"
#include "host/base/fd.h"
#include "host/base/log.h"
#include "host/hub/mqtt/broker.h"
#include "host/shard/callback_slot.h"
#include "host/shard/shard.h"
#include "tests/host/hub/http/frames.h"
#include "tests/host/hub/mqtt/conformance_kit.h"

namespace kante::hub {
namespace {

using mqtt::bytesOf;

class SocketConformance : public ::testing::Test {
 protected:
  SocketConformance() {
    access_.user("user");
    for (std::uint32_t i = 0; i < 2; ++i) {
      shards_.push_back(std::make_shared<Shard>(i, &slots_[i]));
      shards_.back()->start();
    }
    std::vector<Broker::Address> addresses(2);
    for (Broker::Address& one : addresses) one.host = "127.0.0.1";
    addresses[1].speaks = Broker::Address::Speaks::kHttp;
    broker_ = std::make_unique<Broker>(
        Broker::Parts{control_, log_, clock_, access_, shards_, {}, std::move(addresses), {}});
    EXPECT_TRUE(broker_->start());
    broker_->serve();
    thread_ = std::thread([this] { control_.run(); });
  }
  ~SocketConformance() override {
    std::promise<void> stopped;
    boost::asio::post(control_, [&] { broker_->stop([&] { stopped.set_value(); }); });
    stopped.get_future().wait();
    work_.reset();
    thread_.join();
    for (const auto& shard : shards_) shard->stop();
    broker_.reset();
  }

  // Fails a read after a while, so that a test that waits for nothing ends.
  FileDescriptor connect(std::size_t address = 0) const {
    FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{20, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(broker_->port(address));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    return socket;
  }
  static bool send(const FileDescriptor& socket, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  static std::string receive(const FileDescriptor& socket, std::size_t bytes) {
    std::string out(bytes, '\0');
    const ssize_t got = ::recv(socket.get(), out.data(), bytes, MSG_WAITALL);
    out.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return out;
  }
  // A whole packet; empty: the connection is over.
  static std::string packet(const FileDescriptor& socket) {
    std::string out = receive(socket, 2);
    if (out.size() < 2) return {};
    EXPECT_LT(out[1] & 0xff, 0x80) << "none of these is that long";
    return out + receive(socket, static_cast<unsigned char>(out[1]));
  }
  static bool isOver(const FileDescriptor& socket) {
    char byte = 0;
    return ::recv(socket.get(), &byte, 1, 0) == 0;  // An end, and no reset.
  }
  std::string connectPacket(Wish wish = {}) {
    return Client(model_world_, Version::k5).connectPacket(wish);
  }

  TestAccess access_;
  Log log_{Log::Format::kSilent};
  SystemClock clock_;
  std::array<CallbackSlot, 2> slots_;
  std::vector<std::shared_ptr<Shard>> shards_;
  boost::asio::io_context control_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      control_.get_executor()};
  std::unique_ptr<Broker> broker_;
  std::thread thread_;
  World model_world_;
};

TEST_F(SocketConformance, ASessionIsCarriedOverTcpHoweverItsBytesAreCut) {
  const Client model(model_world_, Version::k5);
  const std::string large(100'000, 'x');
  const std::string bytes =
      connectPacket() + Client::packetOf(0x82, bytesOf({0, 1, 0}) + Client::subscribeBody("a", 0)) +
      model.publishPacket("a", "one") + model.publishPacket("a", large, Qos::k1, 7) +
      bytesOf({0xc0, 0});
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, bytes.size()}) {
    const FileDescriptor socket = connect();
    // The small packets in pieces, the large one as it is.
    const std::size_t pieces = std::min<std::size_t>(bytes.size(), 120);
    for (std::size_t at = 0; at < pieces; at += step)
      ASSERT_TRUE(send(socket, std::string_view(bytes).substr(at, std::min(step, pieces - at))));
    ASSERT_TRUE(send(socket, std::string_view(bytes).substr(pieces)));
    EXPECT_EQ(packet(socket)[0], 0x20);
    std::string rest;
    const std::size_t wanted = 6 + 9 + (4 + 3 + 1 + large.size()) + 4 + 2;
    while (rest.size() < wanted) {
      const std::string more = receive(socket, wanted - rest.size());
      ASSERT_FALSE(more.empty());
      rest += more;
    }
    for (const std::string& part :
         {bytesOf({0x90, 4, 0, 1, 0, 0}), bytesOf({0x30, 7, 0, 1, 'a', 0}) + "one", large,
          bytesOf({0x40, 2, 0, 7}), bytesOf({0xd0, 0})})
      EXPECT_NE(rest.find(part), std::string::npos) << part.size();
  }
}

TEST_F(SocketConformance, ARefusalArrivesBeforeTheEndWhateverElseWasSaid) {
  Wish wrong;
  wrong.password = "wrong";
  const std::string more(300'000, 'x');
  const FileDescriptor socket = connect();
  ASSERT_TRUE(send(socket, connectPacket(wrong)));
  (void)send(socket, more);  // Nobody hears it, and it must not cost the answer.
  EXPECT_EQ(packet(socket), bytesOf({0x20, 3, 0, 0x86, 0}));
  EXPECT_TRUE(isOver(socket));
}

TEST_F(SocketConformance, ADisconnectArrivesBeforeTheEndWhateverElseWasSaid) {
  const FileDescriptor socket = connect();
  ASSERT_TRUE(send(socket, connectPacket(Conformance::with(packetMaximum(100)))));
  EXPECT_EQ(packet(socket)[0], 0x20);
  ASSERT_TRUE(send(socket, bytesOf({0xc0, 1, 0}) + std::string(300'000, 'x')));
  EXPECT_EQ(packet(socket), bytesOf({0xe0, 1, 0x81}));
  EXPECT_TRUE(isOver(socket));
}

TEST_F(SocketConformance, AnEndWithoutAGoodbyePublishesTheWillAndAGoodbyeDoesNot) {
  const FileDescriptor watcher = connect();
  ASSERT_TRUE(send(watcher,
                   connectPacket() +
                       Client::packetOf(0x82, bytesOf({0, 1, 0}) + Client::subscribeBody("w", 0))));
  EXPECT_EQ(packet(watcher)[0], 0x20);
  EXPECT_EQ(packet(watcher), bytesOf({0x90, 4, 0, 1, 0, 0}));
  for (const char* text : {"polite", "rude"}) {
    Wish wish = Conformance::willing("w", text);
    wish.id = text;
    const FileDescriptor car = connect();
    ASSERT_TRUE(send(car, connectPacket(wish)));
    EXPECT_EQ(packet(car)[0], 0x20);
    if (text[0] == 'r') continue;
    ASSERT_TRUE(send(car, bytesOf({0xe0, 0})));
    EXPECT_TRUE(isOver(car)) << "the server closes, too";
  }
  EXPECT_EQ(packet(watcher), bytesOf({0x30, 8, 0, 1, 'w', 0}) + "rude");
}

TEST_F(SocketConformance, AWebSocketIsOpenedForMqttAndCarriesBinaryFramesAlone) {
  const FileDescriptor socket = connect(1);
  ASSERT_TRUE(send(socket,
                   "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                   "Sec-WebSocket-Protocol: other, mqtt\r\n\r\n"));
  std::string answer;
  while (!answer.ends_with("\r\n\r\n")) {
    const std::string more = receive(socket, 1);
    ASSERT_FALSE(more.empty());
    answer += more;
  }
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 101 ")) << answer;
  EXPECT_NE(answer.find("\r\nSec-WebSocket-Protocol: mqtt\r\n"), std::string::npos) << answer;
  const std::string bytes = connectPacket() + bytesOf({0xc0, 0});
  ASSERT_TRUE(send(socket, clientFrame(0x02, bytes.substr(0, 3)) +
                               clientFrame(0x80, bytes.substr(3, 20)) +
                               clientFrame(0x82, bytes.substr(23))));
  std::string carried = packet(socket);
  EXPECT_EQ(carried.substr(0, 1), "\x82");
  EXPECT_EQ(carried[2], 0x20) << "CONNACK";
  if (!carried.ends_with("\xd0" + std::string(1, '\0'))) {
    EXPECT_EQ(packet(socket), bytesOf({0x82, 2, 0xd0, 0}));
  }
  ASSERT_TRUE(send(socket, clientFrame(0x81, bytesOf({0xc0, 0}))));
  EXPECT_EQ(packet(socket).substr(2, 1), "\xe0") << "a frame of text ends it: DISCONNECT";
  EXPECT_EQ(packet(socket), bytesOf({0x88, 2, 3, 0xeb}));
  ASSERT_TRUE(send(socket, clientFrame(0x88, bytesOf({3, 0xeb}))));
  EXPECT_TRUE(isOver(socket));
}

}  // namespace
}  // namespace kante::hub
