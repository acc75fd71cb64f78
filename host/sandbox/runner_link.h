// The life of a module in a runner, as its instance and its shard see it: events become frames in
// one ring, frames from the other become calls of the instance's host table.
//
// The runner is hostile: what it writes is copied out before it is judged, messages pass the same
// check as those of a module in this process, and every breach of ring or protocol is final: the
// runner is killed, and the end of the life says which.  What it has no credit for it cannot make
// the host keep.  An emit whose sink has no room is set aside, and what must not overtake it waits
// behind it (set_aside.h).
//
// Lives on its shard, but for what ModuleLife says of any thread; its process (runner_process.h)
// lives on the control thread.  Shared owners: its instance, and tasks under way.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "host/message/layout.h"
#include "host/message/seal.h"
#include "host/runtime/module_life.h"
#include "host/sandbox/exit_reason.h"
#include "host/sandbox/runner_process.h"
#include "host/sandbox/set_aside.h"
#include "host/sandbox/shard_share.h"
#include "host/shard/shard.h"
#include "sandbox/wire/frame_codec.h"
#include "sandbox/wire/ring.h"

namespace kante {

class LinkCount {
 public:
  LinkCount& operator+=(std::uint64_t more) {
    count_.store(count_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
    return *this;
  }
  LinkCount& operator++() { return *this += 1; }
  std::uint64_t value() const { return count_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> count_{0};
};

// Counted by the link alone, read by any thread.
struct LinkCounts {
  LinkCount frames_in, frames_out;
  LinkCount bytes_in, bytes_out;  // Of messages.
  LinkCount refused;              // What was no message, and emits of an instance that was over.
  LinkCount lost;                 // Emits that waited for room when the runner died.
  LinkCount doorbells;            // Rung by the host, that is wakes of the runner …
  LinkCount rings;                // … and by the runner …
  LinkCount vain_rings;           // … of which these brought nothing.
  LinkCount pauses;               // It had used its share of its shard.
};

class RunnerLink final : public ModuleLife,
                         public Polled,
                         public std::enable_shared_from_this<RunnerLink> {
 public:
  static constexpr std::uint32_t kSlice = 64;  // Frames before others run.
  // Inputs under way at which a runner that sleeps is woken before the turn ends.
  static constexpr std::uint64_t kWakeAtOnce = 128;
  static constexpr std::chrono::seconds kHardLimit{5};  // For a callback, as in process.
  static constexpr std::chrono::seconds kDestroyWithin{5};
  static constexpr std::uint64_t kVainRingsPerSecond = 20'000;

  struct Parts {
    boost::asio::io_context& control;
    RunnerSource& source;
    std::shared_ptr<Shard> shard;
    RunnerOrder order;
  };
  // Control thread.
  static Result<std::shared_ptr<RunnerLink>> make(Parts parts);
  ~RunnerLink() override;

  // ---- ModuleLife ----
  const std::vector<std::string>& inputs() const override { return inputs_; }
  const std::vector<std::string>& outputs() const override { return outputs_; }
  kante_status create(const kante_host& host, LifeOwner& owner, kante_msg* config) override;
  kante_status onInput(const kante_event& event, std::uint8_t hops) override;
  kante_status onEvent(const kante_event& event) override;
  kante_status onOpened(const kante_event& event, int fd) override;
  void routesAreThere() override;
  void resume() override;
  void destroy(std::function<void()> gone) override;
  int pid() const override { return pid_.load(std::memory_order_relaxed); }
  std::size_t sharedBytes() const override;
  std::uint64_t callbacks() const;
  std::uint32_t callbackEvent() const;
  void kill(const std::string& reason) override;
  void collect(MetricWriter& out, std::string_view module) const override;

  // ---- its shard ----
  bool run(Shard& shard) override;
  bool hasWork() const override;
  void fallAsleep() override;
  void wakeUp() override;
  void turnEnds() override;
  void rang() override;
  void tick() override;

  // Any thread.
  const LinkCounts& counts() const { return counts_; }
  const SealCounters& seals() const { return seals_; }

 private:
  enum class Phase : std::uint8_t {
    kNew,
    kStarting,  // Until CREATE is sent.
    kCreating,  // Until it is answered.
    kActive,
    kEnding,  // DESTROY is on its way.
    kGone,
  };
  // Both directions, once there is a runner.
  struct Rings {
    explicit Rings(RunnerChannel& channel);
    HostPage& page;
    const RunnerPage& peer;
    PeerSleep peer_sleep;
    OwnSleep own_sleep;
    RingWriter ring_out;
    RingReader ring_in;
    FrameWriter writer;
    FrameReader reader;
  };
  struct Output {
    Layout layout;
    std::uint32_t emitted = 0;              // Its use of credit is the difference; both wrap.
    std::uint32_t routed = -kOutputCredit;  // None until there are routes.
    bool untold = false;                    // The runner does not know of the last routed ones.
  };
  // What has to be written as soon as there is room, in this order.
  struct Owed {
    std::deque<std::pair<std::uint64_t, kante_status>>
        dones;  // Requests that were refused at once.
    bool resume_inputs = false;
    bool resume = false;
    bool destroy = false;
    bool empty() const { return dones.empty() && !resume_inputs && !resume && !destroy; }
  };

  RunnerLink(Parts parts, std::shared_ptr<RunnerChannel> channel);
  Shard& shard() const { return *parts_.shard; }
  void onShard(std::function<void(RunnerLink&)> task);

  // Life (runner_link.cc)
  void launch();
  void loaded(LoadedRunner runner);
  void ended(const Exited& exited, const std::string& killed_for);
  void readTheRest();
  void loseSetAside();
  void lose(const SetAside::Emit& emit);
  void leaveShard();
  void breach(const std::string& what);
  void gone();
  bool isOpen() const { return phase_ >= Phase::kCreating && phase_ <= Phase::kEnding; }

  // Towards the runner (runner_link_out.cc)
  kante_status write(const FrameOut& frame, const MessageRef& keep);
  kante_status noRoom();
  kante_status restore(const kante_event& event);
  bool canWrite() const;
  void writeOwed();
  bool writeNow(const FrameOut& frame);
  void publish();
  void oweWake();
  void wakeRunner();
  void noteHandled();
  void inputsGivenBack();
  bool hasCredit(std::uint64_t bytes) const;
  void giveRoom();
  void tellRouted();
  void noteRouted(std::uint32_t output, std::uint32_t count);
  std::uint64_t unhandled() const { return sent_ - handled_; }

  // From the runner (runner_link_in.cc)
  // Else it could not be set aside, if there were no room for it.
  bool mayRead() const { return (!set_aside_.isFull() && !paused_) || reads_all_; }
  bool readFrames();
  bool readWithinShare();
  void handle();
  void created();
  void emit();
  bool route(SetAside::Emit& emit);
  bool isAskedFor(Frame kind);
  void barrier();
  void pass(SetAside::Barrier& barrier);
  void request();
  void answer(std::uint64_t token, kante_status status);
  void refuse(kante_status status);
  void metric();
  bool sealFrame(Layout& layout, MessageRef& out);
  void reportViolations();

  Parts parts_;
  const std::shared_ptr<RunnerChannel> channel_;
  const std::shared_ptr<RunnerProcess> process_;
  std::optional<Rings> rings_;
  const kante_host* host_ = nullptr;
  LifeOwner* owner_ = nullptr;
  Phase phase_ = Phase::kNew;
  bool broken_ = false;  // Nothing of the runner counts any more; it is being killed.
  std::function<void()> gone_;
  std::shared_ptr<RunnerLink> self_;  // While there is a process.
  std::vector<std::string> inputs_, outputs_;
  std::vector<Output> output_;

  // Towards the runner.
  MessageRef config_;
  MessageRef unfinished_;                        // The message whose parts are being written …
  std::vector<std::uint64_t> unfinished_state_;  // … or the state.
  Owed owed_;
  std::uint64_t sent_ = 0;                           // Inputs.
  std::uint64_t handled_ = 0;                        // As last seen.
  std::array<std::uint32_t, kInputCredit> sizes_{};  // Bytes of those between, by their number.
  std::uint64_t unhandled_bytes_ = 0;
  bool passed_ = false;      // A descriptor is sent and its DONE is not.
  bool said_again_ = false;  // roomAgain() is owed.
  bool asleep_ = false;
  bool owes_wake_ = false;

  // From the runner.
  FrameIn frame_;
  SetAside set_aside_;
  const bool has_share_;          // Its share of the shard is limited …
  bool paused_ = false;           // … and used up.
  bool reads_all_ = false;        // What has no room is lost anyway: the runner is dead.
  std::uint32_t saves_due_ = 0;   // SAVEs whose end is still to come …
  std::uint32_t states_due_ = 0;  // … and whose SAVED may.
  bool has_routes_ = false;
  std::uint64_t seen_head_ = 0;        // The runner's head up to which everything was read …
  std::uint64_t seen_tail_ = 0;        // … and its tail when there was no room.
  std::vector<std::uint32_t> untold_;  // Outputs.
  Layout other_layout_;                // Of messages that are no emits.
  std::vector<std::optional<std::uint32_t>> metrics_;  // By the runner's number, the host's.

  // Watching.
  Timer deadline_;  // Of destroy().
  struct Progress {
    std::uint64_t head = 0, tail = 0, sequence = 0, handled = 0;
    friend bool operator==(const Progress&, const Progress&) = default;
  };
  Progress progress_;
  std::int64_t progress_ns_ = 0;  // Since when it is that.
  std::uint32_t violations_ = 0;
  std::int64_t looked_ns_ = 0;  // For them.
  std::int64_t vain_since_ns_ = 0;
  std::uint64_t vain_ = 0;
  ShardShare share_;
  Timer pause_;  // Until there is some again.

  SealCounters seals_;
  LinkCounts counts_;
  std::atomic<int> pid_{0};
  std::mutex kill_mutex_;  // Once a life.
  std::string killed_for_;
};

}  // namespace kante
