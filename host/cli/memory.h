// Giving back the memory that only the start of a long life needed.
#pragma once

namespace kante::cli {

// Free heap goes back to the kernel; code goes out of this process's memory (its file stays in the
// page cache) and comes back page by page as it is used, so that what ran once is not held for
// ever.
void shedStart();

}  // namespace kante::cli
