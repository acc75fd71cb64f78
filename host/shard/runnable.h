// Something that runs on a shard when it has work.
#pragma once

namespace kante {

class Shard;

// Owned elsewhere; must be descheduled before it dies.
class Runnable {
 public:
  virtual ~Runnable() = default;
  // Does a bounded slice of work.  True: there is more, run me again after the others.
  virtual bool run(Shard& shard) = 0;

 private:
  friend class Shard;
  Runnable* next_runnable_ = nullptr;
  bool scheduled_ = false;
};

}  // namespace kante
