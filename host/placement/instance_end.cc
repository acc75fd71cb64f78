// How a life ends: its state saved, its events held or handed on, DRAIN, destroy.
#include "host/placement/instance.h"

namespace kante {

void Instance::save(Saved saved) {
  onShard([this, saved = std::move(saved)]() mutable {
    saved_ = std::move(saved);
    if (phase_ != Phase::kActive) return endSave(nullptr);
    beginSave();
  });
}

void Instance::saveWhenQuiet(Saved saved) {
  onShard([this, saved = std::move(saved)]() mutable {
    saved_ = std::move(saved);
    if (phase_ != Phase::kActive || drain_ != Drain::kNo) return endSave(nullptr);
    leave_ = Leave::kWithRoom;
    shard().runLater(*this);
  });
}

void Instance::saveWithoutRoom() {
  onShard([this] {
    if (phase_ == Phase::kEnded || leave_ != Leave::kWithRoom) return;
    leave_ = Leave::kWithoutRoom;
    shard().runLater(*this);
  });
}

bool Instance::isQuiet() const {
  if (!events_.empty() || !unsent_.empty() || parts_.lane->size() > 0 || !sent_.empty())
    return false;
  return leave_ == Leave::kWithoutRoom ||
         std::none_of(outputs_.begin(), outputs_.end(),
                      [](const Output& output) { return output.blocked; });
}

void Instance::beginSave() {
  if (leave_ != Leave::kNo) leave_ = Leave::kSaved;
  holding_ = true;
  parts_.lane->release(*this);
  save_token_ = next_token_++;
  Event event;
  event.event.type = KANTE_EVENT_SAVE;
  event.event.token = save_token_;
  event.after = [this](kante_status status, const std::string&) {
    takeBackInputs();
    save_owed_ = false;
    if (std::exchange(resume_wanted_, false)) return resumeNow();
    if (status == KANTE_OK || !saved_) return;
    save_token_ = 0;
    endSave(nullptr);
  };
  save_sent_ = save_owed_ = true;
  dispatch(event);
}

void Instance::endSave(std::shared_ptr<const State> state) {
  if (!saved_) return;
  if (leave_ == Leave::kSaved && state) {
    {
      const std::lock_guard lock(foreign_mutex_);
      foreign_closed_ = true;
    }
    (void)routeForeign(Credit::kIgnored);
  }
  parts_.control(
      [saved = std::exchange(saved_, nullptr), state = std::move(state)] { saved(state); });
}

void Instance::hold(std::function<void()> held) {
  onShard([this, held = std::move(held)] {
    holding_ = true;
    parts_.lane->release(*this);
    if (is_here_ || phase_ != Phase::kActive) return parts_.control(held);
    // Only a life elsewhere has inputs that are on their way, and it gives them back at SAVE.
    saved_ = [held](const std::shared_ptr<const State>&) { held(); };
    beginSave();
  });
}

kante_status Instance::saveState(std::uint64_t token, std::uint64_t format, const void* data,
                                 std::size_t size) {
  // Whoever answers first takes the token with him.
  if (token == 0 || !save_token_.compare_exchange_strong(token, 0)) return KANTE_E_STATE;
  auto state = std::make_shared<State>();
  state->format = format;
  state->bytes.assign(static_cast<const char*>(data), size);
  const auto hand_over = [this, state] { endSave(state); };
  if (onStrand()) {
    hand_over();
  } else {
    onShard(hand_over);
  }
  return KANTE_OK;
}

void Instance::resumeEvents() {
  onShard([this] {
    if (phase_ == Phase::kEnded) return;
    saved_ = nullptr;
    save_token_ = 0;
    if (save_owed_) {  // Elsewhere: what is sent before the end of SAVE would come back with it.
      resume_wanted_ = true;
      sendAgain();  // That end may wait behind what was emitted after the state.
    } else {
      resumeNow();
    }
  });
}

// Its state is not wanted after all, so more may follow it.
void Instance::sendAgain() {
  if (std::exchange(leave_, Leave::kNo) != Leave::kSaved) return;
  {
    const std::lock_guard lock(foreign_mutex_);
    foreign_closed_ = false;
  }
  (void)routeForeign(Credit::kNeeded);
  for (std::uint32_t i = 0; i < outputs_.size(); ++i) {
    if (!is_here_ && outputs_[i].waits_for.empty()) unblock(i);
  }
}

void Instance::resumeNow() {
  holding_ = false;
  if (std::exchange(save_sent_, false)) parts_.life->resume();
  sendAgain();
  parts_.lane->setConsumer(this);
  for (const auto& intake : intakes_) {
    if (intake) intake->wake();
  }
  shard().runLater(*this);
}

void Instance::flushForeign() {
  onShard([this] {
    if (phase_ != Phase::kEnded) (void)routeForeign(Credit::kIgnored);
  });
}

void Instance::drain(Queued queued) {
  onShard([this, queued] {
    if (drain_ != Drain::kNo) return;
    if (phase_ == Phase::kEnded) {  // It died.
      drain_ = Drain::kSent;
      return drained();
    }
    drain_ = Drain::kWanted;
    if (queued == Queued::kLeave) parts_.lane->release(*this);
    for (const auto& intake : intakes_) {  // What is on disk stays there.
      if (intake) intake->stop();
    }
    if (holding_) {
      handOn();
      sendDrain();
    }
    shard().runLater(*this);
  });
}

bool Instance::isOwn(const Event& event) {
  return event.event.type == KANTE_EVENT_WRITABLE || event.event.type == KANTE_EVENT_DONE;
}

// It was saved or held: its lane and its events are its successor's.  What is left to it is to send
// what it had no room for, so it still learns of room, and of what became of what it sent.
void Instance::handOn() {
  handed_on_ = true;
  holding_ = false;
  timers_.clear();
  for (Event& event : std::exchange(events_, {})) postEvent(std::move(event));
}

void Instance::drainNow() {
  onShard([this] {
    if (phase_ != Phase::kEnded && drain_ == Drain::kWanted) sendDrain();
  });
}

void Instance::sendDrain() {
  parts_.lane->release(*this);
  kante_event event{};
  event.struct_size = sizeof event;
  event.type = KANTE_EVENT_DRAIN;
  drain_ = Drain::kSent;
  if (!unsent_.empty()) dispatchUnsent();  // What it had no room for comes first.
  const kante_status status = unsent_.empty() ? call(event) : KANTE_E_AGAIN;
  if (status == KANTE_E_AGAIN && !is_here_) {
    no_room_ = true;
    drain_ = Drain::kWanted;  // Until there is room.
    return;
  }
  if (status != KANTE_OK) drained();  // It knows no draining, so it is quiet already.
}

void Instance::drained() {
  if (!onStrand()) {
    onShard([this] { drained(); });
    return;
  }
  if (drain_ != Drain::kSent) return;
  drain_ = Drain::kDone;
  parts_.control([self = shared_from_this()] {
    if (self->callbacks_.drained) self->callbacks_.drained();
  });
}

void Instance::end(std::function<void()> ended) {
  onShard([this, ended = std::move(ended)] {
    if (phase_ != Phase::kEnded) {
      parts_.lane->release(*this);
      if (table_) (void)routeForeign(Credit::kIgnored);
      if (table_ && !is_here_) flushEmitted();
      close();
    }
    whenGone([this, ended] {
      shard().deschedule(*this);
      parts_.control(ended);
    });
  });
}

}  // namespace kante
