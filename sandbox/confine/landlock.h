// The second lock on files, sockets and signals: a Landlock domain.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kante {

inline constexpr int kLandlockKnown = 9;  // The last ABI whose rights are handled here.

// What is handled, that is refused without a rule, by a kernel with this ABI.
struct LandlockRights {
  std::uint64_t files = 0;
  std::uint64_t tcp = 0;
  std::uint64_t scopes = 0;
};
LandlockRights landlockRights(int abi);

struct LandlockGrant {
  std::string path;  // A file or a directory; what is not there needs no grant.
  enum class To : std::uint8_t { kLoad, kReadAndWrite } to = To::kLoad;
};

// Confines the calling thread, and those it starts, to the grants.  no_new_privs must be set.
// Empty, or what went wrong.
std::string restrictToLandlock(int abi, const std::vector<LandlockGrant>& grants);

}  // namespace kante
