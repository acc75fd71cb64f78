// LocalModuleHost: the class behind makeModuleHost(), shared by the files that make it up.
#pragma once

#include <chrono>
#include <list>
#include <map>
#include <set>

#include "host/placement/input_queue.h"
#include "host/placement/local_module_host.h"
#include "host/placement/module_slot.h"
#include "host/placement/shard_pool.h"
#include "host/placement/topic_routes.h"
#include "host/placement/watchdog.h"

namespace kante {

class LocalModuleHost final : public ModuleHost {
 public:
  explicit LocalModuleHost(ModuleHostOptions options);
  ~LocalModuleHost() override;

  void apply(RuntimeTarget target, Applied applied) override;
  Turn turn() const override {
    return shutting_down_ ? Turn::kOver : change_ || rest_ ? Turn::kTaken : Turn::kFree;
  }
  void askHealth() override;
  void restart(const std::string& name, Done done) override;
  void stop(const std::string& name, Done done) override;
  void start(const std::string& name, Done done) override;
  void move(const std::string& name, Placement placement, const std::string& reason,
            Done done) override;
  Room roomFor(const RuntimeTarget& target) const override;
  Status check(const RuntimeTarget& target) override;
  void saveAll(SavedAll saved) override;
  void resume() override;
  void shutDown(std::function<void()> done) override;
  Result<std::vector<std::shared_ptr<Shard>>> shards() override { return shards_.shared(); }
  Result<std::vector<hub::Routing*>> serveTopics(hub::GatewayDesk* below) override;
  void sendTelemetry(const std::string& principal, hub::DeviceMessage message,
                     std::function<void(Status)> done) override;
  void twinChanged(const std::string& principal, const std::string& patch) override;
  std::vector<ModuleStatus> modules() const override;
  std::vector<RouteStatus> routes() const override;
  DropCounts dropped() const override;
  std::size_t loadsUsed() const override { return libraries_.size(); }
  std::size_t loadsMax() const override { return options_.loads_max; }
  void collect(MetricWriter& out) const override;

 private:
  DropCounts droppedUnrouted() const;
  enum class CarryState { kYes, kNo };
  struct Fresh {
    ModuleSpec spec;
    std::shared_ptr<const LoadedModule> library;  // Null where its code runs elsewhere.
    std::shared_ptr<Instance> instance;           // Null until it is its turn.
    std::unique_ptr<boost::asio::steady_timer> deadline;
    CarryState carry = CarryState::kYes;
    // How long the one before it may take to come to rest; of a life elsewhere.
    // Shared with nobody; its own wait looks whether it is still there.
    std::shared_ptr<boost::asio::steady_timer> patience;
    bool began = false;
    bool ready = false;
    ModuleState before = ModuleState::kStopped;  // Of its slot, for when it is taken back.
  };
  // One apply() under way.
  struct Change {
    std::uint64_t id = 0;
    RuntimeTarget target;
    Applied applied;
    std::map<std::string, Fresh> fresh;
    std::set<std::string> paused;       // Whose running instance was saved and waits.
    std::set<std::string> interrupted;  // Were being started again, as they are no more.
    std::set<std::string> made_slots;   // New names.
    std::map<std::string, Error> backed_off;
    std::shared_ptr<RouteTable> table;
    ApplyReport report;
  };

  // saveAll() under way, or done and waiting for what follows.
  struct Rest {
    std::uint64_t id = 0;
    SavedAll saved;
    std::map<std::string, std::set<std::string>> senders;  // Who sends to whom through memory.
    std::set<std::string> open;                            // Not at rest yet.
    std::set<std::string> wave;                            // Of them, who is being brought to rest.
    std::set<std::string> ended;                           // Had no state.
    Saved all;
    std::uint32_t again = 0;
    std::unique_ptr<boost::asio::steady_timer> timer;
  };

  void control(std::function<void()> task);
  void event(const std::string& kind, const std::string& module, const std::string& text);
  ModuleSlot* find(const std::string& name);
  void restartNow(const std::string& name, Done done);
  void stopNow(const std::string& name, Done done);
  void startNow(const std::string& name, Done done);
  void moveNow(const std::string& name, Placement placement, const std::string& reason, Done done);
  Result<RuntimeTarget> targetWith(const std::string& name, Desire desire);

  // deferral.cc
  void afterDeferrals(std::function<bool(const ModuleSlot&)> touches, std::function<void()> then);
  const ModuleSlot* whoDefers(const std::function<bool(const ModuleSlot&)>& touches,
                              std::int64_t since_ns) const;
  bool isTouched(const ModuleSlot& slot) const;

