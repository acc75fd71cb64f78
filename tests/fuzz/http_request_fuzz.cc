// What an HTTP client sends: read in one piece or in many it is the same request, and two readers
// of its framing could not differ.

// fuzz-links: kante_hub
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "host/hub/http/device_request.h"
#include "host/hub/http/request.h"
#include "host/hub/http/websocket.h"

namespace {

using kante::hub::WebRequest;
using kante::hub::WebRequestReader;
using State = WebRequestReader::State;

void require(bool holds) {
  if (!holds) std::abort();
}

bool isSame(std::string_view name, std::string_view lower) {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  return std::equal(name.begin(), name.end(), lower.begin(), lower.end(), same);
}

struct Read {
  State state = State::kHead;
  unsigned status = 0;
  std::size_t used = 0;
  WebRequest request;
};

Read read(std::string_view bytes, std::size_t step) {
  WebRequestReader reader;
  Read out;
  while (out.used < bytes.size()) {
    const std::string_view piece = bytes.substr(out.used, step);
    const std::size_t used = reader.take(piece);
    require(used <= piece.size());
    out.used += used;
    if (reader.state() == State::kDone || reader.state() == State::kRefused) break;
    require(used == piece.size());
  }
  out.state = reader.state();
  out.status = reader.status();
  if (out.state == State::kDone) out.request = reader.finish();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (;;) {
    const Read whole = read(rest, std::max<std::size_t>(rest.size(), 1));
    for (const std::size_t step : {1, 7}) {
      const Read pieces = read(rest, step);
      require(pieces.state == whole.state && pieces.status == whole.status);
      require(pieces.request.target == whole.request.target);
      require(pieces.request.fields == whole.request.fields);
      require(pieces.request.body == whole.request.body);
      if (whole.state == State::kDone) require(pieces.used == whole.used);
    }
    if (whole.state != State::kDone) return 0;
    const WebRequest& request = whole.request;
    require(request.body.size() <= WebRequestReader::kBodyBytesMax);
    const auto count = [&](std::string_view name) {
      return std::count_if(request.fields.begin(), request.fields.end(),
                           [&](const auto& field) { return isSame(field.first, name); });
    };
    require(count("host") == 1 && count("content-length") + count("transfer-encoding") <= 1);
    (void)kante::hub::upgradeOf(request);
    kante::hub::RouteFault fault;
    if (const auto route = kante::hub::routeOf(request, fault)) {
      require(!route->device.empty() && route->device.find('/') == std::string::npos);
      require(route->module.find('/') == std::string::npos);
    }
    if (const auto messages = kante::hub::messagesOf(request, 10))
      require(!messages->empty() && messages->size() <= 10);
    (void)kante::hub::callOf(request);
    rest.remove_prefix(whole.used);
  }
}
