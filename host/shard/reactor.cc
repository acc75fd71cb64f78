#include "host/shard/reactor.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace kante {

namespace {

FileDescriptor made(int descriptor, const char* by) {
  if (descriptor < 0) throw std::system_error(errno, std::system_category(), by);
  return FileDescriptor(descriptor);
}

}  // namespace

Reactor::Reactor()
    : set_(made(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wakes_(made(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")),
      moment_(
          made(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create")) {
  for (const int own : {wakes_.get(), moment_.get()}) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    if (::epoll_ctl(set_.get(), EPOLL_CTL_ADD, own, &event) != 0)
      throw std::system_error(errno, std::system_category(), "epoll_ctl");
  }
}

Reactor::~Reactor() {
  for (Timer* timer : heap_) timer->place_ = Timer::kNowhere;
}

// ---- descriptors

Status Reactor::watch(int descriptor, std::uint32_t events, Watched& watched) {
  epoll_event event{};
  event.events = events | EPOLLET;
  event.data.ptr = &watched;
  if (::epoll_ctl(set_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0)
    return failErrno("epoll_ctl");
  return {};
}

void Reactor::forget(int descriptor, const Watched& watched) {
  (void)::epoll_ctl(set_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
  for (int i = told_; i < count_; ++i) {
    epoll_event& event = events_[static_cast<std::size_t>(i)];
    if (event.data.ptr == &watched) event.data.ptr = nullptr;
  }
}

void Reactor::wake() const { (void)!::eventfd_write(wakes_.get(), 1); }

// ---- looking

void Reactor::look(Look how) {
  KANTE_ASSERT(told_ == count_);
  if (how == Look::kUntilSomething && !heap_.empty() && heap_.front()->at_ < armed_) arm();
  const int timeout = how == Look::kNow ? 0 : -1;
  count_ = std::max(::epoll_wait(set_.get(), events_.data(), kEvents, timeout), 0);
  told_ = 0;
  looked_ = true;
}

bool Reactor::dispatch() {
  bool any = false;
  while (told_ < count_) {
    const epoll_event event = events_[static_cast<std::size_t>(told_++)];
    if (event.data.ptr == nullptr) continue;  // A wake, the moment, or one that was forgotten.
    static_cast<Watched*>(event.data.ptr)->ready(event.events);
    any = true;
  }
  const bool may_be_due = !heap_.empty() || armed_ != Clock::time_point::max();
  if (std::exchange(looked_, false) && may_be_due && expire()) any = true;
  return any;
}

// ---- moments

// Nothing else ends a look that blocks for it; the earliest is at the front.
void Reactor::arm() {
  using std::chrono::nanoseconds;
  armed_ = heap_.front()->at_;
  // 0 would stop it.
  const auto ns = std::max<std::int64_t>(
      std::chrono::duration_cast<nanoseconds>(armed_.time_since_epoch()).count(), 1);
  itimerspec at{};
  at.it_value = {ns / 1'000'000'000, ns % 1'000'000'000};
  (void)::timerfd_settime(moment_.get(), TFD_TIMER_ABSTIME, &at, nullptr);
}

// Those that are due now; what they set in the past comes with a later look.
bool Reactor::expire() {
  const Clock::time_point now = Clock::now();
  if (armed_ <= now) armed_ = Clock::time_point::max();
  bool any = false;
  for (std::size_t n = heap_.size(); n > 0 && !heap_.empty() && heap_.front()->at_ <= now; --n) {
    Timer& timer = *heap_.front();
    const std::function<void()> due = std::exchange(timer.due_, nullptr);
    remove(timer);
    due();
    any = true;
  }
  return any;
}

void Reactor::place(std::size_t at, Timer* timer) {
  heap_[at] = timer;
  timer->place_ = at;
}

void Reactor::rise(std::size_t at) {
  Timer* const timer = heap_[at];
  while (at > 0 && timer->at_ < heap_[(at - 1) / 2]->at_) {
    place(at, heap_[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  place(at, timer);
}

void Reactor::sink(std::size_t at) {
  Timer* const timer = heap_[at];
  for (std::size_t below = 2 * at + 1; below < heap_.size(); below = 2 * at + 1) {
    if (below + 1 < heap_.size() && heap_[below + 1]->at_ < heap_[below]->at_) ++below;
    if (timer->at_ <= heap_[below]->at_) break;
    place(at, heap_[below]);
    at = below;
  }
  place(at, timer);
}

void Reactor::add(Timer& timer) {
  heap_.push_back(&timer);
  rise(heap_.size() - 1);
}

void Reactor::remove(Timer& timer) {
  const std::size_t at = std::exchange(timer.place_, Timer::kNowhere);
  Timer* const last = heap_.back();
  heap_.pop_back();
  if (last == &timer) return;
  place(at, last);
  rise(at);
  sink(last->place_);
}

void Timer::set(Clock::time_point at, std::function<void()> due) {
  cancel();
  at_ = at;
  due_ = std::move(due);
  reactor_.add(*this);
}

void Timer::cancel() {
  if (!isSet()) return;
  reactor_.remove(*this);
  due_ = nullptr;
}

}  // namespace kante
