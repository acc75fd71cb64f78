#include "host/message/layout.h"

namespace kante {

namespace {
bool equal(const std::uint64_t* a, const std::uint64_t* b, std::uint32_t from, std::uint32_t to) {
  std::uint64_t difference = 0;
  for (std::uint32_t i = from; i < to; ++i) difference |= a[i] ^ b[i];
  return difference == 0;
}
}  // namespace

bool Layout::same(const std::uint64_t* words, std::uint32_t count) const {
  if (head_words_ == 0 || count < head_words_ || count > KANTE_MESSAGE_WORDS_MAX) return false;
  if (words[KANTE_WORD_TABLE] != std::uint64_t{count - 1} << 32 ||
      words[KANTE_WORD_ROOT] != KANTE_ROOT_POINTER) {
    return false;
  }
  const std::uint64_t body = words[KANTE_WORD_BODY];
  const std::uint32_t bytes = kante_detail_count(body);
  if (static_cast<std::uint32_t>(body) != body_low_ || ((body >> 32) & 7) != 2 || bytes == 0 ||
      bytes > KANTE_BODY_BYTES_MAX || head_words_ + kante_detail_words(bytes) != count) {
    return false;
  }
  if (!equal(words, head_.data(), KANTE_WORD_CONTENT_TYPE, KANTE_WORD_BODY)) return false;
  std::uint32_t at = KANTE_WORD_CONTENT;
  for (std::uint32_t i = 0; i < values_; ++i) {
    const Value& value = value_[i];
    if (!equal(words, head_.data(), at, value.word)) return false;
    const auto* text = reinterpret_cast<const char*>(words + value.word);
    if (text[value.bytes] != 0 || !kante_text_valid(text, value.bytes)) return false;
    at = value.word + value.words;
  }
  return equal(words, head_.data(), at, head_words_);
}

void Layout::learn(const std::uint64_t* words, std::uint32_t count) {
  head_words_ = 0;
  const std::uint64_t body = words[KANTE_WORD_BODY];
  if (body == 0) return;
  const std::uint32_t head = count - kante_detail_words(kante_detail_count(body));
  if (head > kHeadWordsMax) return;
  values_ = 0;
  for (const std::uint32_t list : {KANTE_WORD_PROPERTIES, KANTE_WORD_SYSTEM}) {
    const std::uint32_t properties = kante_message_property_count(words, list);
    for (std::uint32_t i = 0; i < properties; ++i) {
      const std::uint32_t pointer = kante_detail_target(words, list) + 2 + 2 * i;
      if (words[pointer] == 0) continue;  // An empty value is part of the compared head.
      if (values_ == kValuesMax) return;
      const std::uint32_t with_nul = kante_detail_count(words[pointer]);
      value_[values_++] = {kante_detail_target(words, pointer), kante_detail_words(with_nul),
                           with_nul - 1};
    }
  }
  std::memcpy(head_.data(), words, std::size_t{head} * 8);
  body_low_ = static_cast<std::uint32_t>(body);
  head_words_ = head;
}

}  // namespace kante
