#include "host/sandbox/said.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "host/base/encoding.h"
#include "host/runtime/loaded_module.h"
#include "sandbox/wire/shared_pages.h"

namespace kante {

namespace {

constexpr std::size_t kCharacterBytesMax = 4;

// Of the character that this begins with; 0: it begins with none.
std::size_t characterBytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x20 || first == 0x7f) return 0;
  for (std::size_t bytes = 1; bytes <= std::min(kCharacterBytesMax, text.size()); ++bytes)
    if (isUtf8(text.substr(0, bytes))) return bytes;
  return 0;
}

// As many names as were announced, each ended by a NUL.
Result<std::vector<std::string>> namesFrom(const char*& at, const char* end, std::uint32_t count,
                                           const char* what) {
  std::vector<std::string> names;
  if (count > kWireOutputsMax) {
    return fail(Errc::kLimit, fmt::format("has {} {}, a sandboxed module may have {}", count, what,
                                          kWireOutputsMax));
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const char* stop =
        static_cast<const char*>(std::memchr(at, 0, static_cast<std::size_t>(end - at)));
    if (stop == nullptr || !isName(std::string(at, stop)))
      return fail(Errc::kCorrupt, fmt::format("reports {} that are no names", what));
    names.emplace_back(at, stop);
    at = stop + 1;
  }
  return names;
}

}  // namespace

std::string saidText(const char* text, std::size_t bytes_max) {
  std::string out;
  for (std::string_view rest(text, ::strnlen(text, bytes_max)); !rest.empty();) {
    const std::size_t bytes = characterBytes(rest);
    out += bytes == 0 ? "?" : rest.substr(0, bytes);
    rest.remove_prefix(std::max<std::size_t>(bytes, 1));
  }
  return out;
}

Result<LoadedNames> namesIn(const Loaded& said) {
  LoadedNames out;
  out.version = saidText(said.version, sizeof said.version);
  const char* at = said.names;
  const char* const end = said.names + sizeof said.names;
  KANTE_TRY(inputs, namesFrom(at, end, said.inputs, "inputs"));
  KANTE_TRY(outputs, namesFrom(at, end, said.outputs, "outputs"));
  out.inputs = std::move(inputs);
  out.outputs = std::move(outputs);
  return out;
}

}  // namespace kante
