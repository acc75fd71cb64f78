#include "host/shard/shard.h"

#include <pthread.h>
#include <sched.h>

#include <array>
#include <cstring>
#include <ctime>
#include <utility>

#include "host/base/encoding.h"
#include "host/message/pool.h"
#include "host/shard/lane.h"

namespace kante {

class Shard::Batch final : public Mail {
 public:
  bool isFull() const { return count_ == kBatch; }
  void add(Lane& lane, Delivery&& delivery) { entries_[count_++] = {&lane, std::move(delivery)}; }
  void arrive() override {
    for (std::uint32_t i = 0; i < count_; ++i)
      entries_[i].lane->push(std::move(entries_[i].delivery));
  }

 private:
  struct Entry {
    Lane* lane;
    Delivery delivery;
  };
  std::uint32_t count_ = 0;
  std::array<Entry, kBatch> entries_;
};

thread_local constinit Shard* Shard::current_ = nullptr;

namespace {
std::int64_t read(clockid_t id) {
  timespec at{};
  ::clock_gettime(id, &at);
  return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}
}  // namespace

Shard::Shard(std::uint32_t index, CallbackSlot* slot) : index_(index), slot_(slot) {
  const std::string random = randomBytes(8);
  std::memcpy(&stamp_.id_high, random.data(), 8);
  readClocks();
}

Shard::~Shard() {
  KANTE_ASSERT(!thread_.joinable());
  discardMail();  // What other shards sent after the end.
}

void Shard::start() {
  thread_ = std::thread([this] { loop(); });
  const std::string name = "kante-shard-" + std::to_string(index_);
  ::pthread_setname_np(thread_.native_handle(), name.c_str());
}

void Shard::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  reactor_.wake();
  thread_.join();
}

void Shard::readClocks() {
  stamp_.now_ns = read(CLOCK_REALTIME);
  boot_ns_ = read(CLOCK_BOOTTIME);
}

void Shard::post(Task task) {
  {
    const std::lock_guard lock(tasks_mutex_);
    if (closed_) return;
    tasks_.push_back(std::move(task));
  }
  has_tasks_.store(true, std::memory_order_seq_cst);
  if (current_ != this && asleep_.exchange(false, std::memory_order_seq_cst)) reactor_.wake();
}

void Shard::runLater(Runnable& runnable) {
  if (runnable.scheduled_) return;
  runnable.scheduled_ = true;
  runnable.next_runnable_ = nullptr;
  if (last_ == nullptr) {
    first_ = &runnable;
  } else {
    last_->next_runnable_ = &runnable;
  }
  last_ = &runnable;
}

void Shard::deschedule(Runnable& runnable) {
  if (!runnable.scheduled_) return;
  runnable.scheduled_ = false;
  Runnable* before = nullptr;
  for (Runnable* at = first_; at != nullptr; before = at, at = at->next_runnable_) {
    if (at != &runnable) continue;
    (before == nullptr ? first_ : before->next_runnable_) = at->next_runnable_;
    if (last_ == at) last_ = before;
    return;
  }
}

void Shard::send(Shard& target, Lane& lane, Delivery&& delivery) {
  std::size_t at = 0;
  while (at < outbox_.size() && outbox_[at].first != &target) ++at;
  if (at == outbox_.size()) outbox_.emplace_back(&target, nullptr);
  Batch*& batch = outbox_[at].second;
  if (batch == nullptr) batch = new Batch;
  batch->add(lane, std::move(delivery));
  if (batch->isFull()) flushTo(at);
}

void Shard::flushTo(std::size_t target) {
  auto& [shard, slot] = outbox_[target];
  if (slot != nullptr) shard->take(std::unique_ptr<Mail>(std::exchange(slot, nullptr)));
}

void Shard::take(std::unique_ptr<Mail> mail) {
  Mail* one = mail.release();
  one->next_mail_ = mail_.load(std::memory_order_relaxed);
  while (!mail_.compare_exchange_weak(one->next_mail_, one, std::memory_order_seq_cst,
                                      std::memory_order_relaxed)) {
  }
  if (asleep_.load(std::memory_order_seq_cst) &&
      asleep_.exchange(false, std::memory_order_seq_cst)) {
    reactor_.wake();
  }
}

