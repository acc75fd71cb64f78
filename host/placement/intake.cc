#include "host/placement/intake.h"

#include <algorithm>
#include <chrono>

namespace kante {

namespace {
constexpr std::size_t kKnownSources = 8;

bool isSame(const Source& known, const SourceView& source) {
  return known.telemetry_name == source.telemetry_name && known.path == source.path &&
         known.topic == source.topic && known.principal == source.principal &&
         known.output == source.output &&
         known.connection_device_id == source.connection_device_id &&
         known.connection_module_id == source.connection_module_id &&
         known.origin_gateway == source.origin_gateway && known.origin_epoch == source.origin_epoch;
}
}  // namespace

// What the store handed out; whatever of it is not delivered when it ends goes back, also when the
// shard that should get it has ended.
struct Intake::Batch {
  Batch(DurableQueue& from, TakenBatch taken) : queue(from), batch(std::move(taken)) {}
  ~Batch() {
    std::vector<QueueToken> tokens;
    for (; next < batch.messages.size(); ++next) tokens.push_back(batch.messages[next].token);
    queue.giveBack(std::move(tokens), Return::kUntouched);
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  std::size_t left() const { return batch.messages.size() - next; }

  DurableQueue& queue;
  TakenBatch batch;
  std::size_t next = 0;
};

Intake::Intake(const Parts& parts)
    : queue_(parts.queue),
      home_(parts.shard.shared_from_this()),
      shard_(parts.shard),
      receiver_(parts.receiver),
      sources_(parts.sources),
      input_(parts.input),
      tokens_(parts.input),
      pause_(parts.shard.reactor()) {}

void Intake::onShard(std::function<void()> task) {
  shard_.post([self = shared_from_this(), task = std::move(task)] { task(); });
}

void Intake::start() {
  stopping_ = false;
  if (owns_ || std::exchange(waiting_, true)) return wake();
  queue_->acquire(this, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->onShard([self = self.get()] {
      if (!std::exchange(self->waiting_, false)) return;  // It gave up, and did not get it.
      self->owns_ = true;
      self->releaseIfDone();
      self->wake();
    });
  });
}

void Intake::wake() {
  if (!closed_) shard_.runLater(*this);
}

void Intake::hurry() {
  if (!pausing_ || failing_) return;
  pause_.cancel();
  pausing_ = false;
  wake();
}

void Intake::stop() {
  if (std::exchange(stopping_, true)) return;
  pause_.cancel();
  pausing_ = failing_ = false;
  cancelTake();
  giveBackReady();
  if (std::exchange(waiting_, false)) queue_->release(this);
  wake();
}

void Intake::close() {
  if (closed_) return;
  stop();
  closed_ = true;
  shard_.deschedule(*this);
  queue_->queue().giveBack(tokens_.closeAll(), Return::kDelivered);
  unsettled_ = unsettled_bytes_ = 0;
  pauses_.clear();
  noteUnsettled();
  releaseIfDone();
}

// Its successor takes when the store owes nothing to this one any more.
void Intake::releaseIfDone() {
  if (!owns_ || !stopping_ || taking_ || unsettled_ > 0) return;
  owns_ = false;
  queue_->release(this);
}

// ---- from the store
// ------------------------------------------------------------------------------------------

void Intake::take() {
  if (taking_ || isFull() || ready_messages_ >= kTakeMessages / 2) return;
  TakeRequest request;
  request.handing = Handing::kRemembered;
  request.messages_max = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(kTakeMessages, kUnsettledMessagesMax - unsettled_ - ready_messages_));
  if (request.messages_max == 0) return;
  request.bytes_max = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(kTakeBytesMax, kUnsettledBytesMax - unsettled_bytes_));
  taking_ = true;
  queue_->queue().take(request, [self = shared_from_this()](Result<TakenBatch> result) {
    if (result.has_error()) return;  // The store has closed.
    auto batch = std::make_shared<Batch>(self->queue_->queue(), std::move(*result));
    self->shard_.post(
        [self, batch = std::move(batch)]() mutable { self->taken(std::move(batch)); });
  });
}

void Intake::taken(std::shared_ptr<Batch> batch) {
  if (cancelling_) return;  // It goes back; the end of the cancellation follows.
  taking_ = false;
  if (closed_ || stopping_) return;
  ready_messages_ += batch->left();
  ready_.push_back(std::move(batch));
  wake();
}

void Intake::cancelTake() {
  if (!taking_ || std::exchange(cancelling_, true)) return;
  queue_->queue().cancelTake([self = shared_from_this()] {
    self->onShard([self = self.get()] {
      self->taking_ = self->cancelling_ = false;
      self->releaseIfDone();
      self->wake();
    });
  });
}

void Intake::giveBackReady() {
  ready_.clear();
  ready_messages_ = 0;
}

// ---- to the module
// ---------------------------------------------------------------------------------------------

bool Intake::run(Shard&) {
  // What the module makes of messages and the end of these are committed together.
  {
    StoreDoor::Scope scope(&queue_->door());
    for (std::uint32_t n = 0; n < kSlice && wants() && !ready_.empty() && !isFull(); ++n) {
      deliver();
      scope.cut();
    }
  }
  if (isFull() && !std::exchange(told_full_, true)) receiver_.unsettledFull(queue_->input());
  if (wants()) take();
  releaseIfDone();
  return wants() && !ready_.empty() && !isFull();
}

