#include "host/message/message.h"

#include <fmt/format.h>

#include <cstring>

#include "host/message/general.h"

namespace kante {

Result<MessageRef> buildMessage(const kante_message& message) {
  const std::uint32_t words = kante_message_words(&message);
  if (words == 0) {
    return fail(
        Errc::kInvalid,
        fmt::format("message: a text is no UTF-8 or a limit is broken (body {} bytes of at most "
                    "{}, {} properties of at most {})",
                    message.body.size, KANTE_BODY_BYTES_MAX, message.property_count,
                    KANTE_PROPERTIES_MAX));
  }
  kante_msg* block = allocateBlock(words);
  if (block == nullptr) return fail(Errc::kLimit, "message: out of memory");
  kante_message_write(&message, block->data(), words);
  block->words = words;
  return MessageRef::adopt(block);
}

Result<MessageRef> jsonMessage(std::string_view json) {
  kante_message message{};
  message.content_type = toStr("application/json");
  message.content_encoding = toStr("utf-8");
  message.body = toStr(json);
  return buildMessage(message);
}

Result<MessageRef> messageFromWords(const std::uint64_t* words, std::uint32_t word_count) {
  std::uint32_t flags = 0;
  if (kante_message_check(words, word_count, &flags) != KANTE_CHECK_CANONICAL) {
    return canonicalCopy(words, word_count);
  }
  kante_msg* block = allocateBlock(word_count);
  if (block == nullptr) return fail(Errc::kLimit, "message: out of memory");
  std::memcpy(block->data(), words, std::size_t{word_count} * 8);
  block->words = word_count;
  return MessageRef::adopt(block);
}

std::string formatId(MessageId id) { return fmt::format("{:016x}{:016x}", id.high, id.low); }

}  // namespace kante
