#include "host/store/queue_table.h"

#include <algorithm>
#include <cstring>

#include "host/store/crc32c.h"
#include "host/store/queue_keys.h"

namespace kante {
const char* name(StoreDrop reason) {
  switch (reason) {
    case StoreDrop::kTtl: return "ttl";
    case StoreDrop::kStoreFull: return "store_full";
    case StoreDrop::kBudget: return "budget";
    case StoreDrop::kQuarantine: return "quarantine";
    case StoreDrop::kPurged: return "purged";
    case StoreDrop::kCorrupt: return "corrupt";
  }
  return "unknown";
}

// ---- groups ----

bool QueueTable::isTouched(const QueueState& queue) const {
  return std::any_of(touched_.begin(), touched_.end(),
                     [&](const Saved& saved) { return saved.queue == &queue; });
}

void QueueTable::touch(QueueState& queue) {
  if (isTouched(queue)) return;
  touched_.push_back({&queue, queue.counts, queue.reading});
}

void QueueTable::writeBack(Transaction& txn) {
  for (const Saved& saved : touched_) {
    const QueueCounts& counts = saved.queue->counts;
    std::uint8_t* to = txn.reserve(txn.tables.queues, saved.queue->name, kCountsBytes);
    if (to == nullptr) return;
    const std::uint32_t crc = crc32c(&counts, sizeof counts);
    std::memcpy(to, &counts, sizeof counts);
    std::memcpy(to + sizeof counts, &crc, sizeof crc);
  }
}

void QueueTable::publish(QueueState& queue) {
  if (queue.handle == nullptr) return;
  DurableQueue& handle = *queue.handle;
  handle.messages_.store(queue.counts.messages, std::memory_order_relaxed);
  handle.bytes_.store(queue.counts.bytes, std::memory_order_relaxed);
  handle.next_number_.store(queue.counts.next_number, std::memory_order_relaxed);
  for (std::size_t i = 0; i < kStoreDrops; ++i) {
    handle.dropped_[i].store(queue.counts.dropped[i], std::memory_order_relaxed);
  }
}

void QueueTable::countCommitted(const QueueState& queue, const QueueCounts& before) {
  if (queue.spec.drops_told == QueueSpec::DropsTold::kByOwner) return;
  const QueueCounts& after = queue.counts;
  for (std::size_t i = 0; i < kStoreDrops; ++i) {
    if (after.dropped[i] <= before.dropped[i]) continue;
    drops_[i].fetch_add(after.dropped[i] - before.dropped[i], std::memory_order_relaxed);
  }
}

void QueueTable::committed() {
  for (const Saved& saved : touched_) {
    countCommitted(*saved.queue, saved.counts);
    publish(*saved.queue);
  }
  touched_.clear();
  undo_.clear();
  std::erase_if(refusing_, [this](QueueState* queue) {
    const bool still = policy(*queue) == FullPolicy::kRefuse && full(*queue, 1);
    queue->handle->refusing_.store(still, std::memory_order_relaxed);
    return !still;
  });
}

void QueueTable::undo() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  for (const Saved& saved : touched_) {
    saved.queue->counts = saved.counts;
    saved.queue->reading = saved.reading;
  }
  touched_.clear();
  undo_.clear();
  bytes_ = 0;
  for (const auto& queue : queues_) bytes_ += queue->counts.bytes;
}

// ---- in ----

FullPolicy QueueTable::policy(const QueueState& queue) const {
  switch (queue.spec.full) {
    case QueueSpec::Full::kDropLowest: return FullPolicy::kDropLowest;
    case QueueSpec::Full::kRefuse: return FullPolicy::kRefuse;
    case QueueSpec::Full::kStoreDefault: break;
  }
  return bounds_.full;
}

bool QueueTable::full(const QueueState& queue, std::uint64_t more) const {
  const QueueSpec& spec = queue.spec;
  return bytes_ + other_bytes_ + more > bounds_.bytes_max ||
         (spec.messages_max != 0 && queue.counts.messages + 1 > spec.messages_max) ||
         (spec.bytes_max != 0 && queue.counts.bytes + more > spec.bytes_max);
}

QueueState* QueueTable::largestDroppable() {
  QueueState* largest = nullptr;
  for (const auto& queue : queues_) {
    if (policy(*queue) != FullPolicy::kDropLowest || !queue->hasUntaken()) continue;
    if (largest == nullptr || queue->counts.bytes > largest->counts.bytes) largest = queue.get();
  }
  return largest;
}

// Drops the oldest untaken message of the lowest priority, if that is no better than `priority`.
bool QueueTable::dropOne(Transaction& txn, QueueState& queue, std::uint8_t priority,
                         StoreDrop reason) {
  for (int lowest = kPriorities - 1; lowest >= priority; --lowest) {
    const auto at = static_cast<std::uint8_t>(lowest);
    if (queue.counts.by_priority[at] == 0) continue;
    QueueToken token{at, 0};
    bool found = false;
    {
      Cursor cursor(txn, txn.tables.entries);
      for (bool more = cursor.seek(entryKey(queue.counts.id, token)); more; more = cursor.next()) {
        if (readBig<std::uint32_t>(cursor.key(), 0) != queue.counts.id) break;
        token = tokenOf(cursor.key(), 4);
        if (token.priority != at) break;
        found = !queue.taken.contains(token);
        if (found) break;
      }
    }
    if (!found) continue;
    remove(txn, queue, token);
    countDrop(queue, reason);
    return !txn.failed();
  }
  return false;
}