void Intake::deliver() {
  // The callback may settle others, which may give back what is ready.
  std::shared_ptr<Batch> batch = ready_.front();
  const TakenMessage& taken = batch->batch.messages[batch->next++];
  --ready_messages_;
  if (batch->left() == 0) ready_.pop_front();
  const RecordView& record = taken.record;
  auto message = messageFromWords(record.message.words(), record.message.wordCount());
  if (message.has_error()) {  // The store has checked it; who wrote it there did not.
    queue_->queue().quarantine(taken.token, "it is malformed: " + message.error().text);
    return;
  }
  Arrival arrival;
  arrival.input = input_;
  arrival.earlier = std::uint64_t{record.attempts} + record.deliveries;
  arrival.message = std::move(*message);
  arrival.hop = {sourceOf(record.source), record.arrived_ns, record.hops,
                 record.origin_number & kOriginNumberMax};
  const auto bytes = static_cast<std::uint32_t>(arrival.message.bytes());
  arrival.token = tokens_.open({taken.token, bytes, record.attempts});
  KANTE_ASSERT(arrival.token != 0);
  ++unsettled_;
  unsettled_bytes_ += bytes;

  CallbackSlot& slot = shard_.slot();
  slot.priority.store(taken.token.priority, std::memory_order_relaxed);
  slot.position.store(taken.token.position, std::memory_order_relaxed);
  slot.id_high.store(record.message.id().high, std::memory_order_relaxed);
  slot.id_low.store(record.message.id().low, std::memory_order_relaxed);
  slot.queue.store(queue_->queue().id(), std::memory_order_relaxed);
  const std::optional<kante_status> received = receiver_.receive(arrival);
  slot.queue.store(0, std::memory_order_relaxed);
  if (!received) return putBack(std::move(batch), arrival.token);
  const kante_status status = *received;
  // It may have been settled meanwhile, by this call or another thread.
  if (status <= KANTE_OK && tokens_.claim(arrival.token))
    receiver_.settleInOrder(arrival.token, status);
  noteUnsettled();
}

// The one just taken from it was not delivered: it is the next again.
void Intake::putBack(std::shared_ptr<Batch> batch, std::uint64_t token) {
  if (!tokens_.claim(token)) return;
  unsettled_bytes_ -= tokens_.close(token).bytes;
  --unsettled_;
  if (closed_ || stopping_) return;  // What is left of it has gone back to the store, or goes.
  if (batch->left() == 0) ready_.push_front(batch);
  --batch->next;
  ++ready_messages_;
}

void Intake::notDelivered(std::uint64_t token) {
  if (closed_) return;
  const TokenTable::Open delivery = tokens_.close(token);
  --unsettled_;
  unsettled_bytes_ -= delivery.bytes;
  noteUnsettled();
  cancelTake();
  queue_->queue().giveBack({delivery.message}, Return::kUntouched);
  giveBackReady();
}

const Source* Intake::sourceOf(const SourceView& source) {
  const auto known = std::find_if(known_sources_.begin(), known_sources_.end(),
                                  [&](const Source* one) { return isSame(*one, source); });
  if (known != known_sources_.end()) return *known;
  if (known_sources_.size() == kKnownSources) known_sources_.erase(known_sources_.begin());
  return known_sources_.emplace_back(sources_.intern(source.copy()));
}

// ---- how it ended
// ---------------------------------------------------------------------------------------------

void Intake::settled(std::uint64_t token, kante_status status, const std::string& text) {
  if (closed_) return;  // It went back.
  const TokenTable::Open delivery = tokens_.close(token);
  --unsettled_;
  unsettled_bytes_ -= delivery.bytes;
  if (told_full_ && unsettled_ < kUnsettledMessagesMax / 2 &&
      unsettled_bytes_ < kUnsettledBytesMax / 2) {
    told_full_ = false;
  }
  noteUnsettled();
  if (status >= KANTE_OK) {
    queue_->door().settle(queue_->queue(), delivery.message);
    pauses_.erase(delivery.message);
  } else if (status == KANTE_E_AGAIN) {
    comeAgain(delivery.message, Return::kDelivered);
  } else if (delivery.attempts + 1u < kAttemptsMax) {
    comeAgain(delivery.message, Return::kFailed);
  } else {
    queue_->queue().quarantine(delivery.message, text, Return::kFailed);
    pauses_.erase(delivery.message);
    receiver_.quarantined(queue_->input(), text);
  }
  wake();
}

// It comes again after its pause, and before anything that was not delivered yet.
void Intake::comeAgain(QueueToken message, Return how) {
  // Messages that expired meanwhile are not taken off it one by one.
  if (pauses_.size() >= kUnsettledMessagesMax && !pauses_.contains(message)) pauses_.clear();
  const std::uint32_t doublings = std::min(pauses_[message]++, 10u);
  const std::uint32_t wait_ms = std::min(kPauseFirstMs << doublings, kPauseLastMs);
  cancelTake();
  queue_->queue().giveBack({message}, how);
  giveBackReady();
  if (stopping_) return;
  failing_ = failing_ || how == Return::kFailed;
  const auto until = Timer::Clock::now() + std::chrono::milliseconds(wait_ms);
  if (std::exchange(pausing_, true) && pause_.isSet() && pause_.at() >= until) return;
  pause_.set(until, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->pausing_ = self->failing_ = false;
    self->wake();
  });
}

void Intake::noteUnsettled() { queue_->unsettled.store(unsettled_, std::memory_order_relaxed); }

}  // namespace kante
