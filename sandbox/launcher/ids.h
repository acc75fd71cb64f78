// As which user a runner runs, seen from outside.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace kante::launcher {

// Where the launcher may take any user, each of its runners has one that nobody else has, whatever
// launcher there is beside it; where it may not, the launcher's.
class Ids {
 public:
  static Ids ofThisProcess();
  bool mayTakeAny() const { return may_take_any_; }
  uid_t of(std::uint32_t slot) const;

 private:
  bool may_take_any_ = false;
  bool has_range_ = false;
};

}  // namespace kante::launcher
