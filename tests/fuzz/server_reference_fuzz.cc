// Where a broker sends a client to.

// fuzz-links: kante_uplink
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/uplink/server_reference.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto server =
      kante::parseServerReference({reinterpret_cast<const char*>(data), size}, 8883);
  if (server.has_error()) return 0;
  if (server->port == 0 || server->host.empty() || server->host.size() > 253) std::abort();
  for (const char c : server->host) {
    if (c <= ' ' || c == '/' || c == '[' || c == ']' || c > '~') std::abort();
  }
  const auto again = kante::parseServerReference(server->text(), 1);
  if (again.has_error() || !(*again == *server)) std::abort();
  return 0;
}
