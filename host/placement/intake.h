// One durable input of one instance: takes messages from the input's queue, hands them over with
// tokens, and tells the queue how each ended.
//
// Lives on the module's shard, but for claim().  What it holds of the queue is bounded: at most
// kTakeMessages not yet delivered and kUnsettledMessagesMax or kUnsettledBytesMax delivered and not
// settled, of which only the token is kept here.
//
// A message that comes again takes everything not yet delivered back into the queue with it, so it
// comes before what is newer.  Shared owners: its instance, and what the store and the shard still
// have to tell it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/message/hop.h"
#include "host/message/message.h"
#include "host/placement/input_queue.h"
#include "host/placement/token_table.h"
#include "host/shard/shard.h"

#include <kante/module.h>

namespace kante {

class Intake final : public Runnable, public std::enable_shared_from_this<Intake> {
 public:
  static constexpr std::uint32_t kUnsettledMessagesMax = 10'000;
  static constexpr std::uint64_t kUnsettledBytesMax = 16u << 20;
  static constexpr std::uint32_t kAttemptsMax = 5;
  static constexpr std::uint32_t kTakeMessages = 256;
  static constexpr std::uint32_t kPauseFirstMs = 100;  // Doubling, by message, up to
  static constexpr std::uint32_t kPauseLastMs = 30'000;
  static constexpr std::uint32_t kSlice = 64;  // Deliveries before others run.

  struct Arrival {
    std::uint32_t input = 0;
    std::uint64_t token = 0;
    std::uint64_t earlier = 0;  // Deliveries.
    MessageRef message;
    Hop hop;
  };
  // The instance.
  class Receiver {
   public:
    virtual ~Receiver() = default;
    virtual bool takesInputs() const = 0;
    // Nothing: it has no room for it and has not seen it; it takes no inputs until it calls wake().
    virtual std::optional<kante_status> receive(const Arrival& arrival) = 0;
    // How a delivery ended; comes back as settled(), at once or when what the module's own threads
    // emitted before is routed.
    virtual void settleInOrder(std::uint64_t token, kante_status status) = 0;
    virtual void unsettledFull(const std::string& input) = 0;
    virtual void quarantined(const std::string& input, const std::string& reason) = 0;
  };
  struct Parts {
    std::shared_ptr<InputQueue> queue;
    Shard& shard;
    Receiver& receiver;
    SourceTable& sources;
    std::uint32_t input = 0;  // The module's number of it.
  };

  explicit Intake(const Parts& parts);

  const std::shared_ptr<InputQueue>& queue() const { return queue_; }
  // Any thread: whether this token waits for settlement; then the caller's is the one that counts.
  bool claim(std::uint64_t token) { return tokens_.claim(token); }

  // ---- shard ----
  // Takes when it is this instance's turn; also after stop().
  void start();
  // Something may have changed: goes on if it may.
  void wake();
  // The module may take now what it put off.
  void hurry();
  // Nothing new; what is delivered may still be settled.
  void stop();
  // The instance is over: what it did not settle goes back, for its successor.
  void close();
  // Of a claimed token.  `text` says why, where it failed.
  void settled(std::uint64_t token, kante_status status, const std::string& text);
  // Of a claimed token: it was not delivered after all, and goes back as if it had not been tried.
  void notDelivered(std::uint64_t token);
  bool run(Shard& shard) override;

 private:
  struct Batch;

  bool wants() const { return owns_ && !stopping_ && !pausing_ && receiver_.takesInputs(); }
  bool isFull() const {
    return unsettled_ >= kUnsettledMessagesMax || unsettled_bytes_ >= kUnsettledBytesMax;
  }
  void deliver();
  void putBack(std::shared_ptr<Batch> batch, std::uint64_t token);
  void take();
  void taken(std::shared_ptr<Batch> batch);
  void cancelTake();
  void comeAgain(QueueToken message, Return how);
  void giveBackReady();
  void releaseIfDone();
  void noteUnsettled();
  const Source* sourceOf(const SourceView& source);
  void onShard(std::function<void()> task);

  const std::shared_ptr<InputQueue> queue_;
  const std::shared_ptr<Shard> home_;
  Shard& shard_;
  Receiver& receiver_;  // Not used once closed.
  SourceTable& sources_;
  const std::uint32_t input_;
  TokenTable tokens_;
  Timer pause_;

  bool owns_ = false;
  bool stopping_ = false;
  bool closed_ = false;
  bool taking_ = false;      // The store owes an answer.
  bool cancelling_ = false;  // What it answers is not wanted any more.
  bool pausing_ = false;
  bool failing_ = false;  // Pauses for one that failed, not only for one that was put off.
  bool waiting_ = false;  // For its turn.
  bool told_full_ = false;
  std::uint64_t ready_messages_ = 0;
  std::uint64_t unsettled_ = 0;
  std::uint64_t unsettled_bytes_ = 0;
  std::deque<std::shared_ptr<Batch>> ready_;
  std::map<QueueToken, std::uint32_t> pauses_;  // Of messages that came again: how often.
  std::vector<const Source*> known_sources_;    // The last few.
};

}  // namespace kante
