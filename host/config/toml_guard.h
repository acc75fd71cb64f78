// Looks at a TOML text before the parser does, whose recursion follows the text's nesting.
#pragma once

#include <cstddef>
#include <string_view>

#include "host/base/result.h"

namespace kante {

// kLimit, with the line, when arrays and inline tables are nested deeper than depth_max or a dotted
// key or table name has more than depth_max parts.  Judges too strictly rather than too mildly
// where the text is not TOML anyway.
Status checkTomlDepth(std::string_view toml, std::size_t depth_max);

}  // namespace kante