void QueueTable::dropBeyond(Transaction& txn, QueueState& queue, std::uint64_t keep,
                            StoreDrop reason) {
  touch(queue);
  for (std::uint32_t dropped = 0; dropped < kDroppedAtOnce; ++dropped) {
    if (queue.counts.messages <= queue.taken.size() + keep || !dropOne(txn, queue, 0, reason))
      return;
  }
}

QueueTable::Room QueueTable::makeRoom(Transaction& txn, QueueState& queue, std::uint64_t bytes,
                                      std::uint8_t priority) {
  while (full(queue, bytes)) {
    if (txn.failed() || policy(queue) == FullPolicy::kRefuse) return Room::kNo;
    if (dropOne(txn, queue, priority, StoreDrop::kStoreFull)) continue;
    if (queue.hasUntaken()) return Room::kDropIncoming;  // All that waits is more important.
    QueueState* other = largestDroppable();
    if (other == nullptr || other == &queue || !dropOne(txn, *other, 0, StoreDrop::kStoreFull)) {
      return Room::kNo;
    }
  }
  return Room::kYes;
}

void QueueTable::insert(Transaction& txn, QueueState& queue, std::uint8_t priority,
                        const RecordView& record) {
  const QueueToken token{priority, queue.counts.next_position};
  const std::size_t bytes = recordBytes(record);
  std::uint8_t* to = txn.reserveEntry(entryKey(queue.counts.id, token), bytes);
  if (to == nullptr) return;
  encodeRecord(record, to);
  if (record.expires_ns != 0) {
    txn.put(txn.tables.expiry, expiryKey(record.expires_ns, queue.counts.id, token), {});
  }
  ++queue.counts.next_position;
  ++queue.counts.messages;
  ++queue.counts.by_priority[priority];
  queue.counts.bytes += kKeyBytes + bytes;
  bytes_ += kKeyBytes + bytes;
}

RecordView QueueTable::recordOf(const Entry& entry, StoreTime now) {
  RecordView record;
  record.message = entry.message.view();
  if (entry.hop.source != nullptr) record.source = SourceView::of(*entry.hop.source);
  record.enqueued_ns = now.store_ns;
  record.arrived_ns = entry.hop.arrived_ns;
  record.hops = entry.hop.hops;
  record.origin_number = entry.hop.origin_number;
  return record;
}

CommitResult QueueTable::append(Transaction& txn, QueueState& queue, const Entry& entry,
                                StoreTime now) {
  touch(queue);
  RecordView record = recordOf(entry, now);
  const MessageView message = record.message;
  constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
  std::int64_t left_ns = entry.ttl_ns > 0 ? entry.ttl_ns : never;
  if (message.expiryNs() != 0) left_ns = std::min(left_ns, message.expiryNs() - now.wall_ns);
  if (left_ns <= 0) {
    countDrop(queue, StoreDrop::kTtl);
    return CommitResult::kCommitted;
  }
  if (left_ns < never - now.store_ns) record.expires_ns = now.store_ns + left_ns;
  const auto priority = std::min<std::uint8_t>(entry.priority, kPriorities - 1);
  switch (makeRoom(txn, queue, kKeyBytes + recordBytes(record), priority)) {
    case Room::kYes: break;
    case Room::kNo:
      if (queue.handle != nullptr && policy(queue) == FullPolicy::kRefuse)
        refusing_.push_back(&queue);
      return CommitResult::kFull;
    case Room::kDropIncoming:
      countDrop(queue, StoreDrop::kStoreFull);
      return CommitResult::kCommitted;
  }
  insert(txn, queue, priority, record);
  return CommitResult::kCommitted;
}

// ---- out ----

void QueueTable::countDrop(QueueState& queue, StoreDrop reason, std::uint64_t count) {
  queue.counts.dropped[static_cast<std::size_t>(reason)] += count;
  queue.counts.unnumbered_drops += count;
}

bool QueueTable::remove(Transaction& txn, QueueState& queue, QueueToken token) {
  touch(queue);
  std::string_view record;
  const KeyBuilder key = entryKey(queue.counts.id, token);
  if (!txn.findEntry(key, record)) return false;
  const std::uint64_t bytes = kKeyBytes + record.size();
  const std::int64_t expires = peekExpires(record);
  txn.eraseFoundEntry();
  if (expires != 0) txn.erase(txn.tables.expiry, expiryKey(expires, queue.counts.id, token));
  if (txn.failed()) return false;
  --queue.counts.messages;
  --queue.counts.by_priority[token.priority];
  queue.counts.bytes -= std::min(queue.counts.bytes, bytes);
  bytes_ -= std::min(bytes_, bytes);
  return true;
}

