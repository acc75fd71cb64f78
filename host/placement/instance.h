// One life of one module as the gateway sees it: it gets the module's deliveries and events on its
// shard and answers what the module asks of its host.  Where the module's code runs is its
// ModuleLife's matter; only a life elsewhere (in a runner) answers later, keeps inputs that are on
// their way, and can die alone.
//
// Made and ended by the module host on the control thread; everything else happens on the shard,
// except what the ABI allows from any thread, which is handed over.  Shared owners: the module
// host, and tasks and wakers under way that keep it alive until they have run.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "host/base/log.h"
#include "host/message/layout.h"
#include "host/message/seal.h"
#include "host/placement/device_opener.h"
#include "host/placement/intake.h"
#include "host/placement/module_metrics.h"
#include "host/placement/module_services.h"
#include "host/placement/module_spec.h"
#include "host/placement/rate_limit.h"
#include "host/placement/route_table.h"
#include "host/runtime/module_life.h"
#include "host/runtime/module_port.h"
#include "host/shard/fifo.h"
#include "host/shard/lane.h"

namespace kante {

class Instance final : public ModulePort,
                       public Consumer,
                       public Runnable,
                       public Intake::Receiver,
                       public LifeOwner,
                       public std::enable_shared_from_this<Instance> {
 public:
  static constexpr std::size_t kEventsMax = 4096;  // Waiting control events; more are refused.
  static constexpr std::uint32_t kDonesMax =
      4096;  // Emits with a token whose DONE is still to come.
  static constexpr std::size_t kForeignMessagesMax =
      1024;  // Emitted by the module's own threads, not routed yet.
  static constexpr std::size_t kForeignBytesMax = 16u << 20;
  static constexpr std::uint32_t kTimers = 64;
  static constexpr std::uint32_t kRequestsMax = 1024;  // Unanswered tokens of one instance,
  // … what they sent along, and, again as much, what they are answered with until it is delivered.
  static constexpr std::uint64_t kRequestBytesMax = 16u << 20;
  static constexpr std::uint32_t kAgainFirstMs = 100;    // Rest after KANTE_E_AGAIN from an INPUT,
  static constexpr std::uint32_t kAgainLastMs = 30'000;  // doubling up to this.

  struct Parts {
    ModuleSpec spec;
    std::shared_ptr<ModuleLife> life;  // Shared with what it still has to hear of, elsewhere.
    std::shared_ptr<Lane> lane;
    std::uint32_t crash_index;  // Its name in the crash page; 0: its code runs elsewhere.
    Log& log;
    ModuleServices& services;
    SourceTable& sources;
    std::function<void(std::function<void()>)> control;  // Runs a task on the control thread.
    // Whether it may call this method of this principal, by the deployment of now.  Control thread.
    std::function<bool(const std::string& target, const std::string& method)> granted;
    // Opens what lies outside; null: nothing is opened.  Control thread.
    std::function<void(const std::string& what, DeviceOpener::Answer answer)> open;
    // It is over, and what was opened to wait for others closes.  Control thread.
    std::function<void()> close_opened;
    // Something that people want to know; control thread.
    std::function<void(const std::string& kind, const std::string& text)> event;
    // A message from memory that a life elsewhere ended with: to quarantine.  Control thread.
    std::function<void(const MessageRef& message, const Hop& hop, const std::string& why)>
        set_aside;
  };
  // What the owner learns, on the control thread.
  struct Callbacks {
    std::function<void()> ready;
    std::function<void(Error)> failed;  // create() or RESTORE said no; the instance is over.
    std::function<void()> drained;
    // After ready; end() still has to be called.
    std::function<void(const Instance* who, const LifeEnd& end)> died;
  };

  using State = SavedState;

  Instance(Parts parts, Callbacks callbacks);
  ~Instance() override;

  // ---- control thread ----
  // create(), then RESTORE if there is a state, then the desired properties.
  void begin(std::shared_ptr<const State> state, MessageRef desired, std::uint64_t desired_version);
  // From now on what it emits is routed; before, emit says KANTE_E_AGAIN.
  void activate(std::shared_ptr<RouteTable> table);
  // Null when the module has no state to save or fails to; events stop until the answer and after
  // it, until resumeEvents() or end().
  using Saved = std::function<void(std::shared_ptr<const State>)>;
  void save(Saved saved);
  // As save(), once nothing waits for it any more: neither in its lane nor of its events, nor does
  // an output of its own wait for room.  What its threads emitted goes out first, and from then on
  // they are told KANTE_E_AGAIN, so that nothing follows what was saved.
  void saveWhenQuiet(Saved saved);
  // Do not wait for its outputs any longer.
  void saveWithoutRoom();
  // Events stop as with save(), but the module is not asked for anything.
  void hold(std::function<void()> held);
  void resumeEvents();
  // What the module's own threads emitted so far goes out now, before the successor says its first
  // word; beyond the credit if need be, so at most kForeignMessagesMax.
  void flushForeign();
  // DRAIN comes when what waits in the lane is handled (kTake) or at once, and leaves it there
  // (kLeave).
  enum class Queued : std::uint8_t { kTake, kLeave };
  void drain(Queued queued);
  // Its time is running out: DRAIN whatever waits.
  void drainNow();
  // destroy(); `ended` comes when the module is gone.  Nothing is called afterwards.
  void end(std::function<void()> ended);
  void desired(MessageRef document, std::uint64_t version);
  void method(std::uint64_t call, std::string name, MessageRef arguments);
  // HEALTH, unless the last one is still open or it is on its way out; `answer`, on the control
  // thread: what the module complains of, empty when it is well.
  void askHealth(std::function<void(const std::string& complaint)> answer);
  // Replaces what is called when it is drained; before drain().
  void onDrained(std::function<void()> drained) { callbacks_.drained = std::move(drained); }
  // A life elsewhere is ended by force, as if it had died of this.
  void kill(const std::string& reason) { parts_.life->kill(reason); }
  // What a life elsewhere has emitted and found no room for goes out beyond its credit: its state
  // waits behind that.
  void letOut();
  int pid() const { return parts_.life->pid(); }
  std::size_t sharedBytes() const { return parts_.life->sharedBytes(); }
  bool isHere() const { return is_here_; }
  const ModuleLife& life() const { return *parts_.life; }
  // Memory inputs on their way to a life elsewhere.
  std::uint32_t underWay() const { return under_way_.load(std::memory_order_relaxed); }

  const ModuleSpec& spec() const { return parts_.spec; }
  std::uint32_t crashIndex() const { return parts_.crash_index; }
  std::uint64_t messagesIn() const { return messages_in_.load(std::memory_order_relaxed); }
  std::uint64_t messagesOut() const { return messages_out_.load(std::memory_order_relaxed); }
  std::uint64_t droppedNoRoute() const { return dropped_no_route_.load(std::memory_order_relaxed); }
  std::uint64_t droppedLoop() const { return dropped_loop_.load(std::memory_order_relaxed); }
  std::uint64_t errors() const { return errors_.load(std::memory_order_relaxed); }
  const ModuleMetrics& metrics() const { return metrics_; }
  // Which check its messages passed, summed over its threads.
  struct Seals {
    std::uint64_t same = 0;
    std::uint64_t walk = 0;
    std::uint64_t general = 0;
    std::uint64_t refused = 0;
  };
  Seals seals() const;
  // How long callbacks took: one in kSampleEvery was timed.
  const CallbackTimes& callbackTimes() const { return times_; }

  // ---- its shard ----
  Outcome consume(Delivery& delivery) override;
  void laneTaken() override { shard().runLater(*this); }
  bool run(Shard& shard) override;
  bool keepsDeliveries() const override { return !is_here_; }
  bool takesInputs() const override {
    return phase_ == Phase::kActive && !holding_ && drain_ == Drain::kNo && !no_room_;
  }
  std::optional<kante_status> receive(const Intake::Arrival& arrival) override;
  void settleInOrder(std::uint64_t token, kante_status status) override;
  void unsettledFull(const std::string& input) override;
  void quarantined(const std::string& input, const std::string& reason) override;

  // ---- LifeOwner ----
  void createEnded(kante_status status, const std::string& text, bool promised_ready) override;
  void startFailed(Error error) override;
  void roomAgain() override;
  void inputsHandled(std::uint32_t count) override;
  void inputsRecalled() override { takeBackInputs(); }
  kante_status emitted(std::uint32_t output, MessageRef& message, std::uint8_t hops,
                       std::uint64_t token) override;
  void lost(std::uint32_t output, const MessageRef& message) override;
  void eventEnded(std::uint32_t type, std::uint64_t token, kante_status status,
                  const std::string& text) override;
  void violated(const std::string& what) override;
  void together(const std::function<void()>& work) override;
  void died(const LifeEnd& end) override;

  // ---- ModulePort ----
  kante_status sealMessage(void* scratch, std::uint32_t used_words, kante_msg** out) override;
  kante_status emit(std::uint32_t output, kante_msg* message, std::uint64_t token) override;
  kante_status publish(std::uint32_t output, void* scratch, std::uint32_t used_words,
                       std::uint64_t token) override;
  kante_status settle(std::uint64_t token, kante_status status) override;
  void drained() override;
  void log(std::uint32_t level, std::string_view text) override;
  void explain(kante_status code, std::string_view text) override;
  kante_status report(kante_msg* patch, std::uint64_t token) override;
  kante_status reply(std::uint64_t token, std::int32_t code, kante_msg* result) override;
  std::uint64_t nowNs() override;
  kante_status setTimer(std::uint32_t id, std::uint64_t first_ns, std::uint64_t period_ns) override;
  kante_status cancelTimer(std::uint32_t id) override;
  kante_status defineMetric(std::string_view name, std::uint32_t kind, std::uint32_t* id) override;
  void addMetric(std::uint32_t id, std::int64_t delta) override;
  void recordMetric(std::uint32_t id, double value) override;
  kante_status storageGet(std::string_view key, std::uint64_t token) override;
  kante_status storagePut(std::string_view key, kante_msg* value, std::uint64_t token) override;
  kante_status storageErase(std::string_view key, std::uint64_t token) override;
  kante_status saveState(std::uint64_t token, std::uint64_t format, const void* data,
                         std::size_t size) override;
  void ready() override;
  kante_status defer(std::uint32_t ms) override;
  // Until when a deployment that replaces or ends it should wait; any thread.
  std::int64_t deferredUntilNs() const { return deferred_until_ns_.load(); }
  kante_status invoke(std::string_view target, std::string_view name, kante_msg* arguments,
                      std::uint32_t timeout_ms, std::uint64_t token) override;
  kante_status open(std::string_view what, std::uint64_t token) override;
  void promisedReady() override;

 private:
  std::atomic<std::int64_t> deferred_until_ns_{0};  // Boot time.
  struct Output {
    OutputRoutes* routes = nullptr;      // Into table_; null before activate().
    Layout layout;                       // Of the messages that this output sends.
    bool blocked = false;                // Said AGAIN: WRITABLE is owed.
    bool waits_for_dones = false;        // Because too many of its emits wait for DONE.
    std::vector<const void*> waits_for;  // Links and queues whose waker is still to come.
  };
  struct Event {
    kante_event event{};
    std::string name;
    MessageRef message;
    std::shared_ptr<const State> state;               // RESTORE: keeps the bytes alive.
    std::shared_ptr<FileDescriptor> descriptor = {};  // DONE of open(): the module's from then on.
    std::function<void(kante_status, const std::string&)> after;
    std::atomic<std::uint32_t>* open =
        nullptr;  // DONE: the count that goes down with its delivery.
  };
  struct ModuleTimer {
    explicit ModuleTimer(Reactor& reactor) : timer(reactor) {}
    Timer timer;
    std::int64_t next_ns = 0;
    std::uint64_t period_ns = 0;
    std::uint64_t serial = 0;  // Of the last set(); an earlier expiry is stale.
    bool pending = false;      // Its event waits; later expirations add to it.
  };
  struct Foreign {
    std::uint32_t output;  // kSettlement: no emit, but the end of a delivery.
    MessageRef message;
    std::uint8_t hops;
    std::uint64_t token;
    kante_status status = KANTE_OK;  // The settlement's, and why.
    std::string reason = {};
  };
  static constexpr std::uint32_t kSettlement = UINT32_MAX;
  // An input on its way to a life elsewhere, in the order in which they were taken.
  struct Sent {
    Delivery delivery;        // Of a memory route; holds its credit.
    std::uint64_t token = 0;  // Of a durable one.
  };
  // An event that a life elsewhere will answer.
  struct Owed {
    std::uint32_t type;
    std::uint64_t token;
    std::function<void(kante_status, const std::string&)> after;
  };
  enum class Phase : std::uint8_t { kNew, kCreating, kStarting, kActive, kEnded };

  Shard& shard() { return parts_.lane->shard(); }
  bool onStrand() { return shard().onThisThread(); }
  bool ownsLane() { return parts_.lane->isConsumer(*this); }
  // Runs on the shard with this instance alive.
  void onShard(std::function<void()> task);

  // Lifecycle (instance.cc)
  void create(std::shared_ptr<const State> state, MessageRef desired,
              std::uint64_t desired_version);
  void becomeReady();
  void fail(Error error);
  void close();
  bool hasNamesOfManifest() const;
  void restoreEnded(kante_status status, const std::string& text);
  void started();
  void whenGone(std::function<void()> task);
  kante_status call(const kante_event& event);
  kante_status handOver(Event& event);
  kante_status callInput(const kante_event& event, std::uint8_t hops);
  void postEvent(Event event);
  void dispatch(Event& event);
  bool mayDispatch() const { return !holding_ && !events_.empty() && unsent_.empty(); }
  void handOn();
  static bool isOwn(const Event& event);  // Of this instance's own emits.
  void sendDrain();
  void beginSave();
  void endSave(std::shared_ptr<const State> state);
  void resumeNow();
  void sendAgain();
  bool isQuiet() const;
  void rest();

  // A life elsewhere (instance_remote.cc)
  Outcome keep(Delivery& delivery, kante_status status);
  bool isOwed(std::uint32_t type) const;
  void dispatchUnsent();
  void tellWritable();
  void flushEmitted();
  void blameInput(const LifeEnd& end);
  void takeBackInputs();
  void noteUnderWay(std::int32_t more) {
    under_way_.store(underWay() + static_cast<std::uint32_t>(more), std::memory_order_relaxed);
  }
  void answerOpenCalls(const std::string& why);

  void refuseCall(std::uint64_t call_id, int status, const std::string& text);

  // Emission (instance_emit.cc)
  enum class Credit : std::uint8_t { kNeeded, kIgnored };
  kante_status route(std::uint32_t output, MessageRef& message, std::uint8_t hops,
                     std::uint64_t token, Credit credit);
  std::vector<Target>& conditionalTargets(Output& output, const MessageRef& message);
  bool hasCredit(std::uint32_t output, const std::vector<Target>& targets, std::uint32_t bytes);
  struct Commits;
  void hand(const Target& target, MessageRef message, const Hop& hop,
            const std::shared_ptr<Commits>& commits, Credit credit);
  void handTopic(const Target& target, const MessageRef& message, const Hop& hop);
  void handDurable(const Target& target, const MessageRef& message, const Hop& hop,
                   const std::shared_ptr<Commits>& commits);
  void block(std::uint32_t output, const Target& target, std::uint32_t bytes);
  void unblock(std::uint32_t output);
  void doneDelivered(std::atomic<std::uint32_t>& open, std::uint64_t bytes);
  std::uint8_t hopsOf(kante_msg* message) const;
  kante_status emitForeign(std::uint32_t output, MessageRef message, std::uint8_t hops,
                           std::uint64_t token);
  kante_status routeOnStrand(std::uint32_t output, MessageRef& message, std::uint8_t hops,
                             std::uint64_t token);
  bool routeForeign(Credit credit);

  // Durable inputs (instance_inputs.cc)
  void openIntakes(const std::vector<std::string>& inputs);
  void settleLater(std::uint64_t token, kante_status status, std::string reason);
  void settleNow(std::uint64_t token, kante_status status, const std::string& reason);

  // Extensions (instance_port.cc)
  bool takeRequest(std::uint64_t bytes);
  static bool takeBytes(std::atomic<std::uint64_t>& of, std::uint64_t bytes);
  kante_status request(std::uint64_t token, const MessageRef& message,
                       std::function<void(ModuleServices::Answer)> ask);
  void answered(std::uint64_t token, kante_status status, MessageRef result, std::uint64_t arg,
                FileDescriptor descriptor);
  void opened(std::uint64_t token, kante_status status, DeviceOpener::Opened what,
              const std::string& why);
  void done(std::uint64_t token, kante_status status);
  void armTimer(std::uint32_t id);
  std::uint64_t timerExpired(std::uint32_t id);

  Parts parts_;
  Callbacks callbacks_;
  kante_host host_{};
  const bool is_here_;  // In this process.
  Phase phase_ = Phase::kNew;
  struct {
    std::shared_ptr<const State> state;
    MessageRef desired;
    std::uint64_t desired_version = 0;
  } start_;            // What begin() brought, until it is used.
  bool gone_ = false;  // The life is; else who waits for it.
  std::vector<std::function<void()>> when_gone_;
  bool promised_ready_ = false;
  bool said_ready_ = false;
  bool holding_ = false;       // Events wait: before activation, and while state is saved.
  bool handed_on_ = false;     // To its successor, with all events but its own.
  bool health_asked_ = false;  // And not answered.
  enum class Drain : std::uint8_t { kNo, kWanted, kSent, kDone } drain_ = Drain::kNo;
  enum class Leave : std::uint8_t { kNo, kWithRoom, kWithoutRoom, kSaved } leave_ = Leave::kNo;
  std::string explanation_;
  const std::uint32_t receiver_;  // Among all instances of this process's life.
  std::string who_;               // "module/NAME"

  std::shared_ptr<RouteTable> table_;
  std::vector<Output> outputs_;
  // By the module's number of the input; each is made once and stays as long as the instance,
  // because any thread may settle.
  std::vector<std::shared_ptr<Intake>> intakes_;
  std::vector<std::atomic<Intake*>> intake_at_;
  StoreDoor* door_ = nullptr;  // Where there is a durable input: its callbacks are one transaction.
  std::vector<std::uint32_t> input_map_;  // Lane's input index to the module's event id.
  MatchScratch scratch_;
  std::vector<Target> matched_;
  Layout seal_layout_;
  SealCounters seal_counters_;
  kante_msg* current_ = nullptr;  // The message of the INPUT being handled, and how far it came.
  std::uint8_t current_hops_ = 0;

  std::deque<Event> events_;
  // Of a life elsewhere.
  bool no_room_ = false;      // It said AGAIN; roomAgain() follows.
  std::deque<Event> unsent_;  // Events that it had no room for: come before events_.
  std::deque<Owed> owed_;     // Bounded by kEventsMax methods, and one of each other kind.
  Fifo<Sent> sent_;           // Bounded by the life's credit.
  std::atomic<std::uint32_t> under_way_{0};  // Memory inputs in sent_.
  bool save_sent_ = false;                   // And not resumed.
  bool save_owed_ = false;                   // Its end.
  bool resume_wanted_ = false;               // As soon as it has ended.
  bool died_ = false;
  bool ends_now_ = false;                // What was emitted goes out beyond its credit.
  std::uint64_t lost_ = 0;               // Emits that waited for room when it died.
  std::vector<std::uint32_t> writable_;  // Outputs of which the life is still to hear.
  std::map<std::uint32_t, std::unique_ptr<ModuleTimer>> timers_;
  std::uint64_t timer_serial_ = 0;
  std::atomic<std::uint64_t> save_token_{0};  // Of the SAVE that is open; 0: none.
  Saved saved_;
  std::uint64_t next_token_ =
      1u << 20;  // Of what the host starts: above what modules tend to choose.
  std::mutex calls_mutex_;
  std::map<std::uint64_t, std::uint64_t> calls_;  // METHOD token to the call's id.
  Timer again_timer_;
  std::uint32_t again_ms_ = 0;

  std::mutex foreign_mutex_;
  std::deque<Foreign> foreign_;
  std::size_t foreign_bytes_ = 0;
  bool foreign_closed_ = false;  // With foreign_mutex_: its threads wait until resumeEvents().
  std::atomic<bool> has_foreign_{false};
  std::vector<bool>
      foreign_blocked_;  // Outputs that wait for foreign_ to empty; with foreign_mutex_.
  Layout foreign_layout_;
  Stamp foreign_stamp_;
  SealCounters foreign_counters_;

  RateLimit log_limit_;
  ModuleMetrics metrics_;
  CallbackTimes times_;
  std::atomic<std::uint64_t> messages_in_{0};
  std::atomic<std::uint64_t> messages_out_{0};
  std::atomic<std::uint64_t> dropped_no_route_{0};
  std::atomic<std::uint64_t> dropped_loop_{0};
  std::atomic<std::uint64_t> errors_{0};
  std::atomic<std::uint32_t> open_dones_{
      0};                                   // Emits with a token whose DONE was not delivered yet.
  std::atomic<std::uint32_t> requests_{0};  // Tokens of extensions that are not answered yet …
  std::atomic<std::uint64_t> request_bytes_{0};  // … what they sent along …
  std::atomic<std::uint64_t> result_bytes_{0};   // … and what is not delivered of their answers.
};

}  // namespace kante
