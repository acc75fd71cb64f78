// CRC-32C (Castagnoli, reflected 0x82f63b78): tells a record that rotted from one that did not.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kante {

std::uint32_t crc32c(const void* data, std::size_t bytes, std::uint32_t seed = 0);

}  // namespace kante
