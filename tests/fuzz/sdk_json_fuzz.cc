// fuzz-links: kante_sdk
// A text that the SDK's JSON reader takes must be written and read again as the same value, and
// every text that it takes must be UTF-8.
#include <kante/json.hpp>

#include <cstdio>
#include <cstdlib>

#define REQUIRE(condition)                                                            \
  do {                                                                                \
    if (!(condition)) std::fprintf(stderr, "broken: " #condition "\n"), std::abort(); \
  } while (false)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  kante::json::ParseError error;
  const auto value = kante::json::tryParse(text, &error);
  if (!value) {
    REQUIRE(!error.text.empty() && error.offset <= size);
    return 0;
  }
  const std::string written = value->dump();
  const auto again = kante::json::tryParse(written, nullptr, {.bytes_max = std::size_t{8} << 20});
  REQUIRE(again && *again == *value);
  REQUIRE(again->dump() == written);
  kante::json::Value patched = *value;
  kante::json::mergePatch(patched, *value);
  (void)value->find(text.substr(0, 64));
  return 0;
}
