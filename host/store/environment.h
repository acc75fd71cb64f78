// The store's directory and its LMDB environment: allocated, checked, opened, and set aside when
// broken.
//
// Used by one thread at a time and by one process (a lock on the directory), so LMDB's own lock
// file and reader table are not made (MDB_NOLOCK): one mapping and one file less to allocate.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "host/base/fd.h"
#include "host/base/result.h"
#include "host/store/transaction.h"

struct MDB_env;

namespace kante {

class Environment {
 public:
  // The map: twice what we count, for pages that are not full, and this for what a group rewrites.
  static constexpr std::uint64_t kSlackBytes = 8u << 20;
  // With less room for messages, durable routes are refused.
  static constexpr std::uint64_t kDurableBytesMin = 2u << 20;
  // A disk with less is full.
  static constexpr std::uint64_t kRoomBytesMin = 64u << 10;
  // Of broken stores; the oldest goes when there is one more.
  static constexpr std::size_t kBrokenKept = 3;

  struct Opened {
    std::unique_ptr<Environment> environment;
    std::string set_aside;  // Where a broken store went, and why; empty: nothing was broken.
    std::string why;
  };
  // `load` reads what the owner needs in the first transaction; kCorrupt from it counts as broken.
  using Load = std::function<Status(Transaction&)>;
  static Result<Opened> open(const std::string& directory, std::uint64_t max_bytes,
                             const Load& load);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  MDB_env* raw() const { return env_; }
  const Tables& tables() const { return tables_; }
  std::uint64_t mapBytes() const { return map_bytes_; }
  // What keys and bodies may take on this disk; at most what was asked for.
  std::uint64_t maxBytes() const { return max_bytes_; }
  // Unmaps nothing, but gives the pages that were read back to the page cache: between
  // transactions.
  void releasePages();
  // Whether the error says that there is no room: some full file systems say EIO, which counts only
  // where the disk is full in fact.
  bool noRoom(int rc) const;
  // Closes LMDB and opens it again, after an error that it does not recover from.
  Status reopen(const Load& load);

 private:
  Environment(std::string directory, std::uint64_t max_bytes)
      : directory_(std::move(directory)), max_bytes_(max_bytes) {}
  Status openAll(const Load& load);
  Status allocate();
  Status create();
  Status openMap(const char* name);
  Status openTables(const Load& load);
  void close();
  void findMap();

  const std::string directory_;
  std::uint64_t max_bytes_;
  std::uint64_t map_bytes_ = 0;
  FileDescriptor dir_;  // Holds the lock.
  MDB_env* env_ = nullptr;
  Tables tables_;
  void* map_ = nullptr;  // Where LMDB mapped the data file; null: not found.
  std::size_t mapped_bytes_ = 0;
};

// The error of an LMDB call; full disks and maps are kLimit, damage kCorrupt, the rest kIo.
Error lmdbError(const std::string& what, int rc);
// Whether this error says that the disk or the map has no room.
bool isFull(int rc);

}  // namespace kante
