// The way from a runner to its host: the outgoing ring, and in front of it what found no room.
//
// Nothing here locks; the port's one small lock is held around everything, which is what makes the
// order of calls from several threads the order of their return.  What is kept is bounded by those
// who put it: emits never are (they are refused instead), but for one message of several parts.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>

#include "sandbox/wire/frame_codec.h"
#include "sandbox/wire/shared_file.h"

namespace kante {

class Outbox {
 public:
  // `doorbell` wakes the host; it stays open.
  Outbox(const RunnerFiles& files, PeerSleep& host_sleep, int doorbell);

  // False: there is no room for it now, and nothing is written.  `message` is what frame.words
  // belong to, if anything.
  bool offer(const FrameOut& frame, kante_msg* message);
  // Sends it, or keeps it until there is room.
  void put(const FrameOut& frame, kante_msg* message = nullptr);
  // A frame whose words are these.
  void put(const FrameOut& frame, std::unique_ptr<std::uint64_t[]> words);

  // What was kept goes out as far as there is room.
  void flush();
  // Something waits for room; the ring has some.
  bool keepsFrames() const { return !kept_.empty() || writer_.unfinished(); }
  bool hasRoom() { return !ring_.isFull(); }
  bool isClear() { return !keepsFrames() && hasRoom(); }
  bool wantsSpace() { return !isClear(); }
  std::size_t kept() const { return kept_.size(); }

  // Shows the host what was written, and wakes it if it sleeps.
  void publish();
  // One more input was handled; told with what is published next, so before what it led to.
  void inputHandled() { handled_.fetch_add(1, std::memory_order_relaxed); }

  const std::optional<std::string>& broken() const { return ring_.broken(); }
  void ring();

 private:
  struct Kept {
    FrameOut frame;
    std::string text;
    MessageRef message;
    std::unique_ptr<std::uint64_t[]> words;
  };
  void keep(const FrameOut& frame, kante_msg* message, std::unique_ptr<std::uint64_t[]> words);
  void publishEvery() {
    if (ring_.unpublished() >= RingWriter::kPublishEvery) publish();
  }

  RunnerPage& page_;
  RingWriter ring_;
  PeerSleep& host_sleep_;
  FrameWriter writer_;
  const int doorbell_;
  std::atomic<std::uint64_t> handled_{0};
  std::deque<Kept> kept_;
  // What the unfinished frame's words belong to.
  MessageRef unfinished_message_;
  std::unique_ptr<std::uint64_t[]> unfinished_words_;
};

}  // namespace kante
