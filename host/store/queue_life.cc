// The lives of queues in QueueTable: made, read at the start, detached, forgotten when empty.
#include <algorithm>
#include <cstring>

#include "host/store/crc32c.h"
#include "host/store/queue_keys.h"
#include "host/store/queue_table.h"
#include "host/store/store.h"

namespace kante {

QueueState* QueueTable::find(const std::string& name) {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

QueueState* QueueTable::byId(std::uint32_t id) {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : it->second;
}

QueueState* QueueTable::make(Transaction& txn, const std::string& name) {
  if (QueueState* queue = find(name)) return queue;
  if (queues_.size() >= Store::kQueuesMax) forgetEmpty(txn);
  if (queues_.size() >= Store::kQueuesMax && name != kQuarantineQueue) return nullptr;
  return &admit(name);
}

QueueState& QueueTable::admit(const std::string& name) {
  std::unique_ptr<QueueState> made = stateNamed(name);
  QueueState& queue = *made;
  queue.counts = {};
  queue.counts.id = by_id_.empty() ? 1 : by_id_.rbegin()->first + 1;
  queue.reading = {};
  queue.handed = queue.handed_before = {};
  queue.remembers = false;
  keep(std::move(made));
  undo_.emplace_back([this, &queue] { leave(queue); });
  touch(queue);
  return queue;
}

std::unique_ptr<QueueState> QueueTable::stateNamed(const std::string& name) {
  if (const auto gone = gone_.find(name); gone != gone_.end()) {
    std::unique_ptr<QueueState> state = std::move(gone->second);
    gone_.erase(gone);
    return state;
  }
  auto state = std::make_unique<QueueState>();
  state->name = name;
  if (name == kQuarantineQueue) state->spec = quarantineSpec();
  return state;
}

QueueState& QueueTable::revive(QueueState& queue) {
  if (find(queue.name) == nullptr) admit(queue.name);
  return queue;
}

void QueueTable::keep(std::unique_ptr<QueueState> queue) {
  by_name_[queue->name] = queue.get();
  by_id_[queue->counts.id] = queue.get();
  if (queue->handle != nullptr) queue->handle->id_.store(queue->counts.id);
  queues_.push_back(std::move(queue));
}

// A handle may point to it, so it stays in memory, where only its name is found.
void QueueTable::leave(QueueState& queue) {
  const auto at = std::find_if(queues_.begin(), queues_.end(),
                               [&queue](const auto& each) { return each.get() == &queue; });
  by_name_.erase(queue.name);
  by_id_.erase(queue.counts.id);
  gone_[queue.name] = std::move(*at);
  queues_.erase(at);
}

void QueueTable::setSpec(QueueState& queue, const QueueSpec& spec) {
  if (queue.name != kQuarantineQueue) queue.spec = spec;
}

bool QueueTable::detached(const QueueState& queue) {
  return !queue.attached && queue.name != kQuarantineQueue;
}

// Nobody would miss it: numbers must go on where they were, so what gave some is not forgotten.
bool QueueTable::idle(const QueueState& queue) {
  return detached(queue) && queue.counts.messages == 0 && queue.counts.next_number == 1 &&
         !queue.waiting;
}

// With it goes what was remembered of what it had handed out.
void QueueTable::forget(Transaction& txn, const std::string& name, std::uint32_t id) {
  txn.erase(txn.tables.queues, name);
  txn.erase(txn.tables.numbers, KeyBuilder().add(id).add(std::uint64_t{0}));
}

void QueueTable::forgetEmpty(Transaction& txn) {
  for (std::size_t i = queues_.size(); i-- > 0;) {
    QueueState& queue = *queues_[i];
    if (!idle(queue) || isTouched(queue)) continue;
    forget(txn, queue.name, queue.counts.id);
    leave(queue);
    undo_.emplace_back([this, &queue] {
      const auto gone = gone_.find(queue.name);
      std::unique_ptr<QueueState> state = std::move(gone->second);
      gone_.erase(gone);
      keep(std::move(state));
    });
  }
}

Status QueueTable::load(Transaction& txn) {
  bytes_ = 0;
  std::vector<std::pair<std::string, std::uint32_t>> empty;
  Cursor cursor(txn, txn.tables.queues);
  for (bool more = cursor.seek({}); more; more = cursor.next()) {
    const std::string_view value = cursor.value();
    std::uint32_t crc = 0;
    QueueCounts counts;
    if (value.size() != kCountsBytes) return fail(Errc::kCorrupt, "queue record: wrong size");
    std::memcpy(&counts, value.data(), sizeof counts);
    std::memcpy(&crc, value.data() + sizeof counts, sizeof crc);
    if (crc32c(value.data(), sizeof counts) != crc) {
      return fail(Errc::kCorrupt, "queue record: wrong checksum");
    }
    const std::string queue_name(cursor.key());
    QueueState* queue = find(queue_name);
    if (queue == nullptr) {
      // Of the last life, or of a group of which nobody knew whether it came to the disk.
      if (counts.messages == 0 && counts.next_number == 1) {
        empty.emplace_back(queue_name, counts.id);
        continue;
      }
      std::unique_ptr<QueueState> loaded = stateNamed(queue_name);
      queue = loaded.get();
      queue->counts.id = counts.id;
      keep(std::move(loaded));
    }
    queue->counts = counts;
    queue->reading.backlog.fill(0);
    queue->ranges.clear();
    for (const QueueState::Again& again : queue->again) queue->taken.erase(again.token);
    queue->again.clear();
    bytes_ += counts.bytes;
  }
  for (const auto& [queue_name, id] : empty) forget(txn, queue_name, id);
  KANTE_CHECK(loadNumbers(txn));
  if (txn.failed()) return fail(Errc::kIo, std::string("queues: ") + mdb_strerror(txn.error()));
  return {};
}

Status QueueTable::loadNumbers(Transaction& txn) {
  Cursor cursor(txn, txn.tables.numbers);
  for (bool more = cursor.seek({}); more; more = cursor.next()) {
    const std::string_view key = cursor.key();
    const std::string_view value = cursor.value();
    if (key.size() != 12 || value.size() < 16) return fail(Errc::kCorrupt, "numbers: wrong size");
    std::uint32_t crc = 0;
    std::memcpy(&crc, value.data() + value.size() - 4, 4);
    const auto count = readBig<std::uint32_t>(value, 8);
    if (value.size() != 16 + std::size_t{count} * 9 ||
        crc32c(value.data(), value.size() - 4, crc32c(key.data(), key.size())) != crc) {
      return fail(Errc::kCorrupt, "numbers: wrong checksum");
    }
    QueueState* queue = byId(readBig<std::uint32_t>(key, 0));
    if (queue == nullptr) continue;
    const auto first = readBig<std::uint64_t>(key, 4);
    if (first == 0) {
      loadHanded(*queue, value.substr(12, std::size_t{count} * 9));
      continue;
    }
    QueueState::Range range{0, readBig<std::uint64_t>(value, 0)};
    for (std::uint32_t i = 0; i < count; ++i) {
      const QueueToken token = tokenOf(value, 12 + std::size_t{i} * 9);
      std::string_view record;
      if (!txn.get(txn.tables.entries, entryKey(queue->counts.id, token), record)) continue;
      ++range.open;
      if (queue->taken.try_emplace(token, first + i).second) {
        queue->again.push_back({token, first + i});
      }
    }
    if (range.open > 0) queue->ranges[first] = range;
  }
  return {};
}

}  // namespace kante
