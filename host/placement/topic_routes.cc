#include "host/placement/topic_routes.h"

#include <algorithm>
#include <utility>

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
                         const std::vector<std::shared_ptr<Shard>>& shards, Post control,
                         const FromBelow& below)
    : repeated_(below.repeated),
      control_(std::move(control)),
      sending_(std::make_shared<std::atomic<std::uint32_t>>(0)) {
  for (const auto& shard : shards)
    parts_.push_back(std::make_unique<TopicPart>(gateway_id, sources, shard, counts_, below));
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

// One message on its way; whoever it waits for has a share of it.
struct TopicRoutes::Sending {
  ~Sending() { sending->fetch_sub(1); }
  void finish(const Status& status) {
    if (done) control([done = std::exchange(done, nullptr), status] { done(status); });
  }
  void close() {
    if (open.fetch_sub(1) != 1) return;
    finish(lost.load() ? Status(fail(Errc::kLimit, principal + ": a queue has no room"))
                       : Status());
  }

  TopicPart& part;
  Post control;
  std::shared_ptr<std::atomic<std::uint32_t>> sending;
  std::string principal;
  hub::DeviceMessage said;
  hub::DeviceApi::Done done;
  std::int64_t until_ns = 0;
  std::atomic<std::uint32_t> open{1};  // Who has not answered yet, and the attempt itself.
  std::atomic<bool> lost{false};
};

class TopicRoutes::SendingSender final : public hub::Routing::Sender {
 public:
  explicit SendingSender(std::shared_ptr<Sending> of) : of_(std::move(of)) {}
  const std::string& name() const override { return of_->principal; }
  bool mayActFor(std::string_view) const override { return true; }  // It was asked before.
  std::function<void(hub::Kept)> kept() override {
    of_->open.fetch_add(1);
    return [of = of_](hub::Kept kept) {
      if (kept != hub::Kept::kYes) of->lost.store(true);
      of->close();
    };
  }
  std::function<void()> resume() override {
    return [of = of_] { of->part.shard().post([of] { attempt(of); }); };
  }

 private:
  const std::shared_ptr<Sending> of_;
};

void TopicRoutes::attempt(const std::shared_ptr<Sending>& sending) {
  if (!sending->done) return;  // It was told that there is no room.
  SendingSender sender(sending);
  const hub::Routing::Outcome out =
      sending->part.takeFrom(sending->principal, sending->said, sender);
  switch (out.taken) {
    case hub::Routing::Taken::kHeld:
      if (sending->part.shard().bootNs() > sending->until_ns)
        sending->finish(fail(Errc::kUnavailable, "a route has no room; try again later"));
      return;
    case hub::Routing::Taken::kRefused: return sending->finish(fail(Errc::kInvalid, out.why));
    case hub::Routing::Taken::kNobody:
    case hub::Routing::Taken::kTaken: return sending->close();
  }
}

void TopicRoutes::send(const std::string& principal, hub::DeviceMessage said,
                       hub::DeviceApi::Done done) {
  if (sending_->fetch_add(1) >= kSendingMax) {
    sending_->fetch_sub(1);
    return control_([done = std::move(done)] {
      done(fail(Errc::kLimit, "too many messages are on their way; try again later"));
    });
  }
  TopicPart& part = partOf(principal);
  // Shared by whoever it waits for.
  const std::shared_ptr<Sending> sending(
      new Sending{part, control_, sending_, principal, std::move(said), std::move(done)});
  part.shard().post([sending] {
    sending->until_ns = sending->part.shard().bootNs() + kSendNs;
    attempt(sending);
  });
}

void TopicRoutes::twinChanged(const std::string& principal, const std::string& patch) {
  if (twin_changes_.load(std::memory_order_relaxed) >= kTwinChangesMax) {
    counts_.overflow.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  twin_changes_.fetch_add(1, std::memory_order_relaxed);
  TopicPart& part = partOf(principal);
  part.shard().post([this, &part, principal, patch] {
    part.twinChanged(principal, patch);
    twin_changes_.fetch_sub(1, std::memory_order_relaxed);
  });
}

void TopicRoutes::collect(MetricWriter& out) const {
  const auto number = [](const std::atomic<std::uint64_t>& count) {
    return static_cast<double>(count.load(std::memory_order_relaxed));
  };
  out.counter("kante_topic_messages_total", "Messages of topics and devices that routes took", {},
              number(counts_.taken));
  out.counter("kante_topic_held_total", "How often a client was not read until a route had room",
              {}, number(counts_.held));
  out.counter("kante_topic_repeated_total", "Messages of gateways below that had been taken before",
              {}, number(*repeated_));
  out.counter("kante_topic_refused_total", "Messages that broke a rule that routes have", {},
              number(counts_.refused));
}

}  // namespace kante
