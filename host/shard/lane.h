// The inputs of one module: a queue of deliveries and the serial executor that hands them over.
//
// A lane belongs to a module's *name* and outlives the instances that run under it, so what is
// queued survives an upgrade.  It lives on one shard; no member needs a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/shard/fifo.h"
#include "host/shard/link.h"
#include "host/shard/shard.h"

namespace kante {

// Who takes what a lane holds.
class Consumer {
 public:
  virtual ~Consumer() = default;
  enum class Outcome { kDone, kAgain, kKept };
  // Handles one delivery, on the lane's shard.  kAgain: it goes back to the front of its queue and
  // the lane rests until resume().  kKept: the consumer has moved it to itself, and ends it or
  // gives it back.
  virtual Outcome consume(Delivery& delivery) = 0;
  // Whether it keeps deliveries.  Then each holds its credit until the consumer calls
  // Link::taken(); else credit comes back before consume().
  virtual bool keepsDeliveries() const { return false; }
  // Another consumer took the lane over.
  virtual void laneTaken() {}
};

class Lane final : public Runnable {
 public:
  static constexpr std::uint32_t kSlice = 64;  // Deliveries handed over before others run.
  static constexpr std::size_t kPriorities = 10;

  // Owned by its module's slot and by the links that lead to it, so that a table which an instance
  // still sends by never leads to nowhere.
  Lane(std::string name, std::shared_ptr<Shard> shard)
      : name_(std::move(name)), home_(std::move(shard)), shard_(*home_) {}
  ~Lane() override;

  const std::string& name() const { return name_; }
  Shard& shard() const { return shard_; }
  const std::shared_ptr<Shard>& home() const { return home_; }

  // The index of an input's name, made when it is new; never changes for this lane's life.  Control
  // thread.
  std::uint16_t inputIndex(const std::string& input);
  // What waits, as last noted.  Any thread.
  std::size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }
  // Names by index.  Control thread.
  const std::vector<std::string>& inputNames() const { return input_names_; }

  // From any shard; credit was taken on delivery.link.  Also on a closed lane: it counts the drop.
  void offer(Shard& from, Delivery&& delivery) {
    if (&from == &shard_) {
      push(std::move(delivery));
    } else {
      from.send(shard_, *this, std::move(delivery));
    }
  }

  // ---- the lane's shard only ----
  // Over the limits of a kDropOldest link its oldest deliveries here go, reason `overflow`.
  void push(Delivery&& delivery);
  // Nobody consumes while null; what comes is kept within its credit.
  void setConsumer(Consumer* consumer);
  bool isConsumer(const Consumer& consumer) const { return consumer_ == &consumer; }
  // Nobody consumes any more, if this one did.
  void release(const Consumer& consumer) {
    if (consumer_ == &consumer) setConsumer(nullptr);
  }
  // What a consumer kept and did not handle, first first; it comes before everything else.
  void giveBack(std::vector<Delivery> kept);
  // Goes on after a consumer said kAgain.
  void resume();
  std::size_t size() const { return size_; }
  // Drops everything, now and from now on, reason `no_route`: the module is gone from the
  // deployment.
  void close();

  bool run(Shard& shard) override;

 private:
  bool dropOldest(Link& link);
  void drop(const Delivery& delivery, DropReason reason);
  void noteWaiting() { waiting_.store(size_, std::memory_order_relaxed); }

  const std::string name_;
  const std::shared_ptr<Shard> home_;
  Shard& shard_;
  Consumer* consumer_ = nullptr;
  bool resting_ = false;
  bool credit_after_ = false;  // The consumer keeps deliveries.
  bool closed_ = false;
  std::uint32_t nonempty_ = 0;  // Bit i: rings_[i] has deliveries.
  std::size_t size_ = 0;
  std::atomic<std::size_t> waiting_{0};
  std::array<Fifo<Delivery>, kPriorities> rings_;  // Credit is what bounds them.
  std::vector<std::string> input_names_;
};

}  // namespace kante
