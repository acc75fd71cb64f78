// The target of a request ("/v1/twins/module%2Ffilter?x=1") taken apart once, at the border.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"

namespace kante {

struct RequestTarget {
  static constexpr std::size_t kBytesMax = 4096;
  static constexpr std::size_t kSegmentsMax = 16;
  static constexpr std::size_t kQueryMax = 16;

  std::vector<std::string> path;  // Decoded; none is empty, ".", ".." or has a control character.
  std::map<std::string, std::string> query;
};

// kInvalid or kLimit.  One slash at the end is allowed and means nothing.
Result<RequestTarget> parseTarget(std::string_view target);

// The host of a Host header without its port, lower case, brackets of IPv6 kept; empty: not one.
std::string hostOf(std::string_view header);
// Whether `host` (as hostOf gave it) is an address and so cannot be another site's name for us.
bool isAddress(const std::string& host);

}  // namespace kante
