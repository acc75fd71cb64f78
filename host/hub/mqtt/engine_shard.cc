#include "host/hub/mqtt/engine_shard.h"

#include <sys/epoll.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "host/hub/mqtt/connection.h"

namespace kante::hub {
namespace {

constexpr std::int64_t kSystemNs = 10'000'000'000;  // $SYS each 10 s; what expires goes as often.

}  // namespace

class EngineShard::Letter final : public Mail {
 public:
  Letter(EngineShard& to, std::vector<Parcel> parcels) : to_(to), parcels_(std::move(parcels)) {}
  void arrive() override { to_.hear(parcels_); }

 private:
  EngineShard& to_;
  std::vector<Parcel> parcels_;
};

EngineShard::EngineShard(std::shared_ptr<Shard> shard, const Options& options,
                         std::uint32_t engines)
    : shard_(std::move(shard)),
      report_(options.report),
      closed_(options.closed),
      system_(options.system),
      engine_({options.limits, options.access, *this, options.homes, options.index, engines,
               options.store,
               [shard = shard_, this] {
                 shard->take(std::make_unique<Letter>(*this, std::vector<Parcel>()));
               },
               options.routing, options.desk}),
      timer_(shard_->reactor()),
      outbox_(engines) {
  if (options.routing != nullptr) options.routing->serve(*this);
}

EngineShard::~EngineShard() = default;

void EngineShard::meet(const std::vector<std::unique_ptr<EngineShard>>& all) {
  for (const auto& one : all) others_.push_back(one.get());
}

void EngineShard::start() {
  shard_->post([this] { armTick(); });
}

void EngineShard::stop(std::function<void()> done) {
  shard_->post([this, done = std::move(done)] {
    engine_.shutDown();
    stopped_ = true;
    shard_->deschedule(*this);
    timer_.cancel();
    done();
  });
}

bool EngineShard::passMail() {
  bool moved = false;
  for (std::size_t i = 0; i < outbox_.size(); ++i) {
    for (Parcel& parcel : std::exchange(outbox_[i], {})) {
      others_[i]->engine_.take(std::move(parcel));
      moved = true;
    }
  }
  return moved;
}

// ---- from other threads

void EngineShard::accept(std::unique_ptr<Transport> transport, Peer peer) {
  // A task is copied about; what moves only travels in a box.
  const auto box = std::make_shared<std::pair<std::unique_ptr<Transport>, Peer>>(
      std::move(transport), std::move(peer));
  shard_->post([this, box] {
    if (stopped_) return closed_();
    engine_.accept(std::move(box->first), std::move(box->second));
    shard_->runLater(*this);
  });
}

void EngineShard::take(Parcel parcel) {
  std::vector<Parcel> one;
  one.push_back(std::move(parcel));
  shard_->take(std::make_unique<Letter>(*this, std::move(one)));
}

void EngineShard::hear(std::vector<Parcel>& parcels) {
  if (stopped_) return;
  for (Parcel& parcel : parcels) engine_.take(std::move(parcel));
  shard_->runLater(*this);
}

void EngineShard::publish(const PublicationRef& publication) {
  if (stopped_) return;
  engine_.publish(publication);
  shard_->runLater(*this);
}

// ---- the engine's surroundings

void EngineShard::watch(Connection& connection) {
  (void)shard_->reactor().watch(connection.transport().descriptor(),
                                EPOLLIN | EPOLLOUT | EPOLLRDHUP, connection);
}

void EngineShard::forget(Connection& connection) {
  shard_->reactor().forget(connection.transport().descriptor(), connection);
  if (std::exchange(connection.awaits_read, false)) std::erase(ready_, &connection);
}

void EngineShard::readAgain(Connection& connection) {
  if (std::exchange(connection.awaits_read, true)) return;
  ready_.push_back(&connection);
  shard_->runLater(*this);
}

void EngineShard::send(std::uint32_t engine, Parcel parcel) {
  outbox_[engine].push_back(std::move(parcel));
}

void EngineShard::report(Refusal refusal, const std::string& who, const std::string& text) {
  if (report_) report_(refusal, who, text);
}

// ---- turns

void EngineShard::armTick() {
  const std::int64_t now = bootNs();
  tick_ns_ = std::min(engine_.timers().nextNs(), system_ns_);
  const auto left = std::chrono::nanoseconds(std::max<std::int64_t>(tick_ns_ - now, 0));
  timer_.set(left, [this] {
    engine_.tick();
    if (const std::int64_t then = bootNs(); then >= system_ns_) {
      saySystem();
      system_ns_ = then + kSystemNs;
    }
    shard_->runLater(*this);
    armTick();
  });
}

void EngineShard::saySystem() {
  if (!system_) return;
  for (const auto& [topic, payload] : system_()) engine_.say(topic, payload);
}

bool EngineShard::run(Shard&) {
  if (stopped_) return false;
  // Those of this slice; who has more comes again after the others.
  reading_.swap(ready_);
  std::size_t slices = kSliceBytes / Engine::kReadBytes;
  for (std::size_t i = 0; i < reading_.size(); ++i) {
    Connection& connection = *reading_[i];
    connection.awaits_read = false;
    if (connection.isEnded()) continue;
    if (slices == 0) {
      readAgain(connection);
      continue;
    }
    if (!connection.read() || connection.isEnded()) continue;
    --slices;
    readAgain(connection);
  }
  reading_.clear();
  finish();
  return !ready_.empty();
}

void EngineShard::finish() {
  engine_.flush();
  for (std::size_t i = 0; i < outbox_.size(); ++i) {
    if (outbox_[i].empty()) continue;
    EngineShard& to = *others_[i];
    to.shard_->take(std::make_unique<Letter>(to, std::exchange(outbox_[i], {})));
  }
  if (engine_.timers().nextNs() < tick_ns_) armTick();
}

}  // namespace kante::hub
