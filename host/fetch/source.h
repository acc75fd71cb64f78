// Where a bundle, or a delta that makes it, may be had: one entry of "from" in a deployment.
//
//   https://HOST/…    http://… of this machine only
//   file:///PATH      a stick, a share, a folder
//   uplink:           through the uplink's own link
#pragma once

#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante {

inline constexpr std::size_t kFetchSourceBytesMax = 2048;

struct FetchSource {
  enum class Kind { kHttp, kFile, kUplink };
  Kind kind = Kind::kHttp;
  std::string target;  // The URL, or an absolute path; empty for kUplink.
  std::string shown;   // For people: without user, password and query, which may be secrets.
  std::string base;    // "sha256:HEX": there is a delta against this bundle; empty: the whole.
};

// kInvalid, with a sentence that says what is expected.
Result<FetchSource> parseFetchSource(std::string_view text);

}  // namespace kante
