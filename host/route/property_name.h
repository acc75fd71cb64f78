// A property's name, made ready to be found in many messages.
#pragma once

#include <kante/message.hpp>

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace kante::route_detail {

// ASCII capitals of eight characters at once.
inline std::uint64_t lowerWord(std::uint64_t word) {
  constexpr std::uint64_t kOnes = 0x0101010101010101u;
  const std::uint64_t low7 = word & (0x7f * kOnes);
  const std::uint64_t from_a = low7 + (0x80 - 'A') * kOnes;
  const std::uint64_t behind_z = low7 + (0x7f - 'Z') * kOnes;
  const std::uint64_t capital = ~word & (from_a ^ behind_z) & (0x80 * kOnes);
  return word | (capital >> 2);
}

// Compares without ASCII case, a word at a time: texts in a message begin at a word and fill whole
// ones.
class PropertyName {
 public:
  PropertyName() = default;
  explicit PropertyName(std::string_view name)
      : size_(static_cast<std::uint32_t>(name.size())), words_((name.size() + 7) / 8, 0) {
    std::memcpy(words_.data(), name.data(), name.size());
    for (std::uint64_t& word : words_) word = lowerWord(word);
    if (!words_.empty()) first_ = words_[0];
    if (name.size() % 8 != 0) last_mask_ = (std::uint64_t{1} << (8 * (name.size() % 8))) - 1;
  }

  // The first property of that name; null data when there is none.
  std::string_view findIn(const MessageView& message) const {
    const std::uint64_t* const words = message.words();
    if (words[KANTE_WORD_PROPERTIES] == 0) return {};
    const std::uint32_t tag = kante_detail_target(words, KANTE_WORD_PROPERTIES);
    const std::uint32_t count = static_cast<std::uint32_t>(words[tag]) >> 2;
    for (std::uint32_t pair = tag + 1; pair < tag + 1 + 2 * count; pair += 2) {
      if (kante_detail_count(words[pair]) != size_ + 1) continue;
      if (same(words + kante_detail_target(words, pair))) {
        return toView(kante_detail_text(words, pair + 1));
      }
    }
    return {};
  }

 private:
  bool same(const std::uint64_t* text) const {
    if (size_ <= 8) {
      const std::uint64_t word = text[0] & last_mask_;
      return word == first_ || lowerWord(word) == first_;
    }
    const std::size_t last = words_.size() - 1;
    for (std::size_t i = 0; i < last; ++i) {
      if (text[i] != words_[i] && lowerWord(text[i]) != words_[i]) return false;
    }
    const std::uint64_t end = text[last] & last_mask_;
    return end == words_[last] || lowerWord(end) == words_[last];
  }

  std::uint32_t size_ = 0;
  std::uint64_t first_ = 0;  // Most names have eight characters or fewer.
  std::uint64_t last_mask_ = ~std::uint64_t{0};
  std::vector<std::uint64_t> words_;
};

}  // namespace kante::route_detail
