// Telemetry over HTTPS from its request to the disk, through the parts of a gateway: 204 comes
// behind the commit.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <optional>

#include "host/base/durable_map.h"
#include "host/hub/http/device_endpoints.h"
#include "host/hub/iothub/contract.h"
#include "host/placement/route_table.h"
#include "host/placement/store_sink.h"
#include "host/placement/topic_routes.h"
#include "tests/host/shard/shard_fixture.h"
#include "tests/host/store/store_fixture.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

class Car final : public hub::Principal {
 public:
  const std::string& name() const override { return name_; }
  bool mayPublish(std::string_view) const override { return true; }
  bool maySubscribe(std::string_view) const override { return true; }

 private:
  const std::string name_ = "device/car";
};

class OneCar final : public hub::Access {
 public:
  hub::Admission authenticate(const hub::Credentials&) const override { return {}; }
  hub::Admission verify(const hub::RequestCredentials&) const override {
    return {std::make_shared<Car>(), mqtt::Reason::kSuccess};
  }
  std::shared_ptr<const hub::Principal> current(const hub::Principal&) const override {
    return std::make_shared<Car>();
  }
};

class TelemetryCommitTest : public ShardFixture {
 protected:
  void SetUp() override {
    StoreOptions options;
    options.directory = temp_.path() + "/store";
    options.max_bytes = 4u << 20;
    store_ = *Store::open(options, clock_, log_);
    queue_ = *store_->queue("upstream");
    sink_.emplace(std::make_shared<StoreDoor>(*store_), *queue_);
    RouteSpec spec;
    spec.name = "up";
    spec.text = "FROM /messages/* INTO $upstream";
    topics_.emplace("edge", sources_, std::vector{shards_[0]},
                    [this](auto task) { boost::asio::post(control_, std::move(task)); });
    topics_->activate(
        *RouteTable::make({spec}, {}, {"edge", sources_, &*sink_, nullptr, nullptr, &*topics_}));
    twins_ = *Twins::open(map_);
    contract_ = *hub::Contract::open(
        {control_, *twins_, methods_, *store_, clock_, access_, "edge",
         [](const auto&, const auto&) {},
         [this](const std::string& principal, hub::DeviceMessage message, auto done) {
           topics_->send(principal, std::move(message), std::move(done));
         }});
    endpoints_.emplace(hub::DeviceEndpoints::Parts{control_, access_, *contract_, "edge"});
  }
  void TearDown() override {
    topics_->activate(nullptr);
    handOver();
  }
  // What the control thread and the shard have to do.
  void run() {
    for (int round = 0; round < 3; ++round) {
      control_.restart();
      control_.poll();
      on(*shards_[0], [] {});
    }
    control_.restart();
    control_.poll();
  }

  TempDirectory temp_;
  SystemClock clock_;
  Log log_{Log::Format::kSilent};
  boost::asio::io_context control_;
  std::unique_ptr<Store> store_;
  DurableQueue* queue_ = nullptr;
  SourceTable sources_;
  std::optional<StoreSink> sink_;
  std::optional<TopicRoutes> topics_;
  MemoryMap map_;
  std::unique_ptr<Twins> twins_;
  Methods methods_{control_};
  OneCar access_;
  std::unique_ptr<hub::Contract> contract_;
  std::optional<hub::DeviceEndpoints> endpoints_;
};

TEST_F(TelemetryCommitTest, NoRequestIsAnsweredBeforeItsMessageIsOnDisk) {
  std::promise<void> is_held;
  std::promise<void> go;
  store_->keyValue().get("area", "key", [&](const auto&) {  // The store's thread stands still.
    is_held.set_value();
    go.get_future().wait();
  });
  is_held.get_future().wait();
  std::optional<hub::WebResponse> answer;
  const auto groups = store_->status().groups;
  endpoints_->handle({"POST", "/devices/car/messages/events?api-version=1", {}, "21"}, {},
                     [&](hub::WebResponse response) { answer = std::move(response); });
  run();
  EXPECT_EQ(topics_->counts().taken.load(), 1u) << "it is with the store";
  EXPECT_FALSE(answer) << "the store has not committed";
  go.set_value();
  EXPECT_TRUE(eventually([&] {
    run();
    return answer.has_value();
  }));
  EXPECT_EQ(answer->status, 204u) << answer->body;
  EXPECT_GT(store_->status().groups, groups);
  EXPECT_EQ(queue_->messages(), 1u);
}

}  // namespace
}  // namespace kante
