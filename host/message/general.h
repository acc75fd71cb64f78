// The general Cap'n Proto reader behind the fast checks, for messages that another writer laid out:
// several segments, other field order, a typed body.  Slow and bounded; throws nothing.
#pragma once

#include <cstdint>

#include "host/message/message.h"

namespace kante {

// Reads `words` as a Message under limits and writes it anew in the canonical layout; a typed part
// follows the body.  kCorrupt: not a well-formed Message, or a text is no UTF-8, or a name is
// empty. kLimit: a field is over its bound.
Result<MessageRef> canonicalCopy(const std::uint64_t* words, std::uint32_t word_count);

}  // namespace kante
