// Rows of the broker from the store: any bytes are a row or none, and a row that is one comes back
// the same.

// fuzz-links: kante_hub
#include <cstdlib>
#include <string_view>

#include "host/hub/mqtt/stored_rows.h"

namespace {

using namespace kante::hub;

void expect(bool so) {
  if (!so) std::abort();
}

void readAll(std::string_view bytes) {
  if (const auto row = readSessionRow(bytes)) expect(toRow(*row) == bytes);
  if (const auto row = readFilterRow(bytes)) expect(toRow(*row) == bytes);
  if (const auto row = readEntryRow(bytes)) expect(toRow(*row) == bytes);
  if (const auto row = readWillRow(bytes)) expect(readWillRow(toRow(*row)).has_value());
  if (const PublicationRef row = readPublication(bytes, 0)) expect(toRow(*row, 0) == bytes);
  (void)readPublication(bytes, INT64_MIN);
  (void)readPublication(bytes, INT64_MAX);
  (void)readKey(bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  readAll({reinterpret_cast<const char*>(data), size});
  return 0;
}
