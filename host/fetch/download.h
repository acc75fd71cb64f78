// One attempt to get the rest of a file over HTTPS.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "host/fetch/part_file.h"
#include "host/fetch/source.h"

namespace kante {

struct DownloadOptions {
  std::string ca;                 // PEM file; empty: those that this machine trusts.
  std::string proxy;              // "http://HOST:PORT"; empty: what the environment names, or none.
  std::uint64_t bytes_per_s = 0;  // 0: as fast as it comes.
  long connect_s = 30;
  long silent_s = 60;  // Without a byte.
};

struct DownloadEnd {
  enum class Kind {
    kWhole,      // All bytes came; what they are is not looked at here.
    kAgain,      // Later it may go on.
    kRefused,    // It would end the same way again: not there, not allowed, no bundle.
    kCancelled,  // By `goes_on`.
  };
  Kind kind = Kind::kAgain;
  std::string why;           // A sentence; empty for kWhole and kCancelled.
  std::int64_t after_s = 0;  // The server asked not to come back before.
};

// Called as bytes come, and about once a second; false ends the attempt.  `of`: 0 as long as nobody
// knows.
using GoesOn = std::function<bool(std::uint64_t bytes, std::uint64_t of)>;

// Blocks.  Goes on where `part` ends if the server can, else begins it anew.  Follows at most five
// redirections, never from https to http.
DownloadEnd download(const FetchSource& source, PartFile& part, const DownloadOptions& options,
                     const GoesOn& goes_on);

}  // namespace kante
