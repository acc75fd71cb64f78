// The way back of QueueTable: what a consumer did not take, and what it was not the first to get.
#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include "host/store/crc32c.h"
#include "host/store/queue_keys.h"
#include "host/store/queue_table.h"

namespace kante {
namespace {

void raise(std::uint8_t& count) {
  if (count < std::numeric_limits<std::uint8_t>::max()) ++count;
}

void raise(RecordView& record, Return how) {
  if (how == Return::kFailed) raise(record.attempts);
  if (how == Return::kDelivered) raise(record.deliveries);
}

// A record outside of the map, which the next write may move.
struct Copy {
  std::vector<std::uint64_t> words;
  Result<RecordView> record;

  explicit Copy(std::string_view bytes) : words((bytes.size() + 7) / 8), record(RecordView()) {
    std::memcpy(words.data(), bytes.data(), bytes.size());
    record = decodeRecord({reinterpret_cast<const char*>(words.data()), bytes.size()});
  }
};

}  // namespace

void QueueTable::recount(Transaction& txn, QueueState& queue, QueueToken token, Return how) {
  const KeyBuilder key = entryKey(queue.counts.id, token);
  std::string_view bytes;
  if (how == Return::kUntouched || !txn.get(txn.tables.entries, key, bytes)) return;
  Copy copy(bytes);
  if (copy.record.has_error()) return;  // The next take finds it, too.
  raise(*copy.record, how);
  std::uint8_t* to = txn.reserve(txn.tables.entries, key, bytes.size());
  if (to != nullptr) encodeRecord(*copy.record, to);
}

void QueueTable::giveBack(Transaction& txn, QueueState& queue,
                          const std::vector<QueueToken>& tokens, Return how) {
  touch(queue);
  for (const QueueToken token : tokens) {
    const auto it = queue.taken.find(token);
    if (it == queue.taken.end()) continue;
    if (const std::uint64_t number = it->second; number != 0) {
      // A number is for good: it comes again with it, before what has a later one or none.
      const auto later =
          std::find_if(queue.again.begin(), queue.again.end(),
                       [number](const auto& again) { return again.number >= number; });
      if (later != queue.again.end() && later->number == number) continue;  // It is back already.
      queue.again.insert(later, {token, number});
      undo_.emplace_back([&queue, token] {
        std::erase_if(queue.again, [token](const auto& again) { return again.token == token; });
      });
      continue;
    }
    queue.taken.erase(it);
    undo_.emplace_back([&queue, token] { queue.taken[token] = 0; });
    auto& next =
        token.position >= queue.reading.live_from ? queue.reading.live : queue.reading.backlog;
    next[token.priority] = std::min(next[token.priority], token.position);
    recount(txn, queue, token, how);
  }
  if (queue.remembers) writeHanded(txn, queue);
}

void QueueTable::quarantine(Transaction& txn, QueueState& queue, QueueToken token,
                            const std::string& reason, Return how) {
  const auto it = queue.taken.find(token);
  if (it == queue.taken.end()) return;
  touch(queue);
  std::string_view bytes;
  if (!txn.get(txn.tables.entries, entryKey(queue.counts.id, token), bytes)) return;
  Copy copy(bytes);
  const std::uint64_t number = it->second;
  queue.counts.dropped[static_cast<std::size_t>(StoreDrop::kQuarantine)] += 1;
  if (number == 0) ++queue.counts.unnumbered_drops;
  settle(txn, queue, token);
  if (copy.record.has_error()) return;
  RecordView& record = *copy.record;
  QueueState* to = make(txn, kQuarantineQueue);
  if (to == nullptr) return;
  touch(*to);
  raise(record, how);
  record.reason = reason;
  record.origin = queue.name;
  record.number = number;
  record.expires_ns = 0;
  // Whatever is older and no more important makes room for it.
  const std::uint64_t size = kKeyBytes + recordBytes(record);
  if (makeRoom(txn, *to, size, 0) == Room::kYes) insert(txn, *to, token.priority, record);
}

Status QueueTable::quarantine(Transaction& txn, const Entry& entry, const std::string& reason,
                              const std::string& origin, StoreTime now) {
  QueueState* to = make(txn, kQuarantineQueue);
  if (to == nullptr) return fail(Errc::kLimit, "store: there is no queue quarantine");
  touch(*to);
  RecordView record = recordOf(entry, now);
  record.reason = reason;
  record.origin = origin;
  const auto priority = std::min<std::uint8_t>(entry.priority, kPriorities - 1);
  if (makeRoom(txn, *to, kKeyBytes + recordBytes(record), 0) != Room::kYes) {
    return fail(Errc::kLimit, "store: quarantine has no room");
  }
  insert(txn, *to, priority, record);
  return {};
}

Result<std::string> QueueTable::requeue(Transaction& txn, const std::string& id, StoreTime now) {
  QueueState* from = find(kQuarantineQueue);
  QueueToken token;
  std::optional<Copy> copy;
  if (from != nullptr) {
    Cursor cursor(txn, txn.tables.entries);
    for (bool more = cursor.seek(entryKey(from->counts.id, {})); more && !copy;
         more = cursor.next()) {
      if (readBig<std::uint32_t>(cursor.key(), 0) != from->counts.id) break;
      token = tokenOf(cursor.key(), 4);
      if (from->taken.contains(token)) continue;
      copy.emplace(cursor.value());
      if (copy->record.has_error() || formatId(copy->record->message.id()) != id) copy.reset();
    }
  }
  if (!copy) {
    return fail(Errc::kNotFound, "quarantine holds no message " + id +
                                     "; kante queue inspect quarantine shows what it holds");
  }
  RecordView record = *copy->record;
  const std::string origin(record.origin);
  if (origin.empty()) {
    return fail(Errc::kState, "message " + id + " came from no queue, so there is none to put it " +
                                  "back into; kante queue purge quarantine removes it");
  }
  QueueState* to = find(origin);
  if (to == nullptr || idle(*to)) {
    return fail(Errc::kNotFound, "message " + id + " came from queue " + origin +
                                     ", which is gone: no route names it any more");
  }
  record.enqueued_ns = now.store_ns;
  record.number = record.attempts = record.deliveries = 0;
  record.reason = record.origin = {};
  touch(*from);
  touch(*to);
  if (makeRoom(txn, *to, kKeyBytes + recordBytes(record), token.priority) != Room::kYes) {
    return fail(Errc::kLimit, "queue " + origin + " is full; message " + id +
                                  " stays in quarantine until there is room");
  }
  insert(txn, *to, token.priority, record);
  remove(txn, *from, token);
  return origin;
}

bool QueueTable::failStored(Transaction& txn, const StoredMessage& message,
                            std::uint32_t attempts_max, const std::string& reason) {
  QueueState* queue = byId(message.queue);
  std::string_view bytes;
  if (queue == nullptr ||
      !txn.get(txn.tables.entries, entryKey(message.queue, message.token), bytes)) {
    return false;
  }
  const Copy copy(bytes);
  if (copy.record.has_error() || copy.record->message.id() != message.id ||
      queue->taken.contains(message.token)) {
    return false;
  }
  if (copy.record->attempts + 1u < attempts_max) {
    touch(*queue);
    recount(txn, *queue, message.token, Return::kFailed);
    return true;
  }
  setTaken(*queue, message.token, 0);
  quarantine(txn, *queue, message.token, reason, Return::kFailed);
  return true;
}

// ---- what is out ----

void QueueTable::remember(Transaction& txn, QueueState& queue, TakenBatch& batch) {
  queue.remembers = true;
  for (TakenMessage& message : batch.messages) {
    const auto [priority, position] = message.token;
    if (position > queue.handed_before[priority] || position < queue.reading.recounted[priority]) {
      continue;
    }
    queue.reading.recounted[priority] = position + 1;
    raise(message.record, Return::kDelivered);
    recount(txn, queue, message.token, Return::kDelivered);
  }
  writeHanded(txn, queue);
}

void QueueTable::writeHanded(Transaction& txn, QueueState& queue) {
  std::array<std::uint64_t, kPriorities> handed{};
  for (std::uint8_t priority = 0; priority < kPriorities; ++priority) {
    const auto after = queue.taken.lower_bound({static_cast<std::uint8_t>(priority + 1), 0});
    if (after == queue.taken.begin() || std::prev(after)->first.priority != priority) continue;
    handed[priority] = std::prev(after)->first.position;
  }
  if (handed == queue.handed) return;
  undo_.emplace_back([&queue, before = queue.handed] { queue.handed = before; });
  queue.handed = handed;
  std::string value;
  value += std::string_view(KeyBuilder().add(std::uint64_t{0}));
  value += std::string_view(KeyBuilder().add(std::uint32_t{kPriorities}));
  for (std::uint8_t priority = 0; priority < kPriorities; ++priority) {
    value += std::string_view(KeyBuilder().add(priority).add(handed[priority]));
  }
  const KeyBuilder key = KeyBuilder().add(queue.counts.id).add(std::uint64_t{0});
  const std::string_view key_bytes = key;
  const std::uint32_t crc =
      crc32c(value.data(), value.size(), crc32c(key_bytes.data(), key_bytes.size()));
  value.append(reinterpret_cast<const char*>(&crc), sizeof crc);
  txn.put(txn.tables.numbers, key, value);
}

void QueueTable::loadHanded(QueueState& queue, std::string_view entries) {
  // Only at the first load of a life: later ones see what this life wrote.
  const bool first = !queue.remembers;
  queue.remembers = true;
  for (std::size_t at = 0; at + 9 <= entries.size(); at += 9) {
    const auto priority = readBig<std::uint8_t>(entries, at);
    if (priority >= kPriorities) continue;
    queue.handed[priority] = readBig<std::uint64_t>(entries, at + 1);
    if (first) queue.handed_before[priority] = queue.handed[priority];
  }
}

}  // namespace kante
