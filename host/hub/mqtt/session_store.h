// What outlives the process of sessions and retained messages: rows in the store's areas
// (stored_rows.h).
//
// A message is one row, whoever has it: entries and a retained row name it, and the last of them
// that goes takes it along.  Shards hand over batches of changes (journal.h), each of which is
// written whole, with all others that gathered, in one transaction.  Shared by its broker and what
// is still on the way to the disk.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/base/result.h"
#include "host/hub/mqtt/change.h"
#include "host/hub/mqtt/stored_rows.h"
#include "host/hub/mqtt/topic_tree.h"
#include "host/store/key_value.h"

namespace kante {
class Log;
}

namespace kante::hub {

// One session as it was on disk.
struct StoredSession {
  struct Filter {
    std::uint64_t number = 0;
    FilterRow row;
  };
  struct Entry {
    std::uint64_t place = 0;
    EntryRow row;
    PublicationRef publication;  // Null: PUBREL is owed.
  };
  std::uint64_t id = 0;
  SessionRow row;
  std::vector<Filter> filters;
  std::vector<Entry> entries;  // In order of places.
  std::vector<std::uint16_t> packets;
  std::optional<WillRow> will;
};

struct StoredBroker {
  std::vector<StoredSession> sessions;
  std::vector<PublicationRef> retained;
  std::uint64_t ids = 0;      // The greatest of any session, without its engine.
  std::int64_t clock_ns = 0;  // The store's clock less BOOTTIME.
};

class SessionStore : public std::enable_shared_from_this<SessionStore> {
 public:
  struct Options {
    std::uint64_t bytes_max = 128u << 20;  // Of all rows.
  };
  SessionStore(KeyValue& store, Log& log, Options options)
      : store_(store), log_(log), options_(options) {}

  // All that is there, before anything is written.  Rows that are damaged or belong to nobody are
  // removed, counted and named.  Control thread.
  Result<StoredBroker> load(std::int64_t boot_ns);
  std::int64_t clockNs() const { return clock_ns_; }

  struct Batch {
    std::vector<Change> changes;
    Kept kept = Kept::kYes;  // What became of those that may be refused.
    bool written = false;    // All others.
    bool applied = false;    // It was in a transaction; else the store refused it at once.
  };
  // Any thread.  `done` comes on the store's thread, or from here.
  using Done = std::function<void(std::unique_ptr<Batch>)>;
  void write(std::unique_ptr<Batch> batch, Done done);
  // For the last batches of a process, of which nobody else hears any more: says what was not kept.
  void saysLast(const Batch& batch) const;

  // Sessions that are kept here, by engine: whoever publishes asks.
  std::atomic<std::uint32_t>& keptOn(std::uint32_t engine) { return kept_[engine]; }
  std::uint64_t sessions() const;
  std::uint64_t damaged() const { return damaged_.load(std::memory_order_relaxed); }
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  std::uint64_t messages() const { return messages_.load(std::memory_order_relaxed); }

 private:
  struct Loading;
  struct Before {  // For when the transaction fails.
    PublicationRef publication;
    Publication::Stored stored;
  };
  void apply(AreaWriter& writer, Batch& batch);
  void applyOne(AreaWriter& writer, const Change& change);
  void applyEntry(AreaWriter& writer, const Change& change);
  void use(AreaWriter& writer, const PublicationRef& publication);
  void disuse(AreaWriter& writer, const PublicationRef& publication);
  void finish(Batch& batch, const Status& status);
  void undo();
  static void forgetUnkept(Batch& batch);

  KeyValue& store_;
  Log& log_;
  const Options options_;
  std::int64_t clock_ns_ = 0;
  std::array<std::atomic<std::uint32_t>, TopicTree::kShardsMax> kept_{};
  std::atomic<std::uint64_t> damaged_{0};
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> messages_{0};

  // The store's thread, after load().
  std::uint64_t last_message_ = 0;
  std::vector<Batch*> group_;   // In the transaction at hand.
  std::vector<Before> before_;  // It, in order.
  std::uint64_t bytes_before_ = 0;
  std::uint64_t messages_before_ = 0;
  bool squeezed_ = false;  // The transaction is tried again without what takes room.
};

}  // namespace kante::hub
