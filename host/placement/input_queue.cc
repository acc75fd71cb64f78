#include "host/placement/input_queue.h"

#include <algorithm>

namespace kante {

void InputQueue::acquire(const void* who, std::function<void()> granted) {
  {
    const std::lock_guard lock(mutex_);
    if (owner_ != nullptr) return waiting_.emplace_back(who, std::move(granted)), void();
    owner_ = who;
  }
  granted();
}

void InputQueue::release(const void* who) {
  std::function<void()> granted;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(waiting_, [who](const auto& waiting) { return waiting.first == who; });
    if (owner_ != who) return;
    owner_ = nullptr;
    if (waiting_.empty()) {
      granted = idle_;
    } else {
      owner_ = waiting_.front().first;
      granted = std::move(waiting_.front().second);
      waiting_.erase(waiting_.begin());
    }
  }
  granted();
}

bool InputQueue::isOwned() {
  const std::lock_guard lock(mutex_);
  return owner_ != nullptr;
}

std::uint64_t InputQueue::dropped(DropReason reason) const {
  const auto since = [this](StoreDrop drop) {
    return queue_.dropped(drop) - dropped_before_[static_cast<std::size_t>(drop)];
  };
  switch (reason) {
    case DropReason::kTtl: return since(StoreDrop::kTtl);
    case DropReason::kQuarantine: return since(StoreDrop::kQuarantine);
    case DropReason::kStoreFull: return since(StoreDrop::kStoreFull) + queue_.refused();
    default: return 0;
  }
}

Result<std::shared_ptr<InputQueue>> InputQueues::open(const std::string& module,
                                                      const std::string& input,
                                                      const QueueSpec& spec) {
  const std::string name = nameOf(module, input);
  QueueSpec told_here = spec;
  told_here.drops_told = QueueSpec::DropsTold::kByOwner;
  KANTE_TRY(queue, store_.queue(name, told_here));
  names_.insert(name);
  auto& known = queues_[name];
  if (!known) known = std::make_shared<InputQueue>(door_, *queue, input, idle_);
  attached_.insert(known.get());
  return known;
}

std::shared_ptr<InputQueue> InputQueues::find(const std::string& module, const std::string& input) {
  const std::string name = nameOf(module, input);
  if (const auto known = queues_.find(name);
      known != queues_.end() && attached_.contains(known->second.get())) {
    return known->second;
  }
  if (!std::exchange(names_known_, true)) {
    const auto all = store_.queues();
    if (all.has_error()) return nullptr;
    for (const QueueStats& queue : *all) names_.insert(queue.name);
  }
  if (!names_.contains(name)) return nullptr;
  auto queue = open(module, input, QueueSpec());
  return queue.has_error() ? nullptr : *queue;
}

void InputQueues::detachOthers(const std::set<const InputQueue*>& routed) {
  for (const auto& [name, queue] : queues_) {
    if (routed.contains(queue.get()) || queue->isOwned() || attached_.erase(queue.get()) == 0)
      continue;
    store_.detach(queue->queue());
  }
}

}  // namespace kante
