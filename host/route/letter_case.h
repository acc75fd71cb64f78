// Upper and lower case of texts in UTF-8, for the alphabets whose letters pair one to one and keep
// their length: Latin (ASCII, Latin-1, Extended-A), Greek and Cyrillic.  Other characters stay as
// they are.
#pragma once

#include <string_view>

namespace kante::route_detail {

enum class LetterCase { kLower, kUpper };

// Writes text.size() bytes.
void changeCase(LetterCase to, std::string_view text, char* out);

}  // namespace kante::route_detail
