#include "host/sandbox/set_aside.h"

#include <utility>

namespace kante {

bool SetAside::add(Emit emit) {
  if (waiting_[emit.output] >= kOutputCredit) return false;
  ++waiting_[emit.output];
  bytes_ += emit.message.bytes();
  items_.push_back({true, std::move(emit), {}});
  return true;
}

bool SetAside::add(Barrier barrier) {
  if (barriers_ >= kBarriersMax) return false;
  ++barriers_;
  items_.push_back({false, {}, std::move(barrier)});
  return true;
}

void SetAside::retry(std::uint32_t output, const std::function<bool(Emit&)>& route,
                     const std::function<void(Barrier&)>& pass) {
  std::deque<Item> left;
  std::deque<Item> items;
  items.swap(items_);
  bool has_room = true;
  for (Item& item : items) {
    if (item.is_emit) {
      const std::size_t bytes = item.emit.message.bytes();
      if (item.emit.output == output && has_room) has_room = route(item.emit);
      if (item.emit.output == output && has_room) {
        --waiting_[output];
        bytes_ -= bytes;
        continue;
      }
    } else if (left.empty()) {
      --barriers_;
      pass(item.barrier);
      continue;
    }
    left.push_back(std::move(item));
  }
  items_.swap(left);
}

void SetAside::clear(const std::function<void(Emit&)>& lost) {
  waiting_.fill(0);
  bytes_ = barriers_ = 0;
  for (Item& item : std::exchange(items_, {})) {
    if (item.is_emit) lost(item.emit);
  }
}

}  // namespace kante
