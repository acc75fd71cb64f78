// Several small messages of one source in one MQTT message: a JSON array, one object a message,
// each with its own number (docs/formats/pack.md).  And compression of what is larger than it need
// be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "host/store/durable_queue.h"

namespace kante {

struct PackRules {
  enum class Compression : std::uint8_t { kNone, kZstd };
  bool on = false;
  std::uint32_t bytes_max = 4096;  // Of a packed message, as it is metered, before compression.
  std::int64_t wait_ms = 1000;     // For company.
  Compression compression = Compression::kNone;
};

// What the properties of a packed message and the brackets take at most, for bytes_max.
inline constexpr std::size_t kPackFrameBytes = 320;

// One element of the array.
std::string packEntry(const TakenMessage& message);
// How many messages from the first on go into one: neighbours in number, of one source.  At
// least 1.
std::size_t packLength(std::span<const TakenMessage> messages, const PackRules& rules,
                       std::string& payload);

// True when it became smaller; `out` is empty otherwise.
bool compressZstd(std::string_view bytes, std::string& out);

}  // namespace kante
