// The reading half of QueueTable: what is handed out, numbered, listed.
#include <algorithm>
#include <cstring>
#include <map>

#include "host/store/crc32c.h"
#include "host/store/queue_keys.h"
#include "host/store/queue_table.h"

namespace kante {
namespace {

bool room(const TakeRequest& request, const TakenBatch& batch, std::uint64_t bytes,
          std::size_t more) {
  if (batch.messages.empty()) return true;
  return batch.messages.size() < std::min(request.messages_max, kTakeMessagesMax) &&
         bytes + more <= std::min(request.bytes_max, kTakeBytesMax);
}

constexpr std::size_t kFirstPieceWords = 512;  // 4 KiB: most batches of a live link fit.
constexpr std::size_t kPieceWords = 8192;      // 64 KiB

// Copies the record out of the map; false when it is damaged.
bool copyOut(std::string_view bytes, QueueToken token, std::uint64_t number, TakenBatch& batch) {
  const std::size_t words = (bytes.size() + 7) / 8;
  auto& memory = batch.memory;
  // In pieces that never move, because the views point into them.
  if (memory.empty() || memory.back().capacity() - memory.back().size() < words) {
    const std::size_t piece = memory.empty() ? kFirstPieceWords : kPieceWords;
    memory.emplace_back().reserve(std::max(piece, words));
  }
  const std::size_t at = memory.back().size();
  memory.back().resize(at + words);
  std::uint64_t* copy = memory.back().data() + at;
  std::memcpy(copy, bytes.data(), bytes.size());
  auto record = decodeRecord({reinterpret_cast<const char*>(copy), bytes.size()});
  if (record.has_error()) {
    memory.back().resize(at);
    return false;
  }
  batch.messages.push_back({token, number, 0, *record});
  return true;
}

// Asks the gate about the last message of the batch, of `size` bytes, and takes it out if it may
// not pass.
bool admitted(const TakeRequest& request, TakenBatch& batch, std::size_t size) {
  if (request.gate == nullptr || request.gate->admit(batch.messages.back())) return true;
  batch.messages.pop_back();
  auto& piece = batch.memory.back();
  piece.resize(piece.size() - (size + 7) / 8);
  batch.held = true;
  return false;
}

// Neighbours of one source within each run of equal priority and age; the order of each source
// stays, and sources come in the order of their first messages.
void groupBySource(std::vector<TakenMessage>& messages, std::size_t first) {
  struct Place {
    std::size_t run, source, at;
    auto operator<=>(const Place&) const = default;
  };
  std::vector<Place> places;
  std::map<std::string_view, std::size_t> sources;
  std::size_t run = 0;
  for (std::size_t i = first; i < messages.size(); ++i) {
    const TakenMessage& message = messages[i];
    if (i > first && (message.token.priority != messages[i - 1].token.priority ||
                      message.backlog != messages[i - 1].backlog)) {
      ++run;
      sources.clear();
    }
    places.push_back(
        {run, sources.try_emplace(message.record.source.telemetry_name, i).first->second, i});
  }
  std::sort(places.begin(), places.end());
  std::vector<TakenMessage> grouped;
  grouped.reserve(places.size());
  for (const Place& place : places) grouped.push_back(messages[place.at]);
  std::copy(grouped.begin(), grouped.end(), messages.begin() + static_cast<std::ptrdiff_t>(first));
}

}  // namespace

void QueueTable::takeAgain(Transaction& txn, QueueState& queue, const TakeRequest& request,
                           TakenBatch& batch, std::uint64_t& bytes) {
  while (!queue.again.empty() && !txn.failed()) {
    const QueueState::Again next = queue.again.front();
    std::string_view value;
    const bool there = txn.get(txn.tables.entries, entryKey(queue.counts.id, next.token), value);
    if (there && !room(request, batch, bytes, value.size())) return;
    const bool whole = there && copyOut(value, next.token, next.number, batch);
    if (whole && !admitted(request, batch, value.size())) return;
    queue.again.pop_front();
    undo_.emplace_back([&queue, next] { queue.again.push_front(next); });
    if (whole) {
      bytes += value.size();
      const auto range = queue.ranges.upper_bound(next.number);
      if (range != queue.ranges.begin())
        batch.messages.back().dropped = std::prev(range)->second.dropped;
      continue;
    }
    batch.lost.push_back({next.token, next.number});
    queue.counts.dropped[static_cast<std::size_t>(StoreDrop::kCorrupt)] += 1;
  }
}

void QueueTable::takeRegion(Transaction& txn, QueueState& queue, std::uint8_t priority,
                            std::uint64_t& next, std::uint64_t end, const TakeRequest& request,
                            StoreTime now, TakenBatch& batch, std::uint64_t& bytes) {
  std::vector<std::pair<QueueToken, StoreDrop>> gone;
  {
    Cursor cursor(txn, txn.tables.entries);
    for (bool more = cursor.seek(entryKey(queue.counts.id, {priority, next})); more;
         more = cursor.next()) {
      const std::string_view key = cursor.key();
      const QueueToken token{readBig<std::uint8_t>(key, 4), readBig<std::uint64_t>(key, 5)};
      if (readBig<std::uint32_t>(key, 0) != queue.counts.id || token.priority != priority ||
          token.position >= end) {
        break;
      }
      if (!queue.taken.contains(token)) {
        const std::string_view value = cursor.value();
        const std::int64_t expires = peekExpires(value);
        const bool backlog = token.position < queue.reading.backlog_until;
        if (expires != 0 && expires <= now.store_ns) {
          gone.emplace_back(token, StoreDrop::kTtl);
        } else if (backlog && batch.backlog >= request.backlog_max) {
          break;
        } else if (!room(request, batch, bytes, value.size())) {
          batch.full = true;
          break;
        } else if (copyOut(value, token, 0, batch)) {
          batch.messages.back().backlog = backlog;
          if (!admitted(request, batch, value.size())) break;
          bytes += value.size();
          if (backlog) ++batch.backlog;
          setTaken(queue, token, 0);
        } else {
          gone.emplace_back(token, StoreDrop::kCorrupt);
        }
      }
      next = token.position + 1;
      if (gone.size() == kSweptPerGroup) break;
    }
  }
  for (const auto& [token, reason] : gone) {
    if (remove(txn, queue, token)) countDrop(queue, reason);
  }
}

void QueueTable::giveNumbers(Transaction& txn, QueueState& queue, TakenBatch& batch,
                             std::size_t first) {
  const std::size_t count = batch.messages.size() - first;
  if (count == 0) return;
  const std::uint64_t number = queue.counts.next_number;
  std::string value;
  value += std::string_view(KeyBuilder().add(queue.counts.unnumbered_drops));
  value += std::string_view(KeyBuilder().add(static_cast<std::uint32_t>(count)));
  for (std::size_t i = 0; i < count; ++i) {
    TakenMessage& message = batch.messages[first + i];
    message.number = number + i;
    message.dropped = queue.counts.unnumbered_drops;
    queue.taken[message.token] = message.number;
    value += std::string_view(KeyBuilder().add(message.token.priority).add(message.token.position));
  }
  const KeyBuilder key = KeyBuilder().add(queue.counts.id).add(number);
  const std::string_view key_bytes = key;
  const std::uint32_t crc =
      crc32c(value.data(), value.size(), crc32c(key_bytes.data(), key_bytes.size()));
  value.append(reinterpret_cast<const char*>(&crc), sizeof crc);
  txn.put(txn.tables.numbers, key, value);
  queue.ranges[number] = {count, queue.counts.unnumbered_drops};
  undo_.emplace_back([&queue, number] { queue.ranges.erase(number); });
  queue.counts.next_number += count;
}

TakenBatch QueueTable::take(Transaction& txn, QueueState& queue, const TakeRequest& request,
                            StoreTime now) {
  TakenBatch batch;
  if (!queue.hasUntaken()) return batch;
  touch(queue);
  if (request.gate != nullptr) request.gate->begin();
  std::uint64_t bytes = 0;
  takeAgain(txn, queue, request, batch, bytes);
  const std::size_t first = batch.messages.size();
  const std::uint64_t live_from = queue.reading.live_from;
  for (std::uint8_t priority = 0;
       priority < kPriorities && queue.again.empty() && !batch.held && !batch.full; ++priority) {
    if (queue.counts.by_priority[priority] == 0) continue;
    if (live_from != QueueState::kNoLive) {
      takeRegion(txn, queue, priority, queue.reading.live[priority], QueueState::kNoLive, request,
                 now, batch, bytes);
    }
    if (batch.held || batch.full) break;
    takeRegion(txn, queue, priority, queue.reading.backlog[priority], live_from, request, now,
               batch, bytes);
  }
  for (TakenMessage& message : batch.messages)
    message.waited_ns = now.store_ns - message.record.enqueued_ns;
  if (request.grouping == TakeRequest::Grouping::kBySource) groupBySource(batch.messages, first);
  if (request.numbering == Numbering::kNumbers) giveNumbers(txn, queue, batch, first);
  if (request.handing == Handing::kRemembered) remember(txn, queue, batch);
  return batch;
}

QueueStats QueueTable::stats(Transaction& txn, const QueueState& queue, StoreTime now) {
  QueueStats stats;
  stats.name = queue.name;
  stats.messages = queue.counts.messages;
  stats.bytes = queue.counts.bytes;
  stats.next_number = queue.counts.next_number;
  stats.detached = detached(queue);
  std::copy_n(queue.counts.dropped.begin(), kStoreDrops, stats.dropped.begin());
  Cursor cursor(txn, txn.tables.entries);
  for (std::uint8_t priority = 0; priority < kPriorities; ++priority) {
    if (queue.counts.by_priority[priority] == 0) continue;
    if (!cursor.seek(entryKey(queue.counts.id, {priority, 0}))) break;
    stats.oldest_ns = std::max(stats.oldest_ns, now.store_ns - peekEnqueued(cursor.value()));
  }
  return stats;
}

std::vector<InspectedMessage> QueueTable::inspect(Transaction& txn, const QueueState& queue,
                                                  std::uint32_t messages_max, StoreTime now) {
  constexpr std::uint64_t kInspectedBytesMax = 4u << 20;
  std::vector<InspectedMessage> messages;
  TakenBatch copies;
  std::uint64_t bytes = 0;
  Cursor cursor(txn, txn.tables.entries);
  for (bool more = cursor.seek(entryKey(queue.counts.id, {})); more; more = cursor.next()) {
    if (readBig<std::uint32_t>(cursor.key(), 0) != queue.counts.id) break;
    if (messages.size() >= messages_max || bytes > kInspectedBytesMax) break;
    const QueueToken token{readBig<std::uint8_t>(cursor.key(), 4),
                           readBig<std::uint64_t>(cursor.key(), 5)};
    bytes += cursor.value().size();
    copies = {};
    if (!copyOut(cursor.value(), token, 0, copies)) continue;
    const RecordView& record = copies.messages.front().record;
    InspectedMessage& message = messages.emplace_back();
    message.id = formatId(record.message.id());
    message.token = token;
    message.enqueued_wall_ns = now.wall_ns - (now.store_ns - record.enqueued_ns);
    message.attempts = record.attempts;
    const auto taken = queue.taken.find(token);
    message.number = taken != queue.taken.end() ? taken->second : record.number;
    message.reason = record.reason;
    message.origin = record.origin;
    message.source = record.source.telemetry_name;
    for (std::uint32_t i = 0; i < record.message.propertyCount(); ++i) {
      const auto [name, value] = record.message.property(i);
      message.properties.emplace_back(name, value);
    }
    message.content_type = record.message.contentType();
    message.body = record.message.body();
  }
  return messages;
}

}  // namespace kante
