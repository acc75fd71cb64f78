// Looks at an LMDB data file without LMDB, which trusts its pages: a damaged one ends the process.
#pragma once

#include <cstdint>

#include "host/base/result.h"

namespace kante {

// Pages looked at, from the roots downwards; enough for all branch pages of any store that we make.
inline constexpr std::uint32_t kCheckedPagesMax = 8192;

// Follows the newest meta page's trees, breadth first, and holds every page against the bounds of
// its file. kCorrupt names the page.  An empty file is fine: it becomes a new store.
Status checkPages(int data_fd);

}  // namespace kante
