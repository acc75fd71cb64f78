// Tables of routes as deployments follow one another: when one that is left behind may go, what its
// links are made for, what they count.
#include "host/placement/route_table.h"

#include "tests/host/shard/shard_fixture.h"

namespace kante {
namespace {

class RouteTables : public ShardFixture {
 protected:
  RouteTables() {
    source_.name = "a";
    source_.outputs = {"out"};
    sink_.name = "b";
    sink_.inputs = {"in"};
    route_.name = "a-b";
    route_.text =
        "FROM /messages/modules/a/outputs/out INTO BrokeredEndpoint(\"/modules/b/inputs/in\")";
  }

  // The table that follows this one, with or without the one route.
  std::shared_ptr<RouteTable> after(const RouteTable* previous, bool routed = true) {
    std::vector<RouteSpec> routes;
    if (routed) routes.push_back(route_);
    auto made = RouteTable::make(routes, {{&source_, at_source_}, {&sink_, at_sink_}},
                                 {"edge", sources_, nullptr, nullptr, previous});
    EXPECT_TRUE(made.has_value()) << made.error().text;
    return *made;
  }
  static Link& linkOf(RouteTable& table) {
    return *table.outputsOf("a")->front().always.front().link;
  }

  ModuleSpec source_, sink_;
  RouteSpec route_;
  SourceTable sources_;
  std::shared_ptr<Lane> at_source_ = lane(0, "a"), at_sink_ = lane(1, "b");
};

TEST_F(RouteTables, WaitForWhatTheyQueued) {
  const auto first = after(nullptr);
  EXPECT_TRUE(first->drained(nullptr));
  on(*shards_[0], [&] { send(*shards_[0], linkOf(*first), 1); });
  handOver();
  const auto second = after(first.get());
  EXPECT_EQ(&linkOf(*second), &linkOf(*first));
  EXPECT_TRUE(first->drained(second.get())) << "the second keeps the link";
  const auto third = after(second.get(), false);
  EXPECT_FALSE(second->drained(third.get()));
  EXPECT_FALSE(first->drained(third.get())) << "neither keeps it for the other: both could go now";
  on(*shards_[1], [&] { at_sink_->close(); });
  EXPECT_TRUE(first->drained(third.get()));
  EXPECT_TRUE(second->drained(nullptr));
}

// A locked instruction for each message is what others on other shards would cost it.
TEST_F(RouteTables, LinkIsForSeveralShardsOnlyIfWhoSendsByItIsElsewhere) {
  ModuleSpec other;
  other.name = "c";
  other.outputs = {"out"};
  const auto linkWith = [&](const std::shared_ptr<Lane>& source,
                            const std::shared_ptr<Lane>& third) {
    auto made =
        RouteTable::make({route_}, {{&source_, source}, {&sink_, at_sink_}, {&other, third}},
                         {"edge", sources_, nullptr, nullptr, nullptr});
    EXPECT_TRUE(made.has_value()) << made.error().text;
    return linkOf(**made).crossing;
  };
  EXPECT_EQ(linkWith(lane(1, "a"), lane(0, "c")), Link::Crossing::kNo);
  EXPECT_EQ(linkWith(lane(0, "a"), lane(1, "c")), Link::Crossing::kYes);
  route_.text = "FROM /messages/* INTO BrokeredEndpoint(\"/modules/b/inputs/in\")";
  EXPECT_EQ(linkWith(lane(1, "a"), lane(0, "c")), Link::Crossing::kYes);
}

TEST_F(RouteTables, CountWhatLinksDeliveredThatAreGone) {
  auto first = after(nullptr);
  for (std::uint64_t n = 1; n <= 3; ++n)
    on(*shards_[0], [&] { send(*shards_[0], linkOf(*first), n); });
  handOver();
  on(*shards_[1], [&] { at_sink_->close(); });
  EXPECT_EQ(first->status().front().messages, 3u);
  route_.queue_messages = 7;  // Another link, and the same counts.
  const auto second = after(first.get());
  EXPECT_NE(&linkOf(*second), &linkOf(*first));
  EXPECT_EQ(second->status().front().messages, 3u);
  first.reset();
  EXPECT_EQ(second->status().front().messages, 3u);
}

}  // namespace
}  // namespace kante
