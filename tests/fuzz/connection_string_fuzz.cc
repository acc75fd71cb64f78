// A connection string from a file or a person: what is read is written the same again.

// fuzz-links: kante_identity
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/identity/connection_string.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto read = kante::ConnectionString::parse(text);
  if (!read) return 0;
  const auto written = read->text();
  if (!written) return 0;
  const auto again = kante::ConnectionString::parse(*written);
  if (!again || *again->text() != *written || !(again->principal == read->principal)) std::abort();
  return 0;
}
