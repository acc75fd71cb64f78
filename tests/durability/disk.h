// The rig's side of the disk log: arms the cut before a life, and after it makes of the files what
// a disk without power may have left of them.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/durability/disk_log.h"

namespace kante::durability {

using Random = std::mt19937_64;

struct CutPlan {
  std::uint64_t boundary = 0;  // 0: only when cutNow() says so.
  bool after = false;          // After the call did its work and before it returns.
};

// What one cut did.
struct CutResult {
  bool by_shim = false;
  std::uint64_t boundaries = 0;
  std::uint64_t sectors = 0;       // Not durable at the cut.
  std::uint64_t sectors_lost = 0;  // Of them: went back to an older content.
  std::uint64_t renames_undone = 0;
  std::uint64_t unresolved = 0;  // Files that were not durable and are not there any more.
};

class Disk {
 public:
  // `root`: data_dir.  `folder`: where the log and the stash are; on the same file system, outside.
  Disk(const std::string& root, const std::string& folder, std::uint32_t flags);
  ~Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  const std::string& logPath() const { return log_path_; }
  void arm(CutPlan plan);
  void cutNow();
  // The process is gone: decides what survived.
  CutResult settle(Random& random);

 private:
  struct Sector {
    std::vector<std::string> versions;  // Older contents, the durable one first.
  };
  struct File {
    std::map<std::uint64_t, Sector> sectors;  // Those that are not durable.
    std::uint64_t durable_size = 0;
    bool resized = false;  // durable_size is that of the last sync.
  };
  struct Rename {
    std::string from, to, stash;
  };
  void read(std::map<std::uint32_t, File>& files, std::vector<Rename>& renames) const;
  void undoRenames(std::vector<Rename>& renames, Random& random, CutResult& result) const;
  void damage(const DiskFile& name, const File& file, double survives, Random& random,
              CutResult& result) const;
  void clearStash() const;

  const std::string log_path_;
  const std::string stash_;
  DiskLog* log_ = nullptr;
};

}  // namespace kante::durability
