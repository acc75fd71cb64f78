// What a module sent and the host cannot pass on yet: emits of outputs without room, and behind
// them what must not overtake them.
//
// In order of coming.  An emit waits for its own output alone; a barrier (a settlement, DRAINED,
// SAVED, the end of SAVE) waits for everything before it.  Bounded by the output credit and by
// kBarriersMax, beyond which a runner breaks the protocol, and by kBytesMax: while isFull(), the
// link reads nothing more of its runner, so what comes on top is one message.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "host/message/message.h"
#include "sandbox/wire/frame_codec.h"
#include "sandbox/wire/shared_pages.h"

namespace kante {

class SetAside {
 public:
  // More than the inputs that a host lets be unsettled.
  static constexpr std::size_t kBarriersMax = 16'384;
  static constexpr std::size_t kBytesMax = 16u << 20;  // Of messages.
  static constexpr std::size_t kTextMax = 512;         // Of a barrier; the rest is cut off.

  struct Emit {
    std::uint32_t output = 0;
    MessageRef message;
    std::uint8_t hops = 0;
    std::uint64_t token = 0;
  };
  // Frames without a message of their own.
  struct Barrier {
    Frame kind = Frame::kPad;
    FrameHead head{};
    std::string text;
    std::string state;
  };

  bool empty() const { return items_.empty(); }
  bool isFull() const { return bytes_ >= kBytesMax; }
  bool waits(std::uint32_t output) const { return waiting_[output] != 0; }

  // False: more than there can be.
  bool add(Emit emit);
  bool add(Barrier barrier);

  // Tries again what waits for this output, then passes on every barrier that has nothing left
  // before it.  `route` says false when there is still no room.
  void retry(std::uint32_t output, const std::function<bool(Emit&)>& route,
             const std::function<void(Barrier&)>& pass);
  // `lost` is told of each emit, in order.
  void clear(const std::function<void(Emit&)>& lost);

 private:
  struct Item {
    bool is_emit;
    Emit emit;
    Barrier barrier;
  };
  std::deque<Item> items_;
  std::array<std::uint16_t, kWireOutputsMax> waiting_{};  // Emits, by output.
  std::size_t bytes_ = 0;
  std::size_t barriers_ = 0;
};

}  // namespace kante
