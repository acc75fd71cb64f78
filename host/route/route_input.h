// What one evaluation looks at: the author's words and the host's facts.
#pragma once

#include <kante/message.hpp>

#include <cstdint>

#include "host/message/hop.h"

namespace kante {

// Borrows everything for the length of one call.
struct RouteInput {
  MessageView message;             // Checked words in the canonical layout.
  const Source* source = nullptr;  // Never null while matching.
  std::int64_t arrived_ns = 0;     // For $enqueuedTime; 0: undefined.
};

}  // namespace kante
