// A client's frames: in one piece or in many they carry the same bytes, and end the same way.

// fuzz-links: kante_hub
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "host/hub/http/websocket.h"

namespace {

using kante::hub::WebSocketFrames;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Read {
  std::string carried;
  std::string ping;
  bool closed = false;
  bool broken = false;
  kante::hub::WebSocketCode code{};
  bool operator==(const Read&) const = default;
};

Read read(std::string bytes, std::size_t step) {
  WebSocketFrames frames;
  Read out;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    const std::size_t count = std::min(step, bytes.size() - at);
    const std::size_t carried = frames.decode(std::span(bytes.data() + at, count));
    require(carried <= count);
    out.carried.append(bytes, at, carried);
    if (auto ping = frames.takePing()) out.ping = *ping;
  }
  require(out.ping.size() <= 125);
  out.closed = frames.closed();
  out.broken = frames.fault() != nullptr;
  out.code = frames.closeCode();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const Read whole = read(bytes, std::max<std::size_t>(size, 1));
  for (const std::size_t step : {1, 5, 64}) require(read(bytes, step) == whole);
  return 0;
}
