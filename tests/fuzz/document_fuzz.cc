// A signed document as anyone may send it: the file ("KANTEDC1…"), and the text in it, which is
// refused with a sentence or read, and what was read reads the same again.
// fuzz-links: kante_agent kante_bundle
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/agent/document.h"
#include "host/bundle/document_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.starts_with("KANTE")) {
    const auto file = kante::lookAtDocument(input);
    if (file.has_value() && file->digest != kante::documentDigest(input)) std::abort();
    return 0;
  }
  const auto document = kante::parseDocument(input);
  if (!document) {
    if (document.error().text.empty()) std::abort();
    return 0;
  }
  const std::string text = kante::writeDocument(*document);
  const auto again = kante::parseDocument(text);
  if (!again || kante::writeDocument(*again) != text) std::abort();
  return 0;
}
