// The files of sdk/template/, built in so that `kante module new` needs nothing but its own
// program.
#pragma once

#include <array>
#include <string_view>

namespace kante::cli {

struct TemplateFile {
  std::string_view name;  // May hold placeholders, as may the text.
  std::string_view text;
};
extern const std::array<TemplateFile, 6> kTemplateFiles;

}  // namespace kante::cli
