// The first line is a value, the rest a patch of it, both ways: what comes out is bounded, is
// written and reads back the same. fuzz-links: kante_base
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/base/json.h"
#include "host/base/json_patch.h"

namespace {

constexpr kante::JsonBounds kBounds{1 << 20, 32};
constexpr kante::JsonBounds kPatchedBounds{64 << 20, 2 * kante::kPatchDepthMax};

void mustReadBack(const boost::json::value& value) {
  const std::string text = kante::writeJson(value);
  const auto again = kante::parseJson(text, kPatchedBounds);
  if (!again || kante::writeJson(*again) != text) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto end = text.find('\n');
  if (end == std::string_view::npos) return 0;
  const auto target = kante::parseJson(text.substr(0, end), kBounds);
  const auto patch = kante::parseJson(text.substr(end + 1), kBounds);
  if (target) mustReadBack(*target);
  if (!target || !patch) return 0;
  boost::json::value merged = *target;
  kante::mergePatch(merged, *patch);
  mustReadBack(merged);
  boost::json::value patched = *target;
  if (kante::jsonPatch(patched, *patch)) {
    mustReadBack(patched);
  } else if (patched != *target) {
    std::abort();
  }
  return 0;
}
