#include "host/placement/topic_routes.h"

#include <algorithm>

#include "host/base/metrics.h"
#include "host/shard/mail.h"

namespace kante {

// From a shard that has no broker: a module's own.
class TopicRoutes::Letter final : public Mail {
 public:
  Letter(TopicPart& to, Onward what) : to_(to), what_(std::move(what)) {}
  void arrive() override { to_.publish(what_); }

 private:
  TopicPart& to_;
  const Onward what_;
};

TopicRoutes::TopicRoutes(const std::string& gateway_id, SourceTable& sources,
                         const std::vector<std::shared_ptr<Shard>>& shards) {
  for (const auto& shard : shards)
    parts_.push_back(std::make_unique<TopicPart>(gateway_id, sources, shard, counts_));
}

TopicRoutes::~TopicRoutes() = default;

std::vector<hub::Routing*> TopicRoutes::routings() const {
  std::vector<hub::Routing*> out;
  for (const auto& part : parts_) out.push_back(part.get());
  return out;
}

void TopicRoutes::activate(const std::shared_ptr<RouteTable>& table) {
  for (const auto& part : parts_)
    part->shard().post([to = part.get(), table] { to->activate(table); });
}

void TopicRoutes::publish(Shard& from, Onward what) {
  const auto here = std::find_if(parts_.begin(), parts_.end(),
                                 [&](const auto& part) { return &part->shard() == &from; });
  if (here != parts_.end()) return (*here)->publish(what);
  TopicPart& to = *parts_.front();
  to.shard().take(std::make_unique<Letter>(to, std::move(what)));
}

void TopicRoutes::collect(MetricWriter& out) const {
  const auto number = [](const std::atomic<std::uint64_t>& count) {
    return static_cast<double>(count.load(std::memory_order_relaxed));
  };
  out.counter("kante_topic_messages_total", "Messages of topics and devices that routes took", {},
              number(counts_.taken));
  out.counter("kante_topic_held_total", "How often a client was not read until a route had room",
              {}, number(counts_.held));
  out.counter("kante_topic_refused_total", "Messages that broke a rule that routes have", {},
              number(counts_.refused));
}

}  // namespace kante
