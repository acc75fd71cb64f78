// JSON Merge Patch (RFC 7386) and JSON Patch (RFC 6902) of values that are in memory.
#pragma once

#include <boost/json/fwd.hpp>
#include <string_view>

#include "host/base/result.h"

namespace kante {

inline constexpr std::size_t kPatchOperationsMax = 10'000;
inline constexpr std::size_t kPatchDepthMax = 64;          // Of the patched value.
inline constexpr std::size_t kPatchValuesMax = 1'000'000;  // Put in by all operations together.

// Objects merge member by member, null deletes, everything else replaces.  Recursion is as deep as
// the patch, which the caller has bounded.
void mergePatch(boost::json::value& target, const boost::json::value& patch);

// The merge patch that makes `to` of `from`: what differs, and null for what is gone.
boost::json::object mergePatchBetween(const boost::json::object& from,
                                      const boost::json::object& to);

// Takes away the member that the JSON pointer leads to, through objects alone, if it is there.
// kInvalid: it is no pointer to a member.
Status removeAt(boost::json::value& target, std::string_view pointer);

// All operations or none; the error names the operation: "/3/path: …".  kConflict when a `test`
// fails, kNotFound when a path leads nowhere, kInvalid when the patch itself is wrong, kLimit for
// the bounds above (a few `copy` could double a document again and again).
Status jsonPatch(boost::json::value& target, const boost::json::value& patch);

}  // namespace kante
