#include "sandbox/runner/outbox.h"

#include <unistd.h>

#include <utility>

namespace kante {

Outbox::Outbox(const RunnerFiles& files, PeerSleep& host_sleep, int doorbell)
    : page_(files.page()),
      ring_(files.ringToHost(), files.ringBytes(), files.page().end, files.hostPage().end,
            host_sleep),
      host_sleep_(host_sleep),
      writer_(ring_),
      doorbell_(doorbell) {}

bool Outbox::offer(const FrameOut& frame, kante_msg* message) {
  if (!kept_.empty() || writer_.unfinished()) [[unlikely]] {
    flush();
    if (!kept_.empty() || writer_.unfinished()) return false;
  }
  const FrameWriter::Wrote wrote = writer_.write(frame);
  if (wrote == FrameWriter::Wrote::kNothing) [[unlikely]] {
    publish();  // Or the host would never make room.
    return false;
  }
  if (wrote == FrameWriter::Wrote::kSome) {
    unfinished_message_ = MessageRef::retain(message);
    publish();
  } else {
    publishEvery();
  }
  return true;
}

void Outbox::keep(const FrameOut& frame, kante_msg* message,
                  std::unique_ptr<std::uint64_t[]> words) {
  Kept& kept = kept_.emplace_back();
  kept.frame = frame;
  kept.text = frame.text;
  kept.message = MessageRef::retain(message);
  kept.words = std::move(words);
}

void Outbox::put(const FrameOut& frame, kante_msg* message) {
  if (!offer(frame, message)) keep(frame, message, nullptr);
}

void Outbox::put(const FrameOut& frame, std::unique_ptr<std::uint64_t[]> words) {
  keep(frame, nullptr, std::move(words));
  flush();
}

void Outbox::flush() {
  if (writer_.unfinished()) {
    const FrameWriter::Wrote wrote = writer_.resume();
    publishEvery();
    if (wrote != FrameWriter::Wrote::kAll) return publish();
    unfinished_message_ = MessageRef();
    unfinished_words_ = nullptr;
  }
  while (!kept_.empty()) {
    Kept& kept = kept_.front();
    kept.frame.text = kept.text;
    const FrameWriter::Wrote wrote = writer_.write(kept.frame);
    if (wrote == FrameWriter::Wrote::kNothing) return publish();
    if (wrote == FrameWriter::Wrote::kSome) {
      unfinished_message_ = std::move(kept.message);
      unfinished_words_ = std::move(kept.words);
    }
    kept_.pop_front();
    if (wrote == FrameWriter::Wrote::kSome) return publish();
    publishEvery();
  }
}

void Outbox::publish() {
  const std::uint64_t handled = handled_.load(std::memory_order_relaxed);
  const bool more_handled = handled != page_.handled.load(std::memory_order_relaxed);
  // Before the head: what a message led to is never seen without it.
  if (more_handled) page_.handled.store(handled, std::memory_order_release);
  const bool more_frames = ring_.unpublished() > 0;
  Wake wake = ring_.publish();
  if (more_handled && !more_frames) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    wake = host_sleep_.wakeFor(kWantsSpace);
  }
  if (wake == Wake::kYes) ring();
}

void Outbox::ring() {
  const std::uint64_t one = 1;
  (void)!::write(doorbell_, &one, sizeof one);
  page_.doorbells.store(page_.doorbells.load(std::memory_order_relaxed) + 1,
                        std::memory_order_relaxed);
}

}  // namespace kante
