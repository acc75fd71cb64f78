#include "host/store/store.h"

#include <algorithm>

#include "host/base/metrics.h"
#include "host/store/store_core.h"

namespace kante {

// ---- what the store shows of itself ----

void StoreCore::publish() {
  const std::lock_guard lock(mutex_);
  status_.bytes = queues_->bytes() + areas_->bytes();
  std::size_t count = 0;
  for (const auto& queue : queues_->all()) {
    if (QueueTable::idle(*queue)) continue;
    if (count == shown_.size()) shown_.emplace_back();
    QueueStats& shown = shown_[count++];
    if (shown.name != queue->name) shown.name = queue->name;
    shown.messages = queue->counts.messages;
    shown.bytes = queue->counts.bytes;
    shown.detached = QueueTable::detached(*queue);
    std::copy_n(queue->counts.dropped.begin(), kStoreDrops, shown.dropped.begin());
    if (queue->handle == nullptr) continue;
    shown.dropped[static_cast<std::size_t>(StoreDrop::kStoreFull)] += queue->handle->refused();
  }
  shown_.resize(count);
}

StoreStatus StoreCore::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

std::vector<QueueStats> StoreCore::shown() const {
  const std::lock_guard lock(mutex_);
  return shown_;
}

std::map<std::string, std::uint64_t> StoreCore::dropped() const {
  std::map<std::string, std::uint64_t> out;
  for (std::size_t i = 0; i < kStoreDrops; ++i) {
    const auto reason = static_cast<StoreDrop>(i);
    if (const std::uint64_t count = queues_->dropped(reason); count > 0) out[name(reason)] += count;
  }
  const std::uint64_t refused = refused_offers_.load(std::memory_order_relaxed);
  if (refused > 0) out[name(StoreDrop::kStoreFull)] += refused;
  return out;
}

void StoreCore::collect(MetricWriter& metrics) const {
  StoreStatus status;
  std::vector<QueueStats> queues;
  {
    const std::lock_guard lock(mutex_);
    status = status_;
    queues = shown_;
  }
  metrics.gauge("kante_store_bytes", "Keys and bodies in the store", {},
                static_cast<double>(status.bytes));
  metrics.gauge("kante_store_max_bytes", "What keys and bodies may take", {},
                static_cast<double>(status.max_bytes));
  metrics.gauge("kante_store_failing", "1 while the store cannot be written", {},
                status.failing ? 1 : 0);
  metrics.counter("kante_store_groups_total", "Commits to the store", {},
                  static_cast<double>(status.groups));
  metrics.counter("kante_store_messages_total", "Messages offered to the store", {},
                  static_cast<double>(status.group_messages));
  // The route is not known any more once a queue holds a message.
  for (const auto& [reason, count] : dropped()) {
    metrics.counter("kante_dropped_total", "Messages dropped, by route and reason.",
                    {{"route", ""}, {"reason", reason}}, static_cast<double>(count));
  }
  for (const QueueStats& queue : queues) {
    metrics.gauge("kante_queue_messages", "Messages in a durable queue", {{"queue", queue.name}},
                  static_cast<double>(queue.messages));
    metrics.gauge("kante_queue_bytes", "Bytes in a durable queue", {{"queue", queue.name}},
                  static_cast<double>(queue.bytes));
    if (queue.detached) {
      metrics.gauge("kante_queue_detached", "1: no route names the queue, it is only kept",
                    {{"queue", queue.name}}, 1);
    }
    for (std::size_t reason = 0; reason < kStoreDrops; ++reason) {
      if (queue.dropped[reason] == 0) continue;
      metrics.counter("kante_queue_dropped_total", "Messages that left a durable queue undelivered",
                      {{"queue", queue.name}, {"reason", name(static_cast<StoreDrop>(reason))}},
                      static_cast<double>(queue.dropped[reason]));
    }
  }
}

Status StoreCore::applyWrites(Transaction& txn, const std::vector<KeyValue::Write>& writes) {
  if (txn.failed() || writes.empty()) return {};
  // What does not fit is refused whole; the others of its group stand.
  KANTE_CHECK(areas_->fits(writes));
  areas_->apply(txn, writes);
  return {};
}

// ---- Store ----

Store::Store(std::unique_ptr<StoreCore> core) : core_(std::move(core)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(StoreOptions options, const Clock& clock, Log& log) {
  auto core = std::make_unique<StoreCore>(std::move(options), clock, log);
  KANTE_CHECK(core->open());
  core->start();
  return std::unique_ptr<Store>(new Store(std::move(core)));
}

Result<DurableQueue*> Store::queue(const std::string& name, QueueSpec spec) {
  if (!core_->status().durable) {
    return fail(Errc::kLimit, "store: the disk has no room for durable queues; free some space");
  }
  if (name.empty() || name.size() > kQueueNameBytesMax) {
    return fail(Errc::kInvalid, "store: a queue's name has 1 to 400 bytes");
  }
  DurableQueue* handle = nullptr;
  KANTE_CHECK(core_->perform([this, &name, &spec, &handle](Transaction& txn) -> Status {
    QueueState* queue = core_->queues().make(txn, name);
    if (queue == nullptr) {
      return fail(Errc::kLimit,
                  "store: there are " + std::to_string(kQueuesMax) + " queues already");
    }
    QueueTable::setSpec(*queue, spec);
    queue->attached = true;
    handle = core_->handle(*queue);
    return {};
  }));
  return handle;
}

void Store::detach(DurableQueue& queue) {
  StoreCore::Operation operation;
  operation.apply = [&queue](Transaction&) { queue.state_.attached = false; };
  core_->post(std::move(operation));
}

Result<DurableQueue*> Store::find(const std::string& name) {
  DurableQueue* handle = nullptr;
  KANTE_CHECK(core_->perform([this, &name, &handle](Transaction&) -> Status {
    QueueState* queue = core_->queues().find(name);
    if (queue == nullptr) return fail(Errc::kNotFound, "there is no queue " + name);
    handle = core_->handle(*queue);
    return {};
  }));
  return handle;
}

Result<std::vector<QueueStats>> Store::queues() {
  std::vector<QueueStats> all;
  KANTE_CHECK(core_->perform([this, &all](Transaction& txn) -> Status {
    all.clear();
    for (const auto& queue : core_->queues().all()) {
      if (QueueTable::idle(*queue)) continue;
      all.push_back(core_->queues().stats(txn, *queue, core_->now()));
    }
    return {};
  }));
  return all;
}

Result<bool> Store::failStored(const StoredMessage& message, std::uint32_t attempts_max,
                               const std::string& reason) {
  bool found = false;
  KANTE_CHECK(core_->perform([&](Transaction& txn) -> Status {
    found = core_->queues().failStored(txn, message, attempts_max, reason);
    return {};
  }));
  return found;
}

Status Store::quarantine(const Entry& entry, const std::string& reason, const std::string& origin) {
  return core_->perform([&](Transaction& txn) {
    return core_->queues().quarantine(txn, entry, reason, origin, core_->now());
  });
}

Result<std::string> Store::requeue(const std::string& id) {
  std::string origin;
  KANTE_CHECK(core_->perform([&](Transaction& txn) -> Status {
    KANTE_TRY(found, core_->queues().requeue(txn, id, core_->now()));
    origin = std::move(found);
    return {};
  }));
  return origin;
}

KeyValue& Store::keyValue() { return core_->keyValue(); }
Offer Store::exchange(StoreExchange& exchange) { return core_->exchange(exchange); }
void Store::whenRoom(std::function<void()> again) { core_->whenRoom(std::move(again)); }
const std::string& Store::epoch() const { return core_->epoch(); }
StoreStatus Store::status() const { return core_->status(); }
std::vector<QueueStats> Store::shown() const { return core_->shown(); }
std::map<std::string, std::uint64_t> Store::dropped() const { return core_->dropped(); }

void Store::collect(MetricWriter& metrics) const { core_->collect(metrics); }

}  // namespace kante
