// Drives an engine on a shard: its sockets' readiness by the shard's reactor, parcels in one mail a
// target and turn, time by a timer.
//
// A socket is asked until it has nothing more.  A run handles a bounded slice and then writes what
// it gathered, so that modules on the same shard have their turns.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host/base/clock.h"
#include "host/hub/mqtt/engine.h"
#include "host/shard/runnable.h"
#include "host/shard/shard.h"

namespace kante::hub {

class EngineShard final : public Runnable, public TopicDoor, private Surroundings {
 public:
  static constexpr std::size_t kSliceBytes = 256u << 10;  // Read before others run, about.

  struct Options {
    const Limits& limits;
    const Access& access;
    Homes& homes;
    std::uint32_t index = 0;
    // Any thread; must be quick.
    std::function<void(Refusal, const std::string& who, const std::string& text)> report;
    std::function<void()> closed;
    // Topics and payloads that the broker says about itself now and then; empty: another engine
    // does.
    std::function<std::vector<std::pair<std::string, std::string>>()> system = {};
    Routing* routing = nullptr;  // This shard's; null: nothing goes by routes.
    Desk* desk = nullptr;
    SessionStore* store = nullptr;  // Null: nothing outlives the process.
  };
  // Control thread.
  EngineShard(std::shared_ptr<Shard> shard, const Options& options, std::uint32_t engines);
  ~EngineShard() override;

  // All engines, by index; before start().
  void meet(const std::vector<std::unique_ptr<EngineShard>>& all);
  void start();
  // Before start(), on the control thread: what was on disk.  Then passMail() among all, until
  // nothing moves.
  Engine& engine() { return engine_; }
  bool passMail();
  // Says goodbye to the clients and lets go of the shard; `done` on the shard's thread.
  void stop(std::function<void()> done);

  // Any thread.
  void accept(std::unique_ptr<Transport> transport, Peer peer);
  void take(Parcel parcel);
  const Counters& counters() const { return engine_.counters(); }

  bool run(Shard& shard) override;
  void publish(const PublicationRef& publication) override;

 private:
  class Letter;

  // Surroundings; the shard's thread.
  std::int64_t bootNs() const override {  // It is made before the shard knows of it.
    return shard_->onThisThread() ? shard_->bootNs() : SystemClock().bootNs();
  }
  std::int64_t wallNs() const override { return shard_->wallNs(); }
  void watch(Connection& connection) override;
  void forget(Connection& connection) override;
  void readAgain(Connection& connection) override;
  void flushSoon() override { shard_->runLater(*this); }
  void send(std::uint32_t engine, Parcel parcel) override;
  void report(Refusal refusal, const std::string& who, const std::string& text) override;
  void closed() override { closed_(); }

  void armTick();
  void saySystem();
  void finish();
  void hear(std::vector<Parcel>& parcels);

  const std::shared_ptr<Shard> shard_;
  const std::function<void(Refusal, const std::string&, const std::string&)> report_;
  const std::function<void()> closed_;
  const std::function<std::vector<std::pair<std::string, std::string>>()> system_;
  Engine engine_;
  Timer timer_;
  std::vector<EngineShard*> others_;         // By index, itself included.
  std::vector<std::vector<Parcel>> outbox_;  // The same.
  std::vector<Connection*> ready_;           // To be read.
  std::vector<Connection*> reading_;
  std::int64_t tick_ns_ = 0;    // When the timer comes.
  std::int64_t system_ns_ = 0;  // When $SYS is said again.
  bool stopped_ = false;
};

}  // namespace kante::hub
