#include "host/bundle/elf_lint.h"

#include <elf.h>

#include <algorithm>
#include <string_view>

#include "host/bundle/elf_image.h"

namespace kante {

namespace {

constexpr std::size_t kNoteBytesMax = 4'096;
constexpr std::size_t kShownNameBytesMax = 120;

Error broken(const std::string& text) { return fail(Errc::kDenied, text); }

// Names from the file go into logs: printable ASCII, bounded.
std::string shown(std::string_view name) {
  std::string text(name.substr(0, kShownNameBytesMax));
  for (char& c : text) {
    if (c < 0x21 || c > 0x7e) c = '?';
  }
  return text;
}

bool isSystemLibrary(std::string_view soname) {
  static constexpr std::string_view kAllowed[] = {"libc.so.6",      "libm.so.6",  "libgcc_s.so.1",
                                                  "libstdc++.so.6", "libdl.so.2", "libpthread.so.0",
                                                  "librt.so.1"};
  if (soname.starts_with("ld-linux")) return soname.find('/') == std::string_view::npos;
  return std::find(std::begin(kAllowed), std::end(kAllowed), soname) != std::end(kAllowed);
}

// A host that is itself built with sanitizers runs modules that are, and those need the same
// run-times.
bool isSanitizerLibrary([[maybe_unused]] std::string_view soname) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return soname.starts_with("libasan.so.") || soname.starts_with("libubsan.so.") ||
         soname.starts_with("libtsan.so.");
#else
  return false;
#endif
}

Status checkSegments(const ElfImage& image) {
  bool stack = false;
  bool relro = false;
  for (const ElfSegment& segment : image.segments()) {
    const bool executable = (segment.flags & PF_X) != 0;
    if (segment.type == PT_LOAD && executable && (segment.flags & PF_W) != 0) {
      return broken("has a segment that is writable and executable");
    }
    if (segment.type == PT_GNU_STACK && executable) {
      return broken(
          "wants an executable stack: link with -Wl,-z,noexecstack and mark assembler files");
    }
    stack = stack || segment.type == PT_GNU_STACK;
    relro = relro || (segment.type == PT_GNU_RELRO && segment.memory_bytes > 0);
  }
  if (!stack)
    return broken("does not say that its stack is not executable: link with -Wl,-z,noexecstack");
  if (!relro) return broken("has no read-only relocations: link with -Wl,-z,relro");
  return {};
}

Status checkNeeded(const ElfImage& image, const LintPolicy& policy,
                   std::vector<std::string>& needed) {
  for (const auto& [tag, value] : image.dynamic()) {
    if (tag != DT_NEEDED) continue;
    KANTE_TRY(soname, image.stringAt(value));
    const bool granted = std::find(policy.libraries.begin(), policy.libraries.end(), soname) !=
                             policy.libraries.end() &&
                         soname.find('/') == std::string_view::npos;
    if (!isSystemLibrary(soname) && !isSanitizerLibrary(soname) && !granted) {
      return broken(
          "needs the library " + shown(soname) +
          ", which is not on the list: link it in statically, or declare it in the manifest's "
          "libraries for use in a sandbox");
    }
    needed.emplace_back(soname);
  }
  return {};
}

Status checkDynamic(const ElfImage& image) {
  struct Rule {
    std::uint64_t tag;
    const char* text;
  };
  static constexpr Rule kForbidden[] = {
      {DT_RPATH, "has an RPATH: link without -rpath"},
      {DT_RUNPATH, "has a RUNPATH: link without -rpath"},
      {DT_TEXTREL, "has text relocations: compile with -fPIC"},
      {DT_AUXILIARY, "loads another library as its auxiliary filter"},
      {DT_FILTER, "loads another library as its filter"},
      {DT_AUDIT, "loads an audit library"},
      {DT_DEPAUDIT, "loads an audit library"},
  };
  for (const Rule& rule : kForbidden) {
    if (image.dynamicValue(rule.tag)) return broken(rule.text);
  }
  const std::uint64_t flags = image.dynamicValue(DT_FLAGS).value_or(0);
  const std::uint64_t flags_1 = image.dynamicValue(DT_FLAGS_1).value_or(0);
  if ((flags & DF_TEXTREL) != 0) return broken("has text relocations: compile with -fPIC");
  if ((flags & DF_BIND_NOW) == 0 && (flags_1 & DF_1_NOW) == 0 && !image.dynamicValue(DT_BIND_NOW)) {
    return broken("binds symbols lazily: link with -Wl,-z,now");
  }
  if (const auto at = image.dynamicValue(DT_SONAME)) {
    KANTE_TRY(soname, image.stringAt(*at));
    if (soname.find('/') != std::string_view::npos || isSystemLibrary(soname)) {
      return broken("calls itself " + shown(soname) + ", which is the name of another library");
    }
  }
  return {};
}

// Whatever DT_TEXTREL says: a relocation that writes outside the writable segments is one.
Status checkRelocations(const ElfImage& image) {
  return image.forEachRelocation([&](std::uint64_t address) -> Status {
    for (const ElfSegment& segment : image.segments()) {
      if (segment.type == PT_LOAD && address >= segment.address &&
          address - segment.address < segment.memory_bytes) {
        if ((segment.flags & PF_W) != 0) return {};
        return broken("has text relocations: compile with -fPIC");
      }
    }
    return fail(Errc::kCorrupt,
                "not a well-formed shared library: a relocation points outside of it");
  });
}

Status checkSymbols(const ElfImage& image) {
  bool entry = false;
  KANTE_CHECK(image.forEachSymbol([&](const ElfSymbol& symbol) -> Status {
    const bool visible = symbol.visibility == STV_DEFAULT || symbol.visibility == STV_PROTECTED;
    if (symbol.section == SHN_UNDEF || symbol.binding == STB_LOCAL || !visible) return {};
    KANTE_TRY(name, image.stringAt(symbol.name_offset));
    if (symbol.binding == STB_GNU_UNIQUE) {
      return broken(
          "exports the unique symbol " + shown(name) +
          ", which would be shared with other modules: compile with -fno-gnu-unique or hide it");
    }
    if (name != kModuleSymbol) {
      return broken("exports " + shown(name) + " besides " + kModuleSymbol +
                    ": link with the SDK's version script");
    }
    if (symbol.type != STT_OBJECT)
      return broken(std::string("exports ") + kModuleSymbol + " not as a data object");
    if (entry) return broken(std::string("exports ") + kModuleSymbol + " twice");
    entry = true;
    return {};
  }));
  if (!entry)
    return broken(std::string("does not export ") + kModuleSymbol +
                  ": define it with the SDK's macro");
  return {};
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (comma > 0) parts.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return parts;
}

Status parseNoteText(std::string_view text, ElfNote& note) {
  if (note.present) return broken("has two Kante notes");
  note.present = true;
  text = text.substr(0, text.find('\0'));
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) return broken("has a malformed .note.kante");
    const std::string_view value = line.substr(equals + 1);
    if (line.starts_with("id=")) note.id = shown(value);
    if (line.starts_with("abi=")) note.abi = shown(value);
    if (line.starts_with("requires=")) note.requires_extensions = split(value);
  }
  return {};
}

