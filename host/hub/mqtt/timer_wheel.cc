#include "host/hub/mqtt/timer_wheel.h"

#include <algorithm>

namespace kante::hub {

void Deadline::unlink() {
  if (next_ == nullptr) return;
  next_->before_ = before_;
  before_->next_ = next_;
  next_ = before_ = nullptr;
}

void TimerWheel::link(Deadline& head, Deadline& deadline) {
  if (head.next_ == nullptr) head.next_ = head.before_ = &head;
  deadline.next_ = &head;
  deadline.before_ = head.before_;
  head.before_->next_ = &deadline;
  head.before_ = &deadline;
}

void TimerWheel::place(Deadline& deadline) {
  deadline.unlink();
  // What is further away than the wheel is round is looked at on the way.
  const std::int64_t step = deadline.at_ns_ / kStepNs + 1;
  deadline.step_ = std::clamp<std::int64_t>(step, step_ + 1, step_ + std::int64_t{kSlots} - 1);
  link(slots_[static_cast<std::size_t>(deadline.step_) % kSlots], deadline);
  next_ = std::min(next_, deadline.step_);
}

void TimerWheel::set(Deadline& deadline, std::int64_t at_ns) {
  deadline.at_ns_ = at_ns;
  // A later one waits in its old place, where it is found and put off.
  if (deadline.next_ != nullptr && at_ns / kStepNs + 1 >= deadline.step_) return;
  place(deadline);
}

void TimerWheel::visit(Deadline& head, std::int64_t now_ns) {
  if (head.next_ == nullptr || head.next_ == &head) return;
  List taken;  // Whatever a call does to the wheel, these are found.
  taken.next_ = head.next_;
  taken.before_ = head.before_;
  taken.next_->before_ = taken.before_->next_ = &taken;
  head.next_ = head.before_ = nullptr;
  while (taken.next_ != &taken) {
    Deadline& one = *taken.next_;
    if (one.at_ns_ == Deadline::kNone) {
      one.unlink();
    } else if (one.at_ns_ > now_ns) {
      place(one);
    } else {
      one.unlink();
      one.cancel();
      one.due();
    }
  }
  taken.next_ = taken.before_ = nullptr;
}

void TimerWheel::advance(std::int64_t now_ns) {
  const std::int64_t until = now_ns / kStepNs;
  if (until - step_ > std::int64_t{kSlots}) step_ = until - std::int64_t{kSlots};
  while (step_ < until) {
    ++step_;
    visit(slots_[static_cast<std::size_t>(step_) % kSlots], now_ns);
  }
  if (next_ > step_) return;
  next_ = step_ + 1;
  while (next_ < step_ + std::int64_t{kSlots} && isEmpty(next_)) ++next_;
  if (next_ == step_ + std::int64_t{kSlots}) next_ = kNoStep;
}

bool TimerWheel::isEmpty(std::int64_t step) const {
  const List& head = slots_[static_cast<std::size_t>(step) % kSlots];
  return head.next_ == nullptr || head.next_ == &head;
}

}  // namespace kante::hub
