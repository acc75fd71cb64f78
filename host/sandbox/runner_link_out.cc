// From the host to its runner: events as frames, within the ring's room and the credit.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "host/sandbox/runner_link.h"

namespace kante {

namespace {

std::string_view textOf(kante_str text) {
  return text.data == nullptr
             ? std::string_view()
             : std::string_view(text.data, text.size < kTextMax ? text.size : kTextMax);
}

}  // namespace

// Whoever asks is told when there is room.
kante_status RunnerLink::noRoom() {
  if (broken_ || !isOpen()) return KANTE_E_AGAIN;  // Its end is on its way.
  if (!std::exchange(said_again_, true)) shard().runLater(*this);
  return KANTE_E_AGAIN;
}

bool RunnerLink::canWrite() const {
  return isOpen() && !broken_ && !rings_->writer.unfinished() && owed_.empty();
}

kante_status RunnerLink::write(const FrameOut& frame, const MessageRef& keep) {
  if (!canWrite()) return noRoom();
  switch (rings_->writer.write(frame)) {
    case FrameWriter::Wrote::kNothing: return noRoom();
    case FrameWriter::Wrote::kSome: unfinished_ = keep; break;
    case FrameWriter::Wrote::kAll: break;
  }
  ++counts_.frames_out;
  counts_.bytes_out += std::uint64_t{frame.word_count} * 8;
  if (rings_->ring_out.unpublished() >= RingWriter::kPublishEvery) publish();
  shard().runLater(*this);
  return KANTE_PENDING;
}

kante_status RunnerLink::onInput(const kante_event& event, std::uint8_t hops) {
  const std::uint32_t bytes = event.word_count * 8;
  if (phase_ != Phase::kActive || !hasCredit(bytes)) return noRoom();
  FrameOut frame;
  frame.kind = Frame::kInput;
  frame.id = event.id;
  frame.status = hops;
  frame.token = event.token;
  frame.arg = event.arg;
  frame.text = textOf(event.name);
  frame.words = event.words;
  frame.word_count = event.word_count;
  if (!canWrite()) return noRoom();
  switch (rings_->writer.write(frame)) {
    case FrameWriter::Wrote::kNothing: return noRoom();
    case FrameWriter::Wrote::kSome: unfinished_ = MessageRef::retain(event.msg); break;
    case FrameWriter::Wrote::kAll: break;
  }
  sizes_[sent_++ % kInputCredit] = bytes;
  unhandled_bytes_ += bytes;
  ++counts_.frames_out;
  counts_.bytes_out += bytes;
  if (rings_->ring_out.unpublished() >= RingWriter::kPublishEvery) publish();
  shard().runLater(*this);
  return KANTE_PENDING;
}

kante_status RunnerLink::onEvent(const kante_event& event) {
  FrameOut frame;
  frame.token = event.token;
  frame.arg = event.arg;
  frame.words = event.words;
  frame.word_count = event.word_count;
  switch (event.type) {
    case KANTE_EVENT_METHOD:
      frame.kind = Frame::kMethod;
      frame.text = textOf(event.name);
      break;
    case KANTE_EVENT_DESIRED: frame.kind = Frame::kDesired; break;
    case KANTE_EVENT_DONE:
      frame.kind = Frame::kDone;
      frame.status = event.status;
      break;
    case KANTE_EVENT_WRITABLE:  // The runner has credit of its own; what was set aside goes on.
      set_aside_.retry(
          event.id, [this](SetAside::Emit& emit) { return route(emit); },
          [this](SetAside::Barrier& barrier) { pass(barrier); });
      shard().runLater(*this);
      return KANTE_OK;
    case KANTE_EVENT_DRAIN: frame.kind = Frame::kDrain; break;
    case KANTE_EVENT_HEALTH: frame.kind = Frame::kHealth; break;
    case KANTE_EVENT_SAVE: frame.kind = Frame::kSave; break;
    case KANTE_EVENT_RESTORE: return restore(event);
    default: return KANTE_E_UNSUPPORTED;
  }
  const kante_status status = write(frame, MessageRef::retain(event.msg));
  const bool is_answered = event.type == KANTE_EVENT_METHOD || event.type == KANTE_EVENT_HEALTH ||
                           event.type == KANTE_EVENT_SAVE;
  if (status == KANTE_PENDING && event.type == KANTE_EVENT_SAVE) {
    ++saves_due_;
    ++states_due_;
  }
  return status == KANTE_PENDING && !is_answered ? KANTE_OK : status;
}

// The descriptor goes first, over the control socket; the runner looks for it when it reads DONE.
// Which event brings one the host alone says: tokens are the runner's to choose.
kante_status RunnerLink::onOpened(const kante_event& event, int fd) {
  if (!canWrite()) return noRoom();
  FrameOut frame;
  frame.kind = Frame::kDone;
  frame.token = event.token;
  frame.status = event.status;
  if (!passed_) passed_ = channel_->pass(fd, event.token);
  if (passed_) {
    frame.arg = 1;
  } else {
    frame.status = KANTE_E_LIMIT;  // It takes none of what it was sent.
  }
  const kante_status status = write(frame, MessageRef());
  if (status != KANTE_PENDING) return status;
  passed_ = false;
  return KANTE_OK;
}

// Up to 16 MiB, in parts: kept until the last is written.
kante_status RunnerLink::restore(const kante_event& event) {
  if (!canWrite()) return noRoom();
  unfinished_state_.assign((event.name.size + 7) / 8, 0);
  if (event.name.size > 0) std::memcpy(unfinished_state_.data(), event.name.data, event.name.size);
  const kante_status status = write(
      stateFrame(Frame::kRestore, 0, event.arg, unfinished_state_.data(), event.name.size), {});
  if (status != KANTE_PENDING || !rings_->writer.unfinished()) unfinished_state_ = {};
  return status;
}

void RunnerLink::resume() {
  if (!isOpen()) return;
  owed_.resume = true;
  writeOwed();
  shard().runLater(*this);
}

bool RunnerLink::writeNow(const FrameOut& frame) {
  if (rings_->writer.write(frame) == FrameWriter::Wrote::kNothing) return false;
  ++counts_.frames_out;
  return true;
}

void RunnerLink::writeOwed() {
  if (broken_ || rings_->writer.unfinished()) return;
  while (!owed_.dones.empty()) {
    FrameOut frame;
    frame.kind = Frame::kDone;
    std::tie(frame.token, frame.status) = owed_.dones.front();
    if (!writeNow(frame)) return;
    owed_.dones.pop_front();
  }
  FrameOut frame;
  frame.kind = Frame::kResume;
  frame.id = 1;
  if (owed_.resume_inputs && writeNow(frame)) owed_.resume_inputs = false;
  frame.id = 0;
  if (owed_.resume && writeNow(frame)) owed_.resume = false;
  frame.kind = Frame::kDestroy;
  if (owed_.destroy && !owed_.resume && writeNow(frame)) owed_.destroy = false;
}

void RunnerLink::publish() {
  if (rings_->ring_out.unpublished() == 0) return;
  if (rings_->ring_out.publish() == Wake::kYes) oweWake();
  if (owes_wake_ && unhandled() >= kWakeAtOnce) turnEnds();
}

void RunnerLink::oweWake() {
  if (!std::exchange(owes_wake_, true)) shard().polling().owes(*this);
}

void RunnerLink::turnEnds() {
  if (std::exchange(owes_wake_, false)) wakeRunner();
}

// Never blocks, whatever the runner does.
void RunnerLink::wakeRunner() {
  ++counts_.doorbells;
  std::atomic<std::uint32_t>& wakes = channel_->files.runnerWakes();
  wakes.fetch_add(1, std::memory_order_release);
  ::syscall(SYS_futex, &wakes, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

void RunnerLink::noteHandled() {
  const std::uint64_t now = rings_->peer.handled.load(std::memory_order_acquire);
  if (now == handled_) return;
  if (now < handled_ || now > sent_) {
    return breach("it says that it has handled " + std::to_string(now) + " inputs, after " +
                  std::to_string(handled_) + " of " + std::to_string(sent_));
  }
  const auto count = static_cast<std::uint32_t>(now - handled_);
  while (handled_ < now) unhandled_bytes_ -= sizes_[handled_++ % kInputCredit];
  owner_->inputsHandled(count);
}

void RunnerLink::inputsGivenBack() {
  sent_ = handled_;
  unhandled_bytes_ = 0;
}

// One message larger than all the credit goes alone.
bool RunnerLink::hasCredit(std::uint64_t bytes) const {
  return unhandled() < kInputCredit &&
         (unhandled() == 0 || unhandled_bytes_ + bytes <= kInputBytesCredit);
}

// What waited for room in the ring or for credit.
void RunnerLink::giveRoom() {
  if (broken_ || (!said_again_ && owed_.empty() && !rings_->writer.unfinished())) return;
  seen_tail_ = rings_->peer.end.tail.load(std::memory_order_acquire);
  if (rings_->writer.unfinished()) {
    if (rings_->writer.resume() != FrameWriter::Wrote::kAll) return;
    unfinished_ = MessageRef();
    unfinished_state_ = {};
  }
  writeOwed();
  const bool has_credit =
      unhandled() <= kInputCredit / 2 && unhandled_bytes_ <= kInputBytesCredit / 2;
  if (!said_again_ || !canWrite() || !has_credit || rings_->ring_out.isFull()) return;
  said_again_ = false;
  owner_->roomAgain();
}

void RunnerLink::routesAreThere() {
  if (!isOpen() || std::exchange(has_routes_, true)) return;
  for (std::uint32_t i = 0; i < output_.size(); ++i) noteRouted(i, kOutputCredit);
  tellRouted();
}

void RunnerLink::noteRouted(std::uint32_t output, std::uint32_t count) {
  output_[output].routed += count;
  if (!std::exchange(output_[output].untold, true)) untold_.push_back(output);
}

// What a runner may send of an output is what the host has not passed on yet.  One that waits is
// woken for half of that.
void RunnerLink::tellRouted() {
  if (untold_.empty()) return;
  bool is_worth_it = false;
  for (const std::uint32_t index : untold_) {
    Output& output = output_[index];
    output.untold = false;
    is_worth_it = is_worth_it || output.emitted - output.routed <= kOutputCredit / 2;
    rings_->page.routed[index].store(output.routed, std::memory_order_release);
  }
  untold_.clear();
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (is_worth_it && rings_->peer_sleep.wakeFor(kWantsCredit) == Wake::kYes) oweWake();
}

}  // namespace kante
