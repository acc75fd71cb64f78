// What one shard hands to another at once.
#pragma once

namespace kante {

class Mail {
 public:
  virtual ~Mail() = default;
  // On the thread of the shard that it was sent to, once; destroyed after it.  A shard that has
  // stopped destroys it without.
  virtual void arrive() = 0;

 private:
  friend class Shard;
  Mail* next_mail_ = nullptr;
};

}  // namespace kante