void QueueTable::setTaken(QueueState& queue, QueueToken token, std::uint64_t number) {
  queue.taken.insert_or_assign(queue.taken.end(), token, number);
  undo_.emplace_back([&queue, token] { queue.taken.erase(token); });
}

void QueueTable::settleNumber(Transaction& txn, QueueState& queue, std::uint64_t number) {
  auto range = queue.ranges.upper_bound(number);
  if (range == queue.ranges.begin()) return;
  --range;
  const std::uint64_t first = range->first;
  const QueueState::Range before = range->second;
  undo_.emplace_back([&queue, first, before] { queue.ranges[first] = before; });
  if (--range->second.open > 0) return;
  queue.ranges.erase(range);
  KeyBuilder key;
  key.add(queue.counts.id).add(first);
  txn.erase(txn.tables.numbers, key);
}

void QueueTable::settle(Transaction& txn, QueueState& queue, QueueToken token) {
  const auto it = queue.taken.find(token);
  if (it == queue.taken.end()) return;
  const std::uint64_t number = it->second;
  // What an ambiguous commit removed already is not open in its range either.
  const bool there = remove(txn, queue, token);
  queue.taken.erase(it);
  undo_.emplace_back([&queue, token, number] { queue.taken[token] = number; });
  if (number == 0) return;
  const auto given_back = std::find_if(queue.again.begin(), queue.again.end(),
                                       [token](const auto& again) { return again.token == token; });
  if (given_back != queue.again.end()) {
    const auto at = static_cast<std::size_t>(given_back - queue.again.begin());
    queue.again.erase(given_back);
    undo_.emplace_back([&queue, token, number, at] {
      queue.again.insert(queue.again.begin() + static_cast<std::ptrdiff_t>(at), {token, number});
    });
  }
  if (there) settleNumber(txn, queue, number);
}

void QueueTable::acknowledge(Transaction& txn, QueueState& queue,
                             const std::vector<QueueToken>& tokens) {
  for (const QueueToken token : tokens) settle(txn, queue, token);
}

void QueueTable::markBacklog(QueueState& queue) {
  touch(queue);
  queue.reading.backlog_until = queue.counts.next_position;
  if (queue.spec.order != QueueSpec::Order::kLiveFirst) return;
  queue.reading.live_from = queue.counts.next_position;
  queue.reading.live.fill(queue.reading.live_from);
}

std::uint64_t QueueTable::purge(Transaction& txn, QueueState& queue, std::uint64_t before) {
  touch(queue);
  std::vector<QueueToken> tokens;
  {
    Cursor cursor(txn, txn.tables.entries);
    for (bool more = cursor.seek(entryKey(queue.counts.id, {}));
         more && tokens.size() < kPurgedPerGroup; more = cursor.next()) {
      if (readBig<std::uint32_t>(cursor.key(), 0) != queue.counts.id) break;
      const QueueToken token = tokenOf(cursor.key(), 4);
      if (token.position < before && !queue.taken.contains(token)) tokens.push_back(token);
    }
  }
  for (const QueueToken token : tokens) remove(txn, queue, token);
  if (txn.failed()) return 0;
  countDrop(queue, StoreDrop::kPurged, tokens.size());
  return tokens.size();
}

void QueueTable::sweepExpired(Transaction& txn, StoreTime now) {
  struct Expired {
    QueueState* queue;
    QueueToken token;
  };
  std::vector<Expired> expired;
  std::vector<std::string> orphans;  // Of no queue: they would be found again and again.
  {
    Cursor cursor(txn, txn.tables.expiry);
    for (bool more = cursor.seek({}); more && expired.size() < kSweptPerGroup;
         more = cursor.next()) {
      if (readBig<std::uint64_t>(cursor.key(), 0) > static_cast<std::uint64_t>(now.store_ns)) break;
      QueueState* queue = byId(readBig<std::uint32_t>(cursor.key(), 8));
      const QueueToken token = tokenOf(cursor.key(), 12);
      if (queue == nullptr) {
        orphans.emplace_back(cursor.key());
      } else if (!queue->taken.contains(token)) {  // Else it is on its way, unless it comes back.
        expired.push_back({queue, token});
      }
    }
  }
  for (const std::string& key : orphans) txn.erase(txn.tables.expiry, key);
  for (const auto& [queue, token] : expired) {
    if (remove(txn, *queue, token)) countDrop(*queue, StoreDrop::kTtl);
  }
}

std::int64_t QueueTable::nextExpiry(Transaction& txn) {
  Cursor cursor(txn, txn.tables.expiry);
  for (bool more = cursor.seek({}); more; more = cursor.next()) {
    const QueueState* queue = byId(readBig<std::uint32_t>(cursor.key(), 8));
    if (queue != nullptr && queue->taken.contains(tokenOf(cursor.key(), 12))) continue;
    return static_cast<std::int64_t>(readBig<std::uint64_t>(cursor.key(), 0));
  }
  return 0;
}

}  // namespace kante
