#include "sandbox/runner/loop.h"

#include <sched.h>

#include <algorithm>

#include "host/base/clock.h"
#include "host/message/pool.h"
#include "sandbox/runner/host_watch.h"

namespace kante {

namespace {

void increment(std::atomic<std::uint64_t>& count) {
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

std::uint32_t lengthOf(const char* const* names) {
  std::uint32_t count = 0;
  while (names[count] != nullptr) ++count;
  return count;
}

std::int64_t bootNs() { return SystemClock().bootNs(); }

}  // namespace

Loop::Loop(const RunnerFiles& files, const kante_entry& entry, int doorbell, int control)
    : files_(files),
      entry_(entry),
      control_(control),
      descriptors_(control),
      waker_(files.page()),
      host_sleep_(files.hostPage().end),
      own_sleep_(files.page().end),
      ring_(files.ringFromHost(), files.ringBytes(), files.page().end, files.hostPage().end,
            host_sleep_),
      reader_(ring_, FrameReader::From::kHost),
      port_(files, host_sleep_, doorbell, waker_, lengthOf(entry.outputs)),
      host_(makeHostTable(port_)) {}

std::optional<std::string> Loop::run() {
  if (MessagePool::ofThisThread() == nullptr) MessagePool::bind();
  while (!over_) {
    const Turn done = turn();
    if (done == Turn::kSome || over_ || (done == Turn::kAll && !ring_.isEmpty())) continue;
    if (reader_.broken()) return reader_.broken();
    if (auto broken = port_.broken()) return broken;
    if (!spin()) sleep();
  }
  return std::nullopt;
}

// ---- turns

// Before it sleeps everything is looked at once more, so after a turn that did all nobody looks for
// more: on a core that both share the host waits for its answer until this thread sleeps.
Loop::Turn Loop::turn() {
  bool worked = false;
  int frames = 0;
  for (; frames < kSlice && !over_; ++frames) {
    if (reader_.next(frame_) != FrameReader::Got::kFrame) break;
    takeFrame();
    frame_.message = MessageRef();
  }
  if (takesEvents()) {
    for (int n = 0; n < kSlice; ++n) {
      const auto timer = port_.takeTimer();
      if (!timer) break;
      tell({.type = KANTE_EVENT_TIMER, .id = timer->id, .arg = timer->times});
      worked = true;
    }
    for (int n = 0; n < kSlice; ++n) {
      const auto output = port_.takeWritable();
      if (!output) break;
      tell({.type = KANTE_EVENT_WRITABLE, .id = *output});
      rests_until_ns_ = 0;
      worked = true;
    }
    if (deliverPutOff()) worked = true;
  }
  port_.endTurn();
  if (ring_.giveBack(RingReader::Returning::kEighth) == Wake::kYes) port_.ringHost();
  MessagePool::endTurn();
  if (worked || frames == kSlice) return Turn::kSome;
  return frames > 0 ? Turn::kAll : Turn::kNothing;
}

void Loop::takeFrame() {
  const FrameHead& head = frame_.head;
  switch (frame_.kind) {
    case Frame::kInput: return input();
    case Frame::kMethod: return method();
    case Frame::kDesired:
      return tell({.type = KANTE_EVENT_DESIRED, .arg = head.arg, .message = frameMessage()});
    case Frame::kDone: return done();
    case Frame::kDrain: return drain();
    case Frame::kHealth: {
      const kante_status status = call({.type = KANTE_EVENT_HEALTH});
      return port_.tellEnd(KANTE_EVENT_HEALTH, 0, status, port_.explanation());
    }
    case Frame::kSave: return save();
    case Frame::kRestore: return restore();
    case Frame::kCreate: return create();
    case Frame::kResume:
      if (head.id == 1) return static_cast<void>(recalled_ = false);
      holding_ = false;
      return port_.cancelSave();
    case Frame::kDestroy: return destroy();
    default: return;  // The reader let nothing else through.
  }
}

void Loop::done() {
  const FrameHead& head = frame_.head;
  Event event{.type = KANTE_EVENT_DONE,
              .status = head.status,
              .token = head.token,
              .arg = head.arg,
              .message = frameMessage()};
  if (port_.requestDone(head.token) && head.status == KANTE_OK && head.arg == 1) {
    const int fd = descriptors_.take(head.token);
    event.arg = fd < 0 ? 0 : static_cast<std::uint64_t>(fd);
    if (fd < 0) event.status = KANTE_E_STATE;
  }
  tell(event);
}

// ---- sleep

// What a yield found only after somebody else had the core for long was worth a sleep: then a wake
// comes at once, a yield when the other's time is over.
bool Loop::spin() {
  if (vain_ >= kVainMax && ++skipped_ % kSkip != 0) return false;
  const std::int64_t end_ns = bootNs() + kSpinNs;
  bool found = false;
  bool in_time = true;
  while (!found && in_time) {
    ::sched_yield();
    const std::int64_t now_ns = bootNs();
    in_time = now_ns < end_ns;
    found = !ring_.isEmpty() || waker_.isKicked() || port_.hasNews(events()) ||
            (takesEvents() && now_ns >= port_.nextTimerNs());
  }
  const bool won = found && in_time;
  vain_ = won ? 0 : vain_ + 1;
  increment(won ? files_.page().spins_won : files_.page().spins_lost);
  return found;
}

void Loop::sleep() {
  if (ring_.giveBack(RingReader::Returning::kEverything) == Wake::kYes) port_.ringHost();
  waker_.fallAsleep();
  const std::uint32_t seen = waker_.seen();
  own_sleep_.announce(port_.wants(events()));
  std::int64_t until_ns = takesEvents() ? port_.nextTimerNs() : Timers::kNever;
  if (!put_off_.empty() && rests_until_ns_ != 0) until_ns = std::min(until_ns, rests_until_ns_);
  const std::int64_t left_ns = until_ns == Timers::kNever ? 1 : until_ns - bootNs();
  if (left_ns > 0 && ring_.isEmpty() && !port_.hasNews(events())) {
    increment(files_.page().sleeps);
    waker_.block(seen, until_ns == Timers::kNever ? -1 : left_ns);
  }
  own_sleep_.awake();
  waker_.wakeUp();
}

// ---- the module

kante_msg* Loop::frameMessage() {
  kante_msg* message = frame_.message.get();
  if (message != nullptr) message->words = frame_.head.message_words;  // The host has judged it.
  return message;
}

kante_status Loop::call(const Event& event) {
  if (module_ == nullptr) return KANTE_E_STATE;
  kante_event raw{};
  raw.struct_size = sizeof raw;
  raw.type = event.type;
  raw.id = event.id;
  raw.status = event.status;
  raw.token = event.token;
  raw.arg = event.arg;
  raw.name = {event.name.data(), event.name.size()};
  if (event.message != nullptr) {
    raw.msg = event.message;
    raw.words = event.message->data();
    raw.word_count = event.message->words;
  }
  std::string& explanation = port_.explanation();
  if (!explanation.empty()) explanation.clear();
  RunnerPage& page = files_.page();
  page.event.store(raw.type, std::memory_order_relaxed);
  increment(page.sequence);
  kante_status status = KANTE_E_INTERNAL;
  try {
    status = entry_.on_event(module_, &raw);
  } catch (...) {
    explanation = "an exception left on_event()";
  }
  increment(page.sequence);
  return status;
}

void Loop::tell(const Event& event) {
  const kante_status status = call(event);
  if (status == KANTE_OK || status == KANTE_E_UNSUPPORTED) return;
  port_.tellEnd(event.type, 0, status, port_.explanation());
}

void Loop::create() {
  if (module_ != nullptr) return;
  port_.explanation().clear();
  port_.beginCreate(frame_.head.arg);
  RunnerPage& page = files_.page();
  page.event.store(0, std::memory_order_relaxed);
  increment(page.sequence);
  kante_status status = KANTE_E_INTERNAL;
  try {
    status = entry_.create(&host_, frameMessage(), &module_);
  } catch (...) {
    port_.explanation() = "an exception left create()";
  }
  increment(page.sequence);
  if (status != KANTE_OK) module_ = nullptr;  // destroy() is not called for what create() refused.
  if (status == KANTE_OK && module_ == nullptr) {
    status = KANTE_E_STATE;
    port_.explanation() = "it made no module";
  }
  port_.endCreate(status);
}

void Loop::restore() {
  const kante_status status =
      call({.type = KANTE_EVENT_RESTORE, .arg = frame_.head.arg, .name = frame_.state});
  port_.tellRestored(status);
  frame_.state = {};
}

void Loop::method() {
  const std::uint64_t token = frame_.head.token;
  port_.beginMethod(token);
  const kante_status status = call(
      {.type = KANTE_EVENT_METHOD, .token = token, .name = frame_.text, .message = frameMessage()});
  port_.endMethod(token, status);
}

// ---- inputs

void Loop::input() {
  if (!takes_inputs_ || holding_ || recalled_) return;  // The host takes it back.
  const FrameHead& head = frame_.head;
  const auto hops = static_cast<std::uint8_t>(head.status);
  Event event{.type = KANTE_EVENT_INPUT,
              .id = head.id,
              .token = head.token,
              .arg = head.arg,
              .name = frame_.text,
              .message = frameMessage()};
  if (put_off_.empty()) {
    if (deliver(event, hops) == Took::kHandled) return;
    if (event.token != 0) ++event.arg;
  }
  put_off_.push_back({event, hops, std::string(frame_.text), std::move(frame_.message)});
}

Loop::Took Loop::deliver(const Event& input, std::uint8_t hops) {
  const std::uint64_t token = input.token;
  input.message->ways.arrived(RemotePort::kReceiver, hops, Ways::Holders::kOne);
  if (token != 0) port_.beginInput(token);
  const kante_status status = call(input);
  using Ended = RemotePort::Ended;
  const Ended ended = token != 0                ? port_.endInput(token, status)
                      : status == KANTE_E_AGAIN ? Ended::kPutOff
                                                : Ended::kDone;
  if (ended == Ended::kPutOff) {
    rest();
    return Took::kPutOff;
  }
  if (token == 0 && status < KANTE_OK) {
    port_.tellEnd(KANTE_EVENT_INPUT, 0, status,
                  std::string(input.name) + "\n" + port_.explanation());
  }
  again_ms_ = 0;
  port_.inputHandled();
  if (ended == Ended::kFailed) recalled_ = true;
  return Took::kHandled;
}

void Loop::rest() {
  again_ms_ = again_ms_ == 0 ? kAgainFirstMs : std::min(again_ms_ * 2, kAgainLastMs);
  rests_until_ns_ = bootNs() + std::int64_t{again_ms_} * 1'000'000;
}

// The same message first, then what came behind it.
bool Loop::deliverPutOff() {
  if (put_off_.empty()) return false;
  if (rests_until_ns_ != 0 && bootNs() < rests_until_ns_) return false;
  rests_until_ns_ = 0;
  for (int n = 0; n < kSlice && !put_off_.empty(); ++n) {
    Input& next = put_off_.front();
    next.event.name = next.sender;
    if (deliver(next.event, next.hops) == Took::kPutOff) {
      if (next.event.token != 0) ++next.event.arg;
      break;
    }
    put_off_.pop_front();
    if (recalled_) put_off_.clear();
  }
  return true;
}

// ---- the end of a life

void Loop::save() {
  put_off_.clear();  // They go back.
  rests_until_ns_ = 0;
  again_ms_ = 0;
  holding_ = true;
  const std::uint64_t token = frame_.head.token;
  port_.beginSave(token);
  port_.endSave(token, call({.type = KANTE_EVENT_SAVE, .token = token}));
}

// What was saved belongs to its successor: it still learns of room, and of what became of what it
// sent.
void Loop::drain() {
  if (holding_) port_.clearTimers();
  holding_ = false;
  put_off_.clear();
  takes_inputs_ = false;
  port_.beginDrain();
  // One that knows no draining is quiet already.
  if (call({.type = KANTE_EVENT_DRAIN}) != KANTE_OK) port_.drained();
}

void Loop::destroy() {
  over_ = true;
  put_off_.clear();
  if (module_ != nullptr) {
    RunnerPage& page = files_.page();
    page.event.store(0, std::memory_order_relaxed);
    increment(page.sequence);
    try {
      entry_.destroy(std::exchange(module_, nullptr));
    } catch (...) {
      port_.log(4, "an exception left destroy()");
    }
    increment(page.sequence);
  }
  port_.endTurn();
  while (port_.keepsFrames() &&
         !isHostGone(control_)) {  // The host still hears what the module said.
    sleep();
    port_.endTurn();
  }
  frame_.message = MessageRef();
  const std::int64_t held =
      MessagePool::ofThisThread()->outstanding() + MessagePool::looseOutstanding();
  if (held > 0) {
    port_.log(3, "held " + std::to_string(held) + " messages when it was destroyed");
    port_.endTurn();
  }
}

}  // namespace kante
