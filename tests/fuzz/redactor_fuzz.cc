// What modules and clients wrote, on its way into a support bundle.
// fuzz-links: kante_support
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/support/redactor.h"
#include "host/support/secret_form.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const char* end = text.data();
  for (const std::string_view secret : kante::secretsIn(text)) {
    if (secret.empty() || secret.data() < end) std::abort();  // In order, apart from each other.
    end = secret.data() + secret.size();
    if (end > text.data() + text.size()) std::abort();
  }
  kante::Redactor redactor;
  redactor.learn(text.substr(0, 32));
  const std::string clean = redactor.text(text);
  if (size >= kante::Redactor::kLearnedBytesMin && size <= 32 && clean.find(text) != clean.npos)
    std::abort();
  return 0;
}
