// What the other side put into a ring, read as frames.
//
// First byte: from whom (even: the runner, odd: the host).  Second: after how many frames the words
// of the ring are changed under the reader's hands, and how.  The rest is published in pieces whose
// length each piece begins with (two bytes, in words).  Whatever it is, each frame that comes out
// keeps the bounds that its kind has, and after a breach nothing comes any more.
//
// fuzz-links: kante_wire
//
// fuzz-replay: 1000
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "sandbox/wire/frame_codec.h"

namespace {

using namespace kante;

constexpr std::uint32_t kWords = kRingBytesMin / 8;

void check(bool condition) {
  if (!condition) std::abort();
}

class Play {
 public:
  explicit Play(FrameReader::From from) : reader_(ring_, from) {}

  // At the writer's place; what does not fit before the end of the ring is cut off.
  void publish(const std::uint8_t* bytes, std::size_t size) {
    const std::size_t place = at_ / 8 % kWords;
    const std::size_t words = std::min(size / 8, kWords - place);
    if (words > 0) std::memcpy(memory_.get() + place, bytes, words * 8);
    at_ += words * 8;
    peer_.head.store(at_);
  }
  void read(std::uint8_t change) {
    FrameIn frame;
    for (int frames = 0;; ++frames) {
      const auto got = reader_.next(frame);
      (void)ring_.giveBack(RingReader::Returning::kEverything);
      if (got != FrameReader::Got::kFrame) {
        check((got == FrameReader::Got::kBroken) == reader_.broken().has_value());
        return;
      }
      judge(frame);
      if (frames == change % 8) memory_[change * 37u % kWords] ^= std::uint64_t{change} << 8;
    }
  }

 private:
  static void judge(const FrameIn& frame) {
    check(frame.text.size() == frame.head.text_bytes && frame.text.size() <= kTextMax);
    const bool is_state = frame.kind == Frame::kSaved || frame.kind == Frame::kRestore;
    if (is_state) {
      check(!frame.message && frame.state.size() <= KANTE_STATE_BYTES_MAX);
      check((frame.state.size() + 7) / 8 == frame.head.message_words);
      return;
    }
    check(frame.state.empty());
    check(static_cast<bool>(frame.message) == (frame.head.message_words > 0));
    check(frame.head.message_words <= KANTE_MESSAGE_WORDS_MAX);
    if (!frame.message) return;
    check(frame.message.get()->capacity_words >= frame.head.message_words);
    check(frame.message.get()->words == 0);
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i < frame.head.message_words; ++i)
      sum ^= frame.message.get()->data()[i];
    check(sum != 1 || frame.head.message_words > 0);
  }

  std::unique_ptr<std::uint64_t[]> memory_{new std::uint64_t[kWords]()};
  // On the heap: AddressSanitizer's stack does not keep their alignment.
  std::unique_ptr<RingEnd[]> ends_{new RingEnd[2]};
  RingEnd& own_ = ends_[0];
  RingEnd& peer_ = ends_[1];
  PeerSleep sleep_{peer_};
  RingReader ring_{reinterpret_cast<const std::byte*>(memory_.get()), kRingBytesMin, own_, peer_,
                   sleep_};
  FrameReader reader_;
  std::uint64_t at_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 2) return 0;
  Play play(bytes[0] % 2 == 0 ? FrameReader::From::kRunner : FrameReader::From::kHost);
  const std::uint8_t change = bytes[1];
  bytes += 2;
  size -= 2;
  while (size >= 2) {
    const std::size_t piece = std::min<std::size_t>((bytes[0] | bytes[1] << 8) * 8u, size - 2);
    play.publish(bytes + 2, piece);
    play.read(change);
    bytes += 2 + piece;
    size -= 2 + piece;
  }
  return 0;
}
