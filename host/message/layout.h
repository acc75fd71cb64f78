// The faster of the two fast checks: is this message placed exactly as the last one of the same
// output?
//
// A module writes messages of one shape.  After one has passed the bounded walk its pointers,
// property names and content type are remembered; the next is compared with them word by word, and
// only what may differ (property values, body) is looked at.  Saying "no" costs a walk, never an
// error.
#pragma once

#include <kante/message.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace kante {

// Owned by one module output, on that module's strand.
class Layout {
 public:
  // Whether `words` (all `count` of them readable) has this layout and is canonical.  Never true
  // before learn(), and never for a message with a reserved property name.
  bool same(const std::uint64_t* words, std::uint32_t count) const;

  // Remembers a message for which kante_message_check() said canonical and not reserved; forgets
  // all when it has more values or a longer head than is worth comparing.
  void learn(const std::uint64_t* words, std::uint32_t count);

 private:
  static constexpr std::uint32_t kHeadWordsMax = 96;
  static constexpr std::uint32_t kValuesMax = 16;
  struct Value {
    std::uint32_t word;  // Where its text begins.
    std::uint32_t words;
    std::uint32_t bytes;  // Without the NUL.
  };

  std::uint32_t head_words_ = 0;  // Everything before the body; 0: nothing learned.
  std::uint32_t body_low_ = 0;    // Low half of the body pointer: kind and offset.
  std::uint32_t values_ = 0;
  std::array<Value, kValuesMax> value_{};
  std::array<std::uint64_t, kHeadWordsMax> head_{};
};

}  // namespace kante
