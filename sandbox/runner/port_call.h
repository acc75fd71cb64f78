// The lock of one call of a port.
#pragma once

#include "sandbox/runner/remote_port.h"

namespace kante {

// On the strand what was written is shown to the host at the end of the turn; from another thread
// at once, and the loop is woken where it has something new to wait for.
class RemotePort::Call {
 public:
  explicit Call(RemotePort& port)
      : port_(port), is_foreign_(!port.onStrand()), lock_(port.mutex_) {}
  ~Call() {
    if (!is_foreign_) return;
    port_.tellMetrics();
    port_.outbox_.publish();
    const bool kick = kick_ || port_.outbox_.wantsSpace();
    lock_.unlock();
    // Not with the lock: the loop may need it before it can be up.
    if (kick) port_.waker_.kick();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  bool isForeign() const { return is_foreign_; }
  void kickLoop() { kick_ = true; }

 private:
  RemotePort& port_;
  const bool is_foreign_;
  bool kick_ = false;
  std::unique_lock<std::mutex> lock_;
};

}  // namespace kante
