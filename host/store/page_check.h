// Looks at an LMDB data file without LMDB, which trusts its pages: a damaged one ends the process.
#pragma once

#include "host/base/result.h"

namespace kante {

// Follows the newest meta page's trees and holds every page against the bounds of its file: entries
// inside of it, keys in order, each page used once, none free that is in use.  What is inside of a
// message is its own CRC's business.  kCorrupt names the page.  An empty file is fine: it becomes a
// new store.
Status checkPages(int data_fd);

}  // namespace kante
