#include "host/placement/store_door.h"

#include <utility>

namespace kante {

StoreDoor::~StoreDoor() {
  for (StoreExchange& held : held_) {
    for (StoreExchange::Offered& offered : held.offers) refuse(offered, CommitResult::kFailed);
  }
}

StoreDoor::Open& StoreDoor::open() {
  thread_local Open open;
  return open;
}

bool StoreDoor::offer(DurableQueue& queue, Entry& entry, CommitSink* sink) {
  if (Open& scope = open(); scope.door == this) {
    if (queue.refuses()) {
      scope.exchange.once.reset();
      return false;
    }
    scope.bytes += entry.message.bytes();
    scope.exchange.offers.push_back({&queue, std::move(entry), sink});
    if (scope.exchange.offers.size() >= kTogetherMax || scope.bytes >= kTogetherBytesMax)
      sendOpen(scope);
    return true;
  }
  if (!busy_.load(std::memory_order_acquire)) [[likely]] {
    const Offer offered = queue.offer(entry, sink, 0);
    if (offered != Offer::kBusy) return offered == Offer::kTaken;
  }
  StoreExchange alone;
  alone.offers.push_back({&queue, std::move(entry), sink});
  hold(std::move(alone));
  return true;
}

void StoreDoor::settle(DurableQueue& queue, QueueToken message) {
  Open& scope = open();
  if (scope.door != this) {
    StoreExchange alone;
    alone.done.push_back({&queue, {message}});
    return send(std::move(alone));
  }
  auto& done = scope.exchange.done;
  if (done.empty() || done.back().queue != &queue) done.push_back({&queue, {}});
  done.back().tokens.push_back(message);
}

void StoreDoor::send(StoreExchange exchange) {
  if (exchange.empty()) return;
  if (!busy_.load(std::memory_order_acquire)) [[likely]] {
    if (store_.exchange(exchange) == Offer::kTaken) return;
  }
  hold(std::move(exchange));
}

void StoreDoor::sendOpen(Open& scope) {
  scope.bytes = 0;
  if (scope.exchange.offers.empty()) scope.exchange.once.reset();
  send(std::exchange(scope.exchange, {}));
}

StoreDoor::Scope::Scope(StoreDoor* door) : door_(door) {
  if (door_ == nullptr) return;
  Open& scope = open();
  scope.door = door_;
  ++scope.depth;
}

StoreDoor::Scope::Scope(StoreDoor* door, OnceOnly once) : Scope(door) {
  if (door_ == nullptr) return;
  KANTE_ASSERT(open().depth == 1);
  open().exchange.once = std::move(once);
}

void StoreDoor::Scope::forgetOnce() {
  if (door_ != nullptr) open().exchange.once.reset();
}

StoreDoor::Scope::~Scope() {
  if (door_ == nullptr) return;
  Open& scope = open();
  if (--scope.depth > 0) return;
  scope.door = nullptr;
  door_->sendOpen(scope);
}

void StoreDoor::Scope::cut() {
  const StoreExchange& exchange = open().exchange;
  if (door_ == nullptr || open().depth > 1) return;
  const bool much = exchange.offers.size() >= kCutOffers ||
                    (!exchange.done.empty() && exchange.done[0].tokens.size() >= kCutDone);
  if (much) door_->sendOpen(open());
}

void StoreDoor::hold(StoreExchange exchange) {
  {
    const std::lock_guard lock(mutex_);
    held_.push_back(std::move(exchange));
    if (busy_.exchange(true, std::memory_order_acq_rel)) return;
  }
  waitForRoom();
}

void StoreDoor::onRoom(std::function<void()> waker) {
  {
    const std::lock_guard lock(mutex_);
    if (busy_.load(std::memory_order_relaxed)) return wakers_.push_back(std::move(waker));
  }
  waker();
}

void StoreDoor::waitForRoom() {
  store_.whenRoom([self = shared_from_this()] { self->flush(); });
}

// One at a time: only whoever waited for room gets here.  A closed store calls back at once and
// takes nothing; then what is held stays.
void StoreDoor::flush() {
  if (flushing_.exchange(true)) return;
  std::vector<std::function<void()>> wakers;
  for (;;) {
    StoreExchange* next = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (held_.empty()) {
        busy_.store(false, std::memory_order_release);
        wakers.swap(wakers_);
        break;
      }
      next = &held_.front();  // Others only add behind it.
    }
    if (!pass(*next)) {
      waitForRoom();
      break;
    }
    const std::lock_guard lock(mutex_);
    held_.pop_front();
  }
  flushing_.store(false);
  for (const auto& waker : wakers) waker();
}

bool StoreDoor::pass(StoreExchange& exchange) {
  // Full queues refuse now what they would have refused then.
  std::erase_if(exchange.offers, [&exchange](StoreExchange::Offered& offered) {
    if (!offered.queue->refuses()) return false;
    refuse(offered, CommitResult::kFull);
    exchange.once.reset();
    return true;
  });
  return exchange.empty() || store_.exchange(exchange) == Offer::kTaken;
}

void StoreDoor::refuse(StoreExchange::Offered& offered, CommitResult why) {
  if (offered.sink == nullptr) return offered.queue->countRefused();
  const CommitSink::Done done{0, why};
  offered.sink->onCommitted({&done, 1});
}

}  // namespace kante
