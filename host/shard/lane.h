// The inputs of one module: a queue of deliveries and the serial executor that hands them over.
//
// A lane belongs to a module's *name* and outlives the instances that run under it, so what is
// queued survives an upgrade.  It lives on one shard; no member needs a lock.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "host/shard/link.h"
#include "host/shard/shard.h"

namespace kante {

// Who takes what a lane holds.
class Consumer {
 public:
  virtual ~Consumer() = default;
  enum class Outcome { kDone, kAgain };
  // Handles one delivery, on the lane's shard.  kAgain: it goes back to the front of its queue and
  // the lane rests until resume().
  virtual Outcome consume(Delivery& delivery) = 0;
  // Another consumer took the lane over.
  virtual void laneTaken() {}
};

class Lane final : public Runnable {
 public:
  static constexpr std::uint32_t kSlice = 64;  // Deliveries handed over before others run.
  static constexpr std::size_t kPriorities = 10;

  Lane(std::string name, Shard& shard) : name_(std::move(name)), shard_(shard) {}
  ~Lane() override;

  const std::string& name() const { return name_; }
  Shard& shard() const { return shard_; }

  // The index of an input's name, made when it is new; never changes for this lane's life.  Control
  // thread.
  std::uint16_t inputIndex(const std::string& input);
  // What waits, as last noted.  Any thread.
  std::size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }
  // Names by index.  Control thread.
  const std::vector<std::string>& inputNames() const { return input_names_; }

  // From any shard; credit was taken on delivery.link.
  void offer(Shard& from, Delivery&& delivery) {
    if (&from == &shard_) {
      push(std::move(delivery));
    } else {
      from.send(shard_, *this, std::move(delivery));
    }
  }

  // ---- the lane's shard only ----
  void push(Delivery&& delivery);
  // Makes room on a full link by dropping its oldest delivery of this lane; false if it has none
  // here.
  bool dropOldest(Link& link);
  // Nobody consumes while null; what comes is kept within its credit.
  void setConsumer(Consumer* consumer);
  bool isConsumer(const Consumer& consumer) const { return consumer_ == &consumer; }
  // Nobody consumes any more, if this one did.
  void release(const Consumer& consumer) {
    if (consumer_ == &consumer) setConsumer(nullptr);
  }
  // Goes on after a consumer said kAgain.
  void resume();
  std::size_t size() const { return size_; }
  // Drops everything, reason `no_route`: the module is gone from the deployment.
  void clear();

  bool run(Shard& shard) override;

 private:
  // First in first out over a power of two, grown by doubling: credit is what bounds it.
  class Ring {
   public:
    bool empty() const { return head_ == tail_; }
    std::size_t size() const { return tail_ - head_; }
    void push(Delivery&& delivery);
    Delivery pop();
    void pushFront(Delivery&& delivery);  // Only what was just popped.
    Delivery* at(std::size_t i) { return &slots_[(head_ + i) & (slots_.size() - 1)]; }
    void erase(std::size_t i);

   private:
    std::vector<Delivery> slots_;
    std::size_t head_ = 0;
    std::size_t tail_ = 0;
  };

  const std::string name_;
  Shard& shard_;
  Consumer* consumer_ = nullptr;
  bool resting_ = false;
  std::uint32_t nonempty_ = 0;  // Bit i: rings_[i] has deliveries.
  std::size_t size_ = 0;
  std::atomic<std::size_t> waiting_{0};
  std::array<Ring, kPriorities> rings_;
  std::vector<std::string> input_names_;
};

}  // namespace kante