Status readNotes(const ElfImage& image, ElfNote& note) {
  for (const ElfSegment& segment : image.segments()) {
    if (segment.type != PT_NOTE) continue;
    const auto bytes = image.fileBytes(segment);
    for (std::size_t at = 0; bytes.size() - at >= 12;) {
      const std::size_t name_bytes = image.word(bytes, at);
      const std::size_t text_bytes = image.word(bytes, at + 4);
      const std::uint32_t type = image.word(bytes, at + 8);
      const std::size_t name_at = at + 12;
      const std::size_t text_at = name_at + (name_bytes + 3) / 4 * 4;
      const std::size_t end = text_at + (text_bytes + 3) / 4 * 4;
      if (name_bytes > bytes.size() || text_bytes > bytes.size() ||
          text_at + text_bytes > bytes.size()) {
        break;  // Not ours, then: nobody reads what follows.
      }
      const std::string_view name(reinterpret_cast<const char*>(bytes.data()) + name_at,
                                  name_bytes);
      if (name == std::string_view("Kante\0", 6) && type == 1) {
        if (text_bytes > kNoteBytesMax) return broken("has a .note.kante above 4096 bytes");
        KANTE_CHECK(parseNoteText(
            {reinterpret_cast<const char*>(bytes.data()) + text_at, text_bytes}, note));
      }
      if (end >= bytes.size()) break;
      at = end;
    }
  }
  return {};
}

}  // namespace

Result<ElfFacts> lintElf(std::span<const std::uint8_t> bytes, const LintPolicy& policy) {
  KANTE_TRY(image, ElfImage::parse(bytes, policy.machine));
  ElfFacts facts;
  KANTE_CHECK(checkSegments(image));
  KANTE_CHECK(checkDynamic(image));
  KANTE_CHECK(checkRelocations(image));
  KANTE_CHECK(checkNeeded(image, policy, facts.needed));
  KANTE_CHECK(checkSymbols(image));
  KANTE_CHECK(readNotes(image, facts.note));
  return facts;
}

}  // namespace kante
