// A name server that does not answer.
#include <gmock/gmock.h>

#include <future>

#include "tests/host/uplink/links/link_fixture.h"

namespace kante {
namespace {

using ::testing::HasSubstr;

// Remembers what the client said.
class Listener : public ClientHandler {
 public:
  void onConnected() override { ++connects; }
  void onForgotten() override {}
  void onDisconnected(const std::string& why) override {
    const std::lock_guard lock(mutex_);
    reason_ = why;
  }
  void onAlarm(const std::string&) override {}
  void onArrival(const Arrival&) override {}
  void onPublished(std::uint64_t, std::uint8_t) override {}
  void onTurn() override {}
  std::string reason() {
    const std::lock_guard lock(mutex_);
    return reason_;
  }

  std::atomic<int> connects{0};

 private:
  std::mutex mutex_;
  std::string reason_;
};

class NameServerTest : public LinkTest {
 protected:
  NameServerTest() : released_(release_.get_future().share()) {}
  ~NameServerTest() override { release_.set_value(); }

  std::unique_ptr<MosquittoClient> client(std::uint16_t port, int answers) {
    MosquittoOptions options;
    options.host = "broker.example";
    options.port = port;
    options.client_id = "kante-edge-1";
    options.times = quick();
    options.times.resolve_ms = 100;
    options.lookup = [released = released_, left = std::make_shared<std::atomic<int>>(answers)](
                         const std::string&) -> Result<Addresses> {
      if ((*left)-- <= 0) released.wait();
      return Addresses{"127.0.0.1"};
    };
    return std::move(*MosquittoClient::make(std::move(options)));
  }

  std::promise<void> release_;
  const std::shared_future<void> released_;
  Listener listener_;
};

TEST_F(NameServerTest, IsSaidAndHoldsNobodyWhoStops) {
  const auto client = this->client(1, 0);
  ASSERT_FALSE(client->start(listener_).has_error());
  EXPECT_TRUE(eventually([&] {
    return listener_.reason() == "broker.example: the name server does not answer";
  })) << listener_.reason();
  client->stop();
  EXPECT_EQ(client->state(), LinkState::kStopped) << "while the lookup still hangs";
}

TEST_F(NameServerTest, DoesNotKeepTheGatewayFromABrokerThatItKnows) {
  Mosquitto broker;
  const auto client = this->client(broker.port(), 1);
  ASSERT_FALSE(client->start(listener_).has_error());
  ASSERT_TRUE(eventually([&] { return listener_.connects == 1; }));
  broker.stop();
  broker.start();
  EXPECT_TRUE(eventually([&] { return listener_.connects == 2; })) << listener_.reason();
}

}  // namespace
}  // namespace kante
