// What one engine changes on disk: gathered while the batch before is written, so that a shard
// never waits and a commit takes all there is.
//
// What is no longer needed by the time the next batch leaves is not written at all: a message whose
// receiver has acknowledged it costs the disk nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "host/hub/mqtt/session_store.h"

namespace kante::hub {

class Journal {
 public:
  // Without a store nothing is kept.  `wake`: from any thread, for flush().
  Journal(SessionStore* store, std::function<void()> wake);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  bool isOpen() const { return store_ != nullptr; }
  SessionStore& store() const { return *store_; }
  // Places begin at 1.
  std::uint64_t add(Change change);
  // One retained message instead of another; either may be null.  Of a topic that changes often
  // only the last one is written.
  void retain(PublicationRef before, PublicationRef now, AckShare share);
  // It is needed no more; whoever waits for it need not.  False: it has left.
  bool takeBack(std::uint64_t at);

  // Hands over what has gathered, unless a batch is under way.  kAgain: also what could not be
  // written before, and nothing else.
  enum class Effort : bool { kNew, kAgain };
  void hand(Effort effort);
  bool isUnderWay() const { return under_way_; }
  // Something could not be written.
  bool owes() const { return !again_.empty(); }
  // Everything, at the end.
  void handAll();
  // Calls with each change of the batch that was written or refused, and with what became of it.
  template <typename Call>
  void takeDone(Call&& call) {
    const std::unique_ptr<SessionStore::Batch> batch = takeBatch();
    if (!batch) return;
    for (Change& change : batch->changes) {
      if (!change.isRefusable() && !batch->written) {
        again_.push_back(std::move(change));
        continue;
      }
      const Kept kept = change.isRefusable() ? batch->kept : Kept::kYes;
      call(change, kept);
      change.share.release(kept);
    }
  }

 private:
  struct Way;                         // There and back.
  Change* waiting(std::uint64_t at);  // Null: it has left, or there is none.
  std::unique_ptr<SessionStore::Batch> takeBatch();

  static constexpr std::size_t kLastBatch = 256;  // Changes.

  SessionStore* const store_;
  const std::shared_ptr<Way> way_;  // Shared with the store's thread.
  bool under_way_ = false;
  std::vector<Change> waiting_;
  std::uint64_t first_ = 1;  // The place of the first that waits.
  std::vector<Change> again_;
  std::unordered_map<const Publication*, std::uint64_t> retained_;  // Among those that wait.
};

}  // namespace kante::hub