  // change.cc
  void afterRetry(std::function<void()> request);
  // kLeisurely: modules that asked for it are waited for.
  enum class Pace { kLeisurely, kAtOnce };
  void change(RuntimeTarget target, const std::set<std::string>& forced, Pace pace,
              Applied applied);
  void beginChange(const std::set<std::string>& forced);
  Status prepare(const std::set<std::string>& forced);
  Status prepareRoutes();
  bool gaveUp(const ModuleSpec& spec) const;
  bool mayBackOff(const std::string& name) const;
  Status addSlots();
  Result<std::shared_ptr<const LoadedModule>> library(const ModuleSpec& spec);
  Status supported(const ModuleSpec& spec) const;
  bool isBlamed(const ModuleSpec& spec) const;
  void startWhatCan();
  bool mayStart(const ModuleSpec& spec) const;
  void startFresh(const std::string& name);
  static void waitForRest(const std::shared_ptr<boost::asio::steady_timer>& timer,
                          const std::weak_ptr<Instance>& weak, std::uint32_t ms);
  void beginFresh(const std::string& name, std::shared_ptr<const Instance::State> state);
  const ModuleSpec* specOf(const std::string& module, const Instance* who);
  void addGrants(Instance::Parts& parts, const std::shared_ptr<const Instance*>& who);
  Result<std::shared_ptr<Instance>> makeInstance(const ModuleSpec& spec,
                                                 std::shared_ptr<const LoadedModule> library,
                                                 Instance::Callbacks callbacks);
  void freshReady(const std::string& name, std::uint64_t change_id);
  void freshFailed(const std::string& name, const Error& error, std::uint64_t change_id);
  void giveUp(const Error& error);
  void switchOver();
  void adopt(const std::string& name, Fresh& fresh);
  void putToWork(const std::string& name, ModuleSlot& slot, std::shared_ptr<Instance> instance);
  void stopSlot(const std::string& name, ModuleSlot& slot, Instance::Queued queued);
  void finish(Result<ApplyReport> result);

  // supervise.cc
  void lifeDied(const std::string& name, const Instance* instance, const LifeEnd& end);
  void answerMeanwhile(const std::string& name, ModuleSlot& slot);
  void beginAgain(const std::string& name);
  void cameBack(const std::string& name, const Instance* instance);
  void didNotComeBack(const std::string& name, const Instance* instance, const Error& error);
  void dropComing(const std::string& name, ModuleSlot& slot);
  void setAside(const std::string& name, const MessageRef& message, const Hop& hop,
                const std::string& why);

  // rest.cc
  void beginRest();
  std::map<std::string, std::set<std::string>> sendersOf() const;
  void nextWave();
  void bringToRest(const std::string& name);
  void atRest(const std::string& name, std::shared_ptr<const SavedState> state);
  void waveEnded();
  void lookAgain();
  void restless();
  void endRest(Result<Saved> result);
  void afterTransit(std::function<void()> done);

  // retire.cc
  void retire(const std::string& name, ModuleSlot& slot, std::shared_ptr<Instance> instance,
              Instance::Queued queued, std::shared_ptr<void> methods);
  void armDeadline(Retiring& retiring, std::chrono::milliseconds wait, std::function<void()> over);
  void endNow(std::shared_ptr<Instance> instance, const std::string& name);
  std::list<Retiring>::iterator findRetiring(const Instance* instance);
  void endRetiring(const Instance* instance);
  void retired(const Instance* instance);
  bool isRetiring(const std::string& name) const;
  void tidySlots();
  void closeSlot(ModuleSlot& slot);
  void detachQueues();
  void releaseTables();
  void releaseTablesSoon();
  void keepDrops(const RouteTable& table);
  static void addTo(DropCounts& sum, const RouteCounts& counts);
  void finishShutDown();

  // health.cc
  void askHealthLater();
  void heard(const std::string& name, const Instance* who, const std::string& complaint);

  void backOff(const std::string& name, ModuleSlot& slot, const Error& error);
  void armRetry(const std::string& name, ModuleSlot& slot);

  ModuleHostOptions options_;
  SourceTable& sources_ = SourceTable::ofThisProcess();
  std::optional<InputQueues> inputs_;
  std::unique_ptr<TopicRoutes> topics_;  // Null: no broker.
  ShardPool shards_;
  std::map<std::string, std::shared_ptr<const LoadedModule>> libraries_;  // By digest, for good.
  std::map<std::string, ModuleSlot> slots_;
  RuntimeTarget current_;
  std::shared_ptr<RouteTable> table_;
  std::vector<std::shared_ptr<RouteTable>> retired_;     // Until nothing refers to their links.
  std::unique_ptr<boost::asio::steady_timer> release_;   // Looks at them once a second.
  std::unique_ptr<boost::asio::steady_timer> health_;    // Asks how modules are.
  std::unique_ptr<boost::asio::steady_timer> deferral_;  // Looks again who still asks to wait.
  std::list<Retiring> retiring_;
  DropCounts retired_drops_;  // Of routes and instances that are gone.
  std::uint64_t retired_no_route_ = 0;
  std::uint64_t retired_loop_ = 0;
  std::unique_ptr<Change> change_;
  static constexpr std::size_t kWaitingMax = 64;
  bool retrying_ = false;                       // change_ is a start after a back-off.
  std::vector<std::function<void()>> waiting_;  // Requests for the end of it.
  std::unique_ptr<Rest> rest_;
  std::uint64_t next_change_ = 1;
  bool shutting_down_ = false;
  std::function<void()> shut_down_;                   // What shutDown() calls at the end.
  std::map<std::string, std::vector<Done>> stopped_;  // stop(): who waits for the end of which.
  // Tasks that come late find it gone and do nothing.
  std::shared_ptr<LocalModuleHost*> alive_;
  std::mutex table_mutex_;  // The watchdog's tick looks at stalls.
  std::shared_ptr<RouteTable> watched_table_;
  std::unique_ptr<Watchdog> watchdog_;
  std::set<std::uint32_t> watched_shards_;  // Shared ones: a stuck callback there ends the host.
  std::set<std::uint32_t> seen_shards_;
};

}  // namespace kante
