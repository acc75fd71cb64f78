#include "host/shard/lane.h"

#include <bit>
#include <utility>

namespace kante {

Lane::~Lane() { KANTE_ASSERT(size_ == 0); }

std::uint16_t Lane::inputIndex(const std::string& input) {
  for (std::size_t i = 0; i < input_names_.size(); ++i) {
    if (input_names_[i] == input) return static_cast<std::uint16_t>(i);
  }
  input_names_.push_back(input);
  return static_cast<std::uint16_t>(input_names_.size() - 1);
}

void Lane::push(Delivery&& delivery) {
  Link& link = *delivery.link;
  if (closed_) [[unlikely]] {
    drop(delivery, DropReason::kNoRoute);
    return;
  }
  const std::uint8_t priority = link.priority;
  rings_[priority].push(std::move(delivery));
  nonempty_ |= 1u << priority;
  ++size_;
  if (link.when_full == WhenFull::kDropOldest) [[unlikely]] {
    while (link.isOver() && dropOldest(link)) {
    }
  }
  noteWaiting();
  if (consumer_ != nullptr && !resting_) shard_.runLater(*this);
}

void Lane::drop(const Delivery& delivery, DropReason reason) {
  count(delivery.link->dropped, reason);
  delivery.link->taken(static_cast<std::uint32_t>(delivery.message.bytes()));
}

bool Lane::dropOldest(Link& link) {
  auto& ring = rings_[link.priority];
  for (std::size_t i = 0; i < ring.size(); ++i) {
    if (ring.at(i)->link != &link) continue;
    drop(*ring.at(i), DropReason::kOverflow);
    ring.erase(i);
    --size_;
    if (ring.empty()) nonempty_ &= ~(1u << link.priority);
    return true;
  }
  return false;
}

void Lane::setConsumer(Consumer* consumer) {
  Consumer* before = std::exchange(consumer_, consumer);
  if (before != nullptr && consumer != nullptr && before != consumer) before->laneTaken();
  resting_ = false;
  credit_after_ = consumer != nullptr && consumer->keepsDeliveries();
  if (consumer_ != nullptr && size_ > 0) shard_.runLater(*this);
}

void Lane::giveBack(std::vector<Delivery> kept) {
  if (closed_) {
    for (const Delivery& delivery : kept) drop(delivery, DropReason::kNoRoute);
    return;
  }
  for (auto delivery = kept.rbegin(); delivery != kept.rend(); ++delivery) {
    const std::uint8_t priority = delivery->link->priority;
    rings_[priority].pushFront(std::move(*delivery));
    nonempty_ |= 1u << priority;
    ++size_;
  }
  noteWaiting();
  if (consumer_ != nullptr && !resting_ && size_ > 0) shard_.runLater(*this);
}

void Lane::resume() {
  if (!resting_) return;
  resting_ = false;
  if (consumer_ != nullptr && size_ > 0) shard_.runLater(*this);
}

void Lane::close() {
  closed_ = true;
  setConsumer(nullptr);
  for (auto& ring : rings_) {
    while (!ring.empty()) drop(ring.pop(), DropReason::kNoRoute);
  }
  nonempty_ = 0;
  size_ = 0;
  noteWaiting();
  shard_.deschedule(*this);
}

bool Lane::run(Shard&) {
  for (std::uint32_t n = 0; n < kSlice && nonempty_ != 0; ++n) {
    if (consumer_ == nullptr || resting_) break;
    const auto priority = static_cast<std::uint32_t>(std::countr_zero(nonempty_));
    Delivery delivery = rings_[priority].pop();
    if (rings_[priority].empty()) {
      nonempty_ &= ~(1u << priority);
    } else {  // In a long queue it may have left the caches.
      __builtin_prefetch(rings_[priority].front().message.get());
    }
    --size_;
    Link& link = *delivery.link;
    const auto bytes = static_cast<std::uint32_t>(delivery.message.bytes());
    const bool credit_after = credit_after_;
    // Credit comes back before the callback: what it frees may be used by what the callback emits.
    if (!credit_after) link.taken(bytes);
    const Consumer::Outcome outcome = consumer_->consume(delivery);
    if (outcome != Consumer::Outcome::kAgain) [[likely]] {
      if (credit_after && outcome == Consumer::Outcome::kDone) link.taken(bytes);
      continue;
    }
    if (!credit_after) link.returned(bytes);
    rings_[priority].pushFront(std::move(delivery));
    nonempty_ |= 1u << priority;
    ++size_;
    resting_ = true;
  }
  noteWaiting();
  return nonempty_ != 0 && consumer_ != nullptr && !resting_;
}

}  // namespace kante
