#include "host/hub/mqtt/session_store.h"

#include <algorithm>
#include "host/base/log.h"

namespace kante::hub {

using Kind = Change::Kind;

std::uint64_t SessionStore::sessions() const {
  std::uint64_t total = 0;
  for (const auto& one : kept_) total += one.load(std::memory_order_relaxed);
  return total;
}

void SessionStore::write(std::unique_ptr<Batch> batch, Done done) {
  constexpr std::uint64_t kBytesMax = 16u << 20;  // A larger one is not refused for its size.
  std::uint64_t bytes = 0;
  for (const Change& change : batch->changes) bytes += change.bytes();
  // Shared by the two callbacks, of which copies are made.
  const auto box = std::make_shared<std::unique_ptr<Batch>>(std::move(batch));
  store_.transact(
      std::min(bytes, kBytesMax),
      [self = shared_from_this(), box](AreaWriter& writer) { self->apply(writer, **box); },
      [self = shared_from_this(), box, done = std::move(done)](const Status& status) {
        self->finish(**box, status);
        done(std::move(*box));
      });
}

// ---- the store's thread

void SessionStore::apply(AreaWriter& writer, Batch& batch) {
  const bool again = std::find(group_.begin(), group_.end(), &batch) != group_.end();
  if (again) {
    undo();
    squeezed_ = true;
  }
  if (group_.empty()) {
    bytes_before_ = bytes();
    messages_before_ = messages();
  }
  group_.push_back(&batch);
  batch.applied = true;
  std::uint64_t bytes_needed = 0;
  for (const Change& change : batch.changes)
    if (change.isRefusable()) bytes_needed += change.bytes();
  const std::uint64_t room = writer.room();
  const bool fits = bytes_needed == 0 || (!squeezed_ && bytes_needed <= room &&
                                          bytes() + bytes_needed <= options_.bytes_max);
  batch.kept = fits ? Kept::kYes : Kept::kNoRoom;
  for (const Change& change : batch.changes)
    if (fits || !change.isRefusable()) applyOne(writer, change);
  bytes_.store(bytes() + room - writer.room(), std::memory_order_relaxed);
}

// One that the store refused at once comes here on the thread that wrote it, while others may be in
// a transaction.
void SessionStore::finish(Batch& batch, const Status& status) {
  batch.written = !status.has_error();
  if (status.has_error())
    batch.kept = status.error().code == Errc::kLimit ? Kept::kNoRoom : Kept::kFailed;
  if (!batch.applied) return;
  if (status.has_error()) {
    undo();
    forgetUnkept(batch);
  }
  // The others of its group hear the same.
  group_.clear();
  before_.clear();
  squeezed_ = false;
}

void SessionStore::saysLast(const Batch& batch) const {
  if (batch.written && batch.kept == Kept::kYes) return;
  const auto lost =
      std::count_if(batch.changes.begin(), batch.changes.end(),
                    [&](const Change& one) { return !batch.written || one.isRefusable(); });
  log_.warn("hub",
            "sessions, wills or messages of the end are not kept: the store has no room for "
            "them or fails",
            {{"changes", std::to_string(lost)}});
}

// Entries that never came to the disk need not leave it: while it fails there is one a message.
void SessionStore::forgetUnkept(Batch& batch) {
  for (Change& change : batch.changes) {
    const bool nowhere = change.publication && change.publication->stored().uses == 0;
    if (change.kind == Kind::kDone && nowhere) change = {};
  }
}

void SessionStore::undo() {
  for (; !before_.empty(); before_.pop_back())
    before_.back().publication->stored() = before_.back().stored;
  if (!group_.empty()) {
    bytes_.store(bytes_before_, std::memory_order_relaxed);
    messages_.store(messages_before_, std::memory_order_relaxed);
  }
  group_.clear();
}

void SessionStore::use(AreaWriter& writer, const PublicationRef& publication) {
  Publication::Stored& stored = publication->stored();
  before_.push_back({publication, stored});
  if (stored.uses++ != 0) return;
  stored.id = ++last_message_;
  writer.put(kMessageRows, rowKey(stored.id), toRow(*publication, clock_ns_));
  messages_.store(messages() + 1, std::memory_order_relaxed);
}

void SessionStore::disuse(AreaWriter& writer, const PublicationRef& publication) {
  Publication::Stored& stored = publication->stored();
  if (stored.uses == 0) return;
  before_.push_back({publication, stored});
  if (--stored.uses != 0) return;
  (void)writer.erase(kMessageRows, rowKey(stored.id));
  messages_.store(messages() - 1, std::memory_order_relaxed);
}

void SessionStore::applyEntry(AreaWriter& writer, const Change& change) {
  EntryRow row;
  row.qos = change.qos;
  row.retain = change.retain;
  row.ids = change.ids;
  const std::string key = rowKey(change.session, change.place);
  if (change.kind == Kind::kEntry) {
    use(writer, change.publication);
    row.message = change.publication->stored().id;
  } else {
    // What could not be kept when it came is not kept afterwards either.
    if (!writer.erase(kEntryRows, key)) return;
    if (change.publication) disuse(writer, change.publication);
  }
  writer.put(kEntryRows, key, toRow(row));
}

void SessionStore::applyOne(AreaWriter& writer, const Change& change) {
  switch (change.kind) {
    case Kind::kNothing: return;
    case Kind::kSession: return writer.put(kSessionRows, rowKey(change.session), change.row);
    case Kind::kFilter:
      return writer.put(kFilterRows, rowKey(change.session, change.place), change.row);
    case Kind::kEntry:
    case Kind::kReceived: return applyEntry(writer, change);
    case Kind::kPacket:
      return writer.put(kPacketRows,
                        packetKey(change.session, static_cast<std::uint16_t>(change.place)), {});
    case Kind::kWill: return writer.put(kWillRows, rowKey(change.session), change.row);
    case Kind::kRetain:
      if (change.before && writer.erase(kRetainedRows, rowKey(change.before->stored().id)))
        disuse(writer, change.before);
      if (!change.publication) return;
      use(writer, change.publication);
      return writer.put(kRetainedRows, rowKey(change.publication->stored().id), {});
    case Kind::kDone:
      if (writer.erase(kEntryRows, rowKey(change.session, change.place)) && change.publication)
        disuse(writer, change.publication);
      return;
    case Kind::kUnfilter:
      (void)writer.erase(kFilterRows, rowKey(change.session, change.place));
      return;
    case Kind::kReleased:
      (void)writer.erase(kPacketRows,
                         packetKey(change.session, static_cast<std::uint16_t>(change.place)));
      return;
    case Kind::kNoWill: (void)writer.erase(kWillRows, rowKey(change.session)); return;
    case Kind::kEnd: {
      const std::string key = rowKey(change.session);
      (void)writer.erase(kSessionRows, key);
      (void)writer.erase(kWillRows, key);
      writer.erasePrefix(kFilterRows, key);
      writer.erasePrefix(kPacketRows, key);
    }
  }
}

}  // namespace kante::hub
