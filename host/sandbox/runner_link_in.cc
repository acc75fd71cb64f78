// From the runner to its host: frames as calls of the instance's host table.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "host/sandbox/runner_link.h"

namespace kante {

namespace {

constexpr std::uint32_t kMetricsMax = 64;

std::int64_t read(clockid_t id) {
  timespec at{};
  ::clock_gettime(id, &at);
  return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

kante_str strOf(std::string_view text) { return {text.data(), text.size()}; }

template <typename Table>
const Table& extension(const kante_host& host, const char* id) {
  return *static_cast<const Table*>(host.get_extension(&host, id));
}

}  // namespace

// True: there is more.
bool RunnerLink::readFrames() {
  const std::uint64_t head = rings_->peer.end.head.load(std::memory_order_acquire);
  if (head == seen_head_ || broken_ || !mayRead()) return false;
  bool more = false;
  owner_->together([this, head, &more] {
    for (std::uint32_t n = 0; n < kSlice && !broken_ && mayRead(); ++n) {
      switch (rings_->reader.next(frame_)) {
        case FrameReader::Got::kNothing: seen_head_ = head; return;
        case FrameReader::Got::kBroken: return breach(*rings_->reader.broken());
        case FrameReader::Got::kFrame: handle(); break;
      }
    }
    more = !broken_ && mayRead();
  });
  return more;
}

bool RunnerLink::readWithinShare() {
  if (paused_) return readFrames();  // Nothing, while it lives.
  const std::int64_t began = read(CLOCK_THREAD_CPUTIME_ID);
  const bool more = readFrames();
  const std::int64_t used = read(CLOCK_THREAD_CPUTIME_ID) - began;
  const std::int64_t wait = share_.use(used, read(CLOCK_MONOTONIC));
  if (wait == 0 || broken_) return more;
  ++counts_.pauses;
  paused_ = true;
  pause_.set(std::chrono::nanoseconds(wait), [this] {
    paused_ = false;
    if (isOpen()) shard().runLater(*this);
  });
  return false;
}

void RunnerLink::handle() {
  ++counts_.frames_in;
  if (frame_.kind == Frame::kEmit) [[likely]]
    return emit();
  const FrameHead& head = frame_.head;
  switch (frame_.kind) {
    case Frame::kSettle:
    case Frame::kDrained:
    case Frame::kSaved: return barrier();
    case Frame::kEventEnded:
      if (head.id == KANTE_EVENT_SAVE) return barrier();
      return owner_->eventEnded(head.id, head.token, head.status, std::string(frame_.text));
    case Frame::kLog: return host_->log(host_, head.id, strOf(frame_.text));
    case Frame::kReport:
    case Frame::kReply:
    case Frame::kStorageGet:
    case Frame::kStoragePut:
    case Frame::kStorageErase:
    case Frame::kInvoke:
    case Frame::kOpen: return request();
    case Frame::kDefineMetric:
    case Frame::kAddMetric:
    case Frame::kRecordMetric: return metric();
    case Frame::kReady:
      return extension<kante_lifecycle_v1>(*host_, KANTE_EXT_LIFECYCLE).ready(host_);
    case Frame::kDefer:
      (void)extension<kante_lifecycle_v1>(*host_, KANTE_EXT_LIFECYCLE)
          .defer(host_, static_cast<std::uint32_t>(head.arg));
      return;
    case Frame::kCreated: return created();
    case Frame::kRestored:
      return owner_->eventEnded(KANTE_EVENT_RESTORE, 0, head.status, std::string(frame_.text));
    default: return breach(nameOf(frame_.kind) + " is no frame of a runner");
  }
}

void RunnerLink::created() {
  if (phase_ == Phase::kEnding) return;
  if (phase_ != Phase::kCreating) return breach("it was created twice");
  phase_ = Phase::kActive;
  owner_->createEnded(frame_.head.status, std::string(frame_.text), frame_.head.id == 1);
}

// ---- emits

void RunnerLink::emit() {
  const FrameHead& head = frame_.head;
  if (head.id >= output_.size()) return breach(fmt::format("it has no output {}", head.id));
  if (head.arg == 0 || head.arg > UINT8_MAX)
    return breach(fmt::format("a message cannot have {} hops behind it", head.arg));
  Output& output = output_[head.id];
  if (output.emitted - output.routed >= kOutputCredit)
    return breach(
        fmt::format("it sent more on its output {} than it has credit for", outputs_[head.id]));
  ++output.emitted;
  SetAside::Emit emit{head.id, {}, static_cast<std::uint8_t>(head.arg), head.token};
  if (!sealFrame(output.layout, emit.message)) return;
  counts_.bytes_in += emit.message.bytes();
  if (!set_aside_.waits(head.id) && route(emit)) return;
  if (!set_aside_.add(std::move(emit))) breach("it has more emits under way than its credit");
}

// False: no room, and WRITABLE follows.  In an ending nothing follows.
bool RunnerLink::route(SetAside::Emit& emit) {
  const kante_status status = owner_->emitted(emit.output, emit.message, emit.hops, emit.token);
  if (status == KANTE_E_AGAIN) {
    if (phase_ != Phase::kEnding) return false;
    lose(emit);
  } else if (status < KANTE_OK) {
    ++counts_.refused;
  }
  noteRouted(emit.output, 1);
  return true;
}

// The runner leaves to the host what only the general reader can judge, so what does not pass may
// be the module's mistake and no breach: it is refused, and who asked to be told is.
bool RunnerLink::sealFrame(Layout& layout, MessageRef& out) {
  kante_msg* block = frame_.message.get();
  kante_msg* sealed = nullptr;
  const kante_status status =
      seal(block, frame_.head.message_words, layout, shard().stamp(), seals_, &sealed);
  if (status != KANTE_OK) {
    refuse(status);
    return false;
  }
  if (sealed == block) {
    out = std::move(frame_.message);
  } else {
    out = MessageRef::adopt(sealed);
  }
  return true;
}

void RunnerLink::refuse(kante_status status) {
  const FrameHead& head = frame_.head;
  ++counts_.refused;
  const std::string text =
      fmt::format("sent {} with what is no message ({})", nameOf(frame_.kind), status);
  host_->log(host_, 4, strOf(text));
  if (frame_.kind == Frame::kEmit) noteRouted(head.id, 1);
  if (frame_.kind != Frame::kReply) answer(head.token, status);
}

// ---- what must not overtake emits

// One end for each SAVE, and one state at most; a state that comes late comes before the end of the
// next SAVE.
bool RunnerLink::isAskedFor(Frame kind) {
  if (kind == Frame::kSaved) return states_due_ > 0 && states_due_-- > 0;
  if (kind != Frame::kEventEnded) return true;
  if (saves_due_ == 0) return false;
  --saves_due_;
  states_due_ = std::min(states_due_, 1u);
  return true;
}

void RunnerLink::barrier() {
  if (!isAskedFor(frame_.kind)) return breach("it answers a SAVE that nobody asked for");
  SetAside::Barrier barrier{frame_.kind, frame_.head,
                            std::string(frame_.text.substr(0, SetAside::kTextMax)),
                            std::move(frame_.state)};
  if (set_aside_.empty()) return pass(barrier);
  if (!set_aside_.add(std::move(barrier))) breach("it settles more than it was given");
}

void RunnerLink::pass(SetAside::Barrier& barrier) {
  const FrameHead& head = barrier.head;
  switch (barrier.kind) {
    case Frame::kSettle:
      if (head.status < KANTE_OK) host_->explain(host_, head.status, strOf(barrier.text));
      if (host_->settle(host_, head.token, head.status) != KANTE_OK && head.id == 1 &&
          phase_ == Phase::kActive)
        return breach("it gives its inputs back for one that it was not handling");
      if (head.id == 1 && isOpen()) {  // What is behind it does not overtake it.
        noteHandled();
        inputsGivenBack();
        owner_->inputsRecalled();
        owed_.resume_inputs = true;
        writeOwed();
      }
      return;
    case Frame::kDrained: return host_->drained(host_);
    case Frame::kSaved:
      (void)extension<kante_state_v1>(*host_, KANTE_EXT_STATE)
          .save(host_, head.token, head.arg, barrier.state.data(), barrier.state.size());
      return;
    default: break;
  }
  // The end of SAVE: what was not handled by now comes back to the owner.
  noteHandled();
  inputsGivenBack();
  owner_->eventEnded(head.id, head.token, head.status, barrier.text);
}

// ---- extensions

void RunnerLink::request() {
  const FrameHead& head = frame_.head;
  MessageRef message;
  if (frame_.message && !sealFrame(other_layout_, message)) return;
  const kante_str text = strOf(frame_.text);
  const auto& storage = extension<kante_storage_v1>(*host_, KANTE_EXT_STORAGE);
  kante_status status = KANTE_OK;
  switch (frame_.kind) {
    case Frame::kReport:
      status =
          extension<kante_twin_v1>(*host_, KANTE_EXT_TWIN).report(host_, message.get(), head.token);
      break;
    case Frame::kReply:
      (void)extension<kante_twin_v1>(*host_, KANTE_EXT_TWIN)
          .reply(host_, head.token, head.status, message.get());
      return;
    case Frame::kStorageGet: status = storage.get(host_, text, head.token); break;
    case Frame::kStoragePut: status = storage.put(host_, text, message.get(), head.token); break;
    case Frame::kStorageErase: status = storage.erase(host_, text, head.token); break;
    case Frame::kOpen:
      status = extension<kante_device_v1>(*host_, KANTE_EXT_DEVICE).open(host_, text, head.token);
      break;
    default: {
      const auto target_bytes = static_cast<std::uint32_t>(head.arg >> 32);
      if (target_bytes > text.size) return breach("INVOKE with a target longer than its text");
      status = extension<kante_invoke_v1>(*host_, KANTE_EXT_INVOKE)
                   .invoke(host_, {text.data, target_bytes},
                           {text.data + target_bytes, text.size - target_bytes}, message.get(),
                           static_cast<std::uint32_t>(head.arg), head.token);
    }
  }
  if (status != KANTE_OK) answer(head.token, status);
}

// The module was told that what it asked for is on its way: the refusal is its answer.
void RunnerLink::answer(std::uint64_t token, kante_status status) {
  if (token == 0) return;
  if (owed_.dones.size() >= kRequestCredit) return breach("it asks for more than its credit");
  owed_.dones.emplace_back(token, status);
}

void RunnerLink::metric() {
  const FrameHead& head = frame_.head;
  if (head.id >= kMetricsMax) return breach(fmt::format("it has no metric {}", head.id));
  const auto& table = extension<kante_metrics_v1>(*host_, KANTE_EXT_METRICS);
  if (frame_.kind == Frame::kDefineMetric) {
    if (metrics_.size() <= head.id) metrics_.resize(head.id + 1);
    std::uint32_t id = 0;
    if (table.define(host_, strOf(frame_.text), static_cast<std::uint32_t>(head.arg), &id) ==
        KANTE_OK) {
      metrics_[head.id] = id;
    }
    return;
  }
  if (head.id >= metrics_.size() || !metrics_[head.id]) return;
  const std::uint32_t id = *metrics_[head.id];
  if (frame_.kind == Frame::kAddMetric) {
    table.add(host_, id, static_cast<std::int64_t>(head.arg));
  } else {
    table.record(host_, id, std::bit_cast<double>(head.arg));
  }
}

}  // namespace kante