void Shard::flush() {
  for (std::size_t i = 0; i < outbox_.size(); ++i) flushTo(i);
  MessagePool::endTurn();
}

void Shard::takeMail() {
  Mail* newest = mail_.exchange(nullptr, std::memory_order_acquire);
  Mail* oldest = nullptr;
  while (newest != nullptr) {
    Mail* next = newest->next_mail_;
    newest->next_mail_ = oldest;
    oldest = newest;
    newest = next;
  }
  while (oldest != nullptr) {
    const std::unique_ptr<Mail> mail(std::exchange(oldest, oldest->next_mail_));
    mail->arrive();
  }
  if (!has_tasks_.load(std::memory_order_acquire)) return;
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(tasks_mutex_);
    has_tasks_.store(false, std::memory_order_relaxed);
    tasks.swap(tasks_);
  }
  for (Task& task : tasks) task();
}

void Shard::turn() {
  readClocks();
  if (std::exchange(looked_, false)) reactor_ns_ = boot_ns_;
  (void)reactor_.dispatch();
  takeMail();
  for (Polled* polled : polling_.all()) {
    if (polled->hasWork()) runLater(*polled);
  }
  const std::int64_t began = boot_ns_;
  std::uint32_t slices = 0;
  while (first_ != nullptr) {
    Runnable* runnable = first_;
    first_ = runnable->next_runnable_;
    if (first_ == nullptr) last_ = nullptr;
    runnable->scheduled_ = false;
    if (runnable->run(*this)) runLater(*runnable);
    // A slice is at most 64 callbacks, so the clock is read once in about 256 of them.
    if (++slices % 4 == 0) {
      readClocks();
      if (boot_ns_ - began > kTurnNs) break;
    }
  }
  flush();
  polling_.turnEnds();
  turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// What was posted before stop() still runs, and what that posts; after it nothing is taken.
bool Shard::closeIfIdle() {
  const std::lock_guard lock(tasks_mutex_);
  closed_ = tasks_.empty();
  return closed_;
}

void Shard::discardMail() {
  Mail* mail = mail_.exchange(nullptr, std::memory_order_acquire);
  while (mail != nullptr) delete std::exchange(mail, mail->next_mail_);
}

bool Shard::hasMail() const {
  return mail_.load(std::memory_order_seq_cst) != nullptr ||
         has_tasks_.load(std::memory_order_seq_cst) || stopping_.load(std::memory_order_seq_cst);
}

// Waits a little for other processes before it sleeps: their wake costs more than that.
bool Shard::spin() {
  if (!polling_.wantsSpin()) return false;
  const std::int64_t began = read(CLOCK_MONOTONIC);
  bool found = false;
  do {
    found = polling_.hasWork() || hasMail();
    if (found) break;
    ::sched_yield();
  } while (read(CLOCK_MONOTONIC) - began < Polling::kSpinNs);
  polling_.spun(found);
  return found;
}

void Shard::sleep() {
  asleep_.store(true, std::memory_order_seq_cst);
  if (!polling_.empty()) polling_.fallAsleep();
  // Look again before sleeping: a sender that saw us awake has not rung.
  if (!hasMail() && !polling_.hasWork()) reactor_.look(Reactor::Look::kUntilSomething);
  asleep_.store(false, std::memory_order_seq_cst);
  if (!polling_.empty()) polling_.wakeUp();
  wake_policy_.woke(!polling_.empty());
  looked_ = true;
}

void Shard::lookAtReactor() {
  reactor_.look(Reactor::Look::kNow);
  looked_ = true;
}

void Shard::loop() {
  current_ = this;
  MessagePool::bind();
  wake_policy_.begin();
  while (!stopping_.load(std::memory_order_relaxed)) {
    if (first_ != nullptr) {
      lookAtReactor();
    } else if (!polling_.hasWork() && !spin()) {
      sleep();
    } else if (boot_ns_ - reactor_ns_ > kTurnNs) {
      lookAtReactor();
    }
    turn();
  }
  do {
    turn();
  } while (!closeIfIdle());
  MessagePool::unbind();
  current_ = nullptr;
}

}  // namespace kante
