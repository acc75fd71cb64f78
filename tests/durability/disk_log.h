// What the shim inside the gateway writes and the rig reads after the cut: what was overwritten on
// "disk" since it was last made durable.  Lives in a file that both map, outside the disk that is
// cut, so it is complete whenever the process ends.
#pragma once

#include <atomic>
#include <cstdint>

namespace kante::durability {

inline constexpr std::uint64_t kSectorBytes = 512;
inline constexpr std::uint64_t kDiskLogBytes = 64u << 20;  // Sparse; a life needs a few MiB.
inline constexpr std::uint32_t kDiskFilesMax = 1024;
inline constexpr std::uint64_t kDiskLogMagic = 0x314755434f4c414bu;

enum class DiskEvent : std::uint32_t {
  kWrite = 1,    // About to overwrite `length` bytes at `offset`; their old content follows.
  kDurable = 2,  // That range is durable now (a write to an O_DSYNC descriptor returned).
  kSync = 3,     // The whole file is.
  kRename =
      4,  // About to be renamed: from file[file] to file[other]; stash: a link to what was there.
  kFolderSync = 5,  // The names in folder file[file] are durable.
};

struct DiskRecord {
  DiskEvent event{};
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // Of the old content that follows, a multiple of a sector.
  std::uint64_t size = 0;    // Of the file before.
  std::uint32_t other = 0;   // kRename: the new name.
  std::uint32_t stash = 0;   // kRename: number of the link to what the new name was; 0: nothing.
};
static_assert(sizeof(DiskRecord) == 40);

struct DiskFile {
  std::uint64_t inode = 0;
  char path[504] = {};
};

enum DiskFlags : std::uint32_t {
  kNothingSpecial = 0,
  kReallySync = 1,   // Call fdatasync() and fsync(), too; else they only move the log.
  kForgetSyncs = 2,  // A lie for the rig's self-test: syncs return and make nothing durable.
};

struct DiskLog {
  std::uint64_t magic = kDiskLogMagic;
  std::uint32_t flags = 0;
  std::atomic<std::uint32_t> cut_now{0};     // The rig wants the cut at the next boundary.
  std::atomic<std::uint64_t> boundaries{0};  // Writes and syncs so far in this life.
  std::atomic<std::uint64_t> cut_at{0};      // The boundary at which the process ends; 0: none.
  std::uint32_t cut_after = 0;  // 0: before the call does its work, 1: after, before it returns.
  std::atomic<std::uint32_t> cut{0};   // 1: the shim has cut.
  std::atomic<std::uint64_t> used{0};  // Bytes of records.
  std::atomic<std::uint32_t> files{0};
  std::atomic<std::uint32_t> stashed{0};
  char root[504] = {};   // The folder whose files are watched, without a slash at its end.
  char stash[504] = {};  // A folder on the same file system, outside of it.
  DiskFile file[kDiskFilesMax];
};

inline constexpr std::uint64_t kDiskRecordsAt = (sizeof(DiskLog) + 4095) / 4096 * 4096;
inline constexpr std::uint64_t kDiskRecordBytesMax = kDiskLogBytes - kDiskRecordsAt;

}  // namespace kante::durability
