// A message and its sender written by hand as JSON, to try a route on: what `kante route test
// --message` reads.
//
//   {"source": "/messages/modules/a/outputs/x", "properties": {}, "system": {}, "content_type":
//   "application/json",
//    "content_encoding": "utf-8", "body": …}
//
// All members may be missing, but for one of `source` and `topic`.  `body` is any JSON value, or a
// text that is the body itself; `body_base64` is for other bytes.  `system` may say what otherwise
// the host knows: connectionDeviceId, connectionModuleId, outputName.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/route/route_input.h"

namespace kante {

inline constexpr std::size_t kSampleBytesMax = 4u
                                               << 20;  // A body of 1 MiB in base64 or escapes fits.

// Owns what input() borrows.
class SampleMessage {
 public:
  // Fails with kInvalid; the text begins with the JSON pointer of what is wrong.
  static Result<SampleMessage> parse(std::string_view json);

  RouteInput input() const;
  const Source& source() const { return source_; }

 private:
  std::vector<std::uint64_t> words_;
  Source source_;
  std::int64_t arrived_ns_ = 0;
};

}  // namespace kante
