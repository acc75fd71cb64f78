#include "host/message/seal.h"

#include "host/message/general.h"

namespace kante {

namespace {

kante_status statusOf(const Error& error) {
  return error.code == Errc::kLimit ? KANTE_E_LIMIT : KANTE_E_CORRUPT;
}

bool hasReservedName(MessageView view) {
  const std::uint32_t count = view.propertyCount();
  for (std::uint32_t i = 0; i < count; ++i) {
    if (kante_name_reserved(toStr(view.property(i).first)) != 0) return true;
  }
  return false;
}

}  // namespace

kante_status sealSlow(kante_msg* block, std::uint32_t used_words, Layout& layout,
                      SealCounters& counters, kante_msg** out) {
  std::uint32_t flags = 0;
  if (kante_message_check(block->data(), used_words, &flags) == KANTE_CHECK_CANONICAL) {
    if ((flags & KANTE_CHECK_FLAG_RESERVED) != 0) {
      ++counters.refused;
      return KANTE_E_DENIED;
    }
    ++counters.walk;
    layout.learn(block->data(), used_words);
    block->words = used_words;
    *out = block;
    return KANTE_OK;
  }
  auto rebuilt = canonicalCopy(block->data(), used_words);
  if (rebuilt.has_error()) {
    ++counters.refused;
    return statusOf(rebuilt.error());
  }
  if (hasReservedName(rebuilt->view())) {
    ++counters.refused;
    return KANTE_E_DENIED;
  }
  ++counters.general;
  *out = rebuilt->detach();
  return KANTE_OK;
}

}  // namespace kante
