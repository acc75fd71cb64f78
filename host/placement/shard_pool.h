// The shards of a module host, and which lane goes where.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/placement/crash_page.h"
#include "host/placement/module_spec.h"
#include "host/shard/shard.h"

namespace kante {

// Control thread.  Shards are made when first needed and stay until stop().
class ShardPool {
 public:
  ShardPool(std::uint32_t shared_shards, CrashPage& page)
      : shared_max_(shared_shards), page_(page) {}
  ~ShardPool() { stop(); }

  // A home for each module that has none yet: lanes that exchange messages through memory share
  // one, the largest group goes first, to the emptiest shard.  `homes` has those that are placed
  // already. kLimit: more dedicated modules than there are slots.
  Status place(const std::vector<ModuleSpec>& modules,
               const std::map<std::string, std::size_t>& groups,
               std::map<std::string, Shard*>& homes);
  // All that are shared, made if they are not there yet.
  Result<std::vector<std::shared_ptr<Shard>>> shared();
  // Its dedicated module is gone; the shard is used for the next one.
  void releaseDedicated(Shard& shard);
  void stop();
  const std::vector<std::shared_ptr<Shard>>& all() const { return shards_; }
  bool isDedicated(const Shard& shard) const;
  // Calls `done` on the caller's thread once every shard has finished what it is doing now.
  void afterAll(const std::function<void(std::function<void()>)>& control,
                std::function<void()> done);

 private:
  Result<Shard*> make();
  const std::uint32_t shared_max_;
  CrashPage& page_;
  std::vector<std::shared_ptr<Shard>> shards_;
  std::map<const Shard*, std::size_t> load_;  // Lanes on each shared shard.
  std::map<const Shard*, bool> dedicated_;    // Present: dedicated; false: free again.
};

}  // namespace kante
