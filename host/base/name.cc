// Apart from encoding.cc, so that a program that only checks names links no cryptography.
#include <algorithm>

#include "host/base/encoding.h"

namespace kante {

namespace {
bool isAlnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
}  // namespace

bool isName(std::string_view text) {
  if (text.empty() || text.size() > 64 || !isAlnum(text[0])) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return isAlnum(c) || c == '.' || c == '_' || c == '-'; });
}

}  // namespace kante
