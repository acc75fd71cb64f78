// What IoT Hub lets a twin hold: names, depth, sizes, numbers.
#pragma once

#include <boost/json/fwd.hpp>
#include <string_view>

#include "host/base/result.h"

namespace kante {

// kPatch: null deletes a member, anywhere but inside arrays.  kSection: null is not allowed at all.
enum class TwinText { kPatch, kSection };

// An object that follows the rules; an error names the member ("/a/b: …"; for the whole text no
// pointer).
Result<boost::json::object> parseTwin(std::string_view json, TwinText kind);
// For those who only want to know.
Status checkTwinSection(std::string_view json);

}  // namespace kante
