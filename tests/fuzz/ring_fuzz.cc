// One end of a ring against another end that does as it likes.
//
// First byte even: the reader under test, the input plays the writer.  Odd: the writer under test,
// the input plays the reader.  Then steps: one byte what to do, eight bytes operand.  Whatever is
// said, nothing outside the ring is touched (its memory ends where the ring does), what the reader
// hands out lies within it, and after a breach nothing comes any more.
//
// fuzz-links: kante_wire
//
// fuzz-replay: 1000
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "sandbox/wire/ring.h"

namespace {

using namespace kante;

constexpr std::uint32_t kWords = kRingBytesMin / 8;

struct Step {
  std::uint8_t what = 0;
  std::uint64_t operand = 0;
};

class Steps {
 public:
  Steps(const std::uint8_t* bytes, std::size_t size) : at_(bytes), end_(bytes + size) {}
  bool next(Step& step) {
    if (end_ - at_ < 9) return false;
    step.what = *at_;
    std::memcpy(&step.operand, at_ + 1, 8);
    at_ += 9;
    return true;
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

void check(bool condition) {
  if (!condition) std::abort();
}

void playWriter(Steps steps) {
  const std::unique_ptr<std::uint64_t[]> memory(new std::uint64_t[kWords]());
  const std::unique_ptr<RingEnd[]> ends(new RingEnd[2]);
  RingEnd& own = ends[0];
  RingEnd& peer = ends[1];
  PeerSleep peers_sleep(peer);
  RingReader reader(reinterpret_cast<const std::byte*>(memory.get()), kRingBytesMin, own, peer,
                    peers_sleep);
  std::uint64_t at = 0;
  Step step;
  while (steps.next(step)) {
    switch (step.what % 6) {
      case 0: peer.head.store(step.operand); break;
      case 1: peer.head.store(at = at + step.operand % kRingBytesMin / 8 * 8); break;
      case 2: peer.sleep.store(step.operand); break;
      case 3: memory[(at / 8 + (step.operand >> 56)) % kWords] = step.operand; break;
      case 4:  // A plausible record where the reader is next.
        memory[(peer.head.load() / 8) % kWords] =
            (step.operand % 64 + 1) | std::uint64_t{step.operand % 3} << 32;
        break;
      default: {
        const bool was_broken = reader.broken().has_value();
        const auto record = reader.next();
        check(!record || !was_broken);
        if (!record) {
          check(reader.broken() || reader.isEmpty());
          break;
        }
        check(record->body >= memory.get() + 1);
        check(record->body + record->body_words <= memory.get() + kWords);
        check(record->head.words == record->body_words + 1);
        std::uint64_t sum = 0;
        for (std::uint32_t i = 0; i < record->body_words; ++i) sum ^= record->body[i];
        check(sum != 1 || record->body_words != 0);
        if ((step.operand & 1) != 0) reader.take(*record);
        (void)reader.giveBack((step.operand & 2) != 0 ? RingReader::Returning::kEighth
                                                      : RingReader::Returning::kEverything);
      }
    }
  }
  check(own.tail.load() % 8 == 0);
}

void playReader(Steps steps) {
  const std::unique_ptr<std::uint64_t[]> memory(new std::uint64_t[kWords]());
  const std::unique_ptr<RingEnd[]> ends(new RingEnd[2]);
  RingEnd& own = ends[0];
  RingEnd& peer = ends[1];
  PeerSleep peers_sleep(peer);
  RingWriter writer(reinterpret_cast<std::byte*>(memory.get()), kRingBytesMin, own, peer,
                    peers_sleep);
  Step step;
  while (steps.next(step)) {
    switch (step.what % 5) {
      case 0: peer.tail.store(step.operand); break;
      case 1: peer.tail.store(own.head.load() - step.operand % kRingBytesMin / 8 * 8); break;
      case 2: peer.sleep.store(step.operand); break;
      case 3: (void)writer.publish(); break;
      default: {
        const auto words = static_cast<std::uint32_t>(step.operand % (kWords / 4) + 1);
        const bool was_broken = writer.broken().has_value();
        std::uint64_t* to = writer.reserve(words);
        check(to == nullptr || !was_broken);
        if (to == nullptr) break;
        check(to >= memory.get() && to + words <= memory.get() + kWords);
        std::memset(to, 7, std::size_t{words} * 8);
        writer.commit();
      }
    }
    (void)writer.isFull();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const Steps steps(bytes + 1, size - 1);
  if (bytes[0] % 2 == 0) {
    playWriter(steps);
  } else {
    playReader(steps);
  }
  return 0;
}
