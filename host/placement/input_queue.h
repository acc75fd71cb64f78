// The queue on disk of one input of a module, and whose turn it is to take from it.
//
// Belongs to the input's name ("module/NAME/INPUT") and outlives instances: one of them has it at a
// time, so that what it did not settle comes to its successor before anything newer.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "host/placement/store_sink.h"
#include "host/shard/link.h"

namespace kante {

// Shared by the route tables that lead to it and by the instances that take from it.
class InputQueue {
 public:
  InputQueue(std::shared_ptr<StoreDoor> door, DurableQueue& queue, std::string input,
             std::function<void()> idle)
      : door_(std::move(door)),
        queue_(queue),
        input_(std::move(input)),
        idle_(std::move(idle)),
        sink_(door_, queue) {
    for (std::size_t i = 0; i < kStoreDrops; ++i)
      dropped_before_[i] = queue.dropped(static_cast<StoreDrop>(i));
  }

  const std::string& input() const { return input_; }
  DurableQueue& queue() { return queue_; }
  StoreDoor& door() { return *door_; }
  DurableSink& sink() { return sink_; }

  // `granted` is called once, on whatever thread, when nobody has it; first come, first served.
  void acquire(const void* who, std::function<void()> granted);
  // Has it no more, or waits for it no more.
  void release(const void* who);
  bool isOwned();

  // Delivered and not settled.
  std::atomic<std::uint64_t> unsettled{0};
  // Messages that the queue lost in this life of the process, by the reasons that people are told.
  std::uint64_t dropped(DropReason reason) const;

 private:
  const std::shared_ptr<StoreDoor> door_;
  DurableQueue& queue_;
  const std::string input_;
  const std::function<void()> idle_;  // Nobody has it any more; on whatever thread.
  StoreSink sink_;
  std::array<std::uint64_t, kStoreDrops> dropped_before_{};
  std::mutex mutex_;  // Once a life of an instance.
  const void* owner_ = nullptr;
  std::vector<std::pair<const void*, std::function<void()>>> waiting_;
};

// All of a gateway, for as long as the module host lives.  Control thread.
class InputQueues {
 public:
  // `idle`: an instance gave one up and no other had waited for it; on whatever thread.
  InputQueues(Store& store, std::shared_ptr<StoreDoor> door, std::function<void()> idle)
      : store_(store), door_(std::move(door)), idle_(std::move(idle)) {}

  // Made if there is none; the spec replaces the one it had.
  Result<std::shared_ptr<InputQueue>> open(const std::string& module, const std::string& input,
                                           const QueueSpec& spec);
  // Null when nothing was ever kept for this input.
  std::shared_ptr<InputQueue> find(const std::string& module, const std::string& input);
  // Those that no route leads to any more and no instance has are detached.
  void detachOthers(const std::set<const InputQueue*>& routed);
  const std::map<std::string, std::shared_ptr<InputQueue>>& all() const { return queues_; }

  static std::string nameOf(const std::string& module, const std::string& input) {
    return "module/" + module + "/" + input;
  }

 private:
  Store& store_;
  const std::shared_ptr<StoreDoor> door_;  // Shared with the sinks.
  const std::function<void()> idle_;
  std::map<std::string, std::shared_ptr<InputQueue>> queues_;  // By the queue's name.
  std::set<std::string> names_;                                // On disk.
  bool names_known_ = false;
  std::set<const InputQueue*> attached_;
};

}  // namespace kante
