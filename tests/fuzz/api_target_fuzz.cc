// fuzz-links: kante_api
//
// The target of a request and its Host header, and the router behind them.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/api/router.h"
#include "host/api/target.h"

namespace {

kante::Router makeRouter() {
  kante::Router router;
  for (const char* pattern : {"/v1/status", "/v1/modules/{name}/logs", "/v1/twins/{principal...}",
                              "/v1/methods/{principal...}/{name}"}) {
    router.add(kante::HttpMethod::kGet, pattern, kante::Audience::kOperators,
               kante::BodyRule::none(), [](const kante::ExchangePtr&) {});
  }
  return router;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const kante::Router router = makeRouter();
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)kante::isAddress(kante::hostOf(bytes));
  const auto target = kante::parseTarget(bytes);
  if (!target) return 0;
  for (const std::string& segment : target->path) {
    if (segment.empty() || segment == "." || segment == "..") std::abort();
    if (segment.find('\0') != std::string::npos) std::abort();
  }
  (void)router.find(kante::HttpMethod::kGet, target->path);
  return 0;
}
