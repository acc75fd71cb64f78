#include "host/hub/mqtt/ack_wait.h"

#include "host/hub/mqtt/change.h"

namespace kante::hub {

AckWait::~AckWait() {
  takeChanges([](const Change&) {});
}

void AckWait::add(Change change) {
  auto* node = new Node{std::make_unique<Change>(std::move(change))};
  node->next = changes_.load(std::memory_order_relaxed);
  while (!changes_.compare_exchange_weak(node->next, node, std::memory_order_release,
                                         std::memory_order_relaxed)) {
  }
}

void AckShare::add(Change change) const { wait_->add(std::move(change)); }

AckShare AckShare::another() const {
  AckShare more;
  if (wait_ == nullptr) return more;
  wait_->shares_.fetch_add(1, std::memory_order_relaxed);
  more.wait_ = wait_;
  return more;
}

void AckShare::release(Kept kept) {
  AckWait* wait = std::exchange(wait_, nullptr);
  if (wait == nullptr) return;
  Kept worst = wait->kept_.load(std::memory_order_relaxed);
  while (worst < kept &&
         !wait->kept_.compare_exchange_weak(worst, kept, std::memory_order_relaxed)) {
  }
  if (wait->shares_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const std::shared_ptr<AckInbox> inbox = std::move(wait->inbox_);
  inbox->put(wait);
}

AckInbox::~AckInbox() {
  takeAll([](const AckWait&) {});
}

void AckInbox::put(AckWait* wait) {
  AckWait* last = last_.load(std::memory_order_relaxed);
  do {
    wait->next_ = last;
  } while (!last_.compare_exchange_weak(last, wait, std::memory_order_release,
                                        std::memory_order_relaxed));
  if (last == nullptr && wake_) wake_();
}

AckWait* AckInbox::takeChain() {
  AckWait* first = nullptr;
  for (AckWait* at = last_.exchange(nullptr, std::memory_order_acquire); at != nullptr;) {
    AckWait* before = at->next_;
    at->next_ = first;
    first = at;
    at = before;
  }
  return first;
}

}  // namespace kante::hub
