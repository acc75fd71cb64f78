#include "host/bundle/elf_image.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

namespace kante {

namespace {

Error malformed(const std::string& text) {
  return fail(Errc::kCorrupt, "not a well-formed shared library: " + text);
}

constexpr std::uint64_t kPageBytes = 4'096;  // The smallest of the machines that we know.
constexpr std::uint64_t kAddressMax = std::uint64_t{1} << 40;

std::uint64_t pageOf(std::uint64_t address) { return address / kPageBytes; }

std::uint16_t elfMachine(Machine machine) {
  switch (machine) {
    case Machine::kAmd64: return EM_X86_64;
    case Machine::kArm64: return EM_AARCH64;
    case Machine::kArmhf: return EM_ARM;
    case Machine::kRiscv64: return EM_RISCV;
  }
  return EM_NONE;
}

std::string machineName(std::uint64_t number) {
  for (const Machine machine :
       {Machine::kAmd64, Machine::kArm64, Machine::kArmhf, Machine::kRiscv64}) {
    if (elfMachine(machine) == number) return name(machine);
  }
  return "ELF machine " + std::to_string(number);
}

// Program header: the members in their order differ between the classes.
struct SegmentLayout {
  std::size_t bytes, flags, offset, address, file_bytes, memory_bytes;
};
constexpr SegmentLayout kSegment64{sizeof(Elf64_Phdr), 4, 8, 16, 32, 40};
constexpr SegmentLayout kSegment32{sizeof(Elf32_Phdr), 24, 4, 8, 16, 20};

}  // namespace

std::uint64_t ElfImage::number(const std::uint8_t* at, std::size_t count) const {
  std::uint64_t value = 0;
  for (std::size_t i = count; i-- > 0;) value = value << 8 | at[i];
  return value;
}

std::uint32_t ElfImage::word(std::span<const std::uint8_t> bytes, std::size_t at) const {
  if (at > bytes.size() || bytes.size() - at < 4) return 0;
  return static_cast<std::uint32_t>(number(bytes.data() + at, 4));
}

Result<ElfImage> ElfImage::parse(std::span<const std::uint8_t> bytes, Machine machine) {
  ElfImage image;
  image.bytes_ = bytes;
  KANTE_CHECK(image.readHeader(machine));
  KANTE_CHECK(image.readSegments());
  KANTE_CHECK(image.readDynamic());
  return image;
}

Status ElfImage::readHeader(Machine machine) {
  if (bytes_.size() < sizeof(Elf64_Ehdr)) return malformed("shorter than its header");
  if (std::memcmp(bytes_.data(), ELFMAG, SELFMAG) != 0)
    return malformed("does not begin with the ELF magic");
  const std::uint8_t file_class = bytes_[EI_CLASS];
  if (file_class != ELFCLASS64 && file_class != ELFCLASS32)
    return malformed("neither 32 nor 64 bits");
  word_bytes_ = file_class == ELFCLASS64 ? 8 : 4;
  if (bytes_[EI_DATA] != ELFDATA2LSB) {
    return fail(Errc::kUnsupported,
                "made for a big-endian machine, not for " + std::string(name(machine)));
  }
  const std::uint64_t made_for = number(bytes_.data() + 18, 2);
  const std::size_t expected_word = machine == Machine::kArmhf ? 4 : 8;
  if (made_for != elfMachine(machine) || word_bytes_ != expected_word) {
    return fail(Errc::kUnsupported, "made for " + machineName(made_for) +
                                        (word_bytes_ == 4 ? " (32 bits)" : "") + ", not for " +
                                        name(machine));
  }
  if (bytes_[EI_VERSION] != EV_CURRENT || number(bytes_.data() + 20, 4) != EV_CURRENT) {
    return malformed("unknown ELF version");
  }
  const std::uint64_t type = number(bytes_.data() + 16, 2);
  if (type != ET_DYN) {
    return malformed("ELF type " + std::to_string(type) +
                     " instead of ET_DYN, link it with -shared");
  }
  return {};
}

Status ElfImage::readSegments() {
  const bool wide = word_bytes_ == 8;
  const SegmentLayout& at = wide ? kSegment64 : kSegment32;
  const std::uint64_t table = addressAt(bytes_.data() + (wide ? 32 : 28));
  const std::uint64_t entry_bytes = number(bytes_.data() + (wide ? 54 : 42), 2);
  const std::uint64_t count = number(bytes_.data() + (wide ? 56 : 44), 2);
  if (entry_bytes != at.bytes || count == 0 || count > kSegmentsMax)
    return malformed("odd program header table");
  if (table > bytes_.size() || (bytes_.size() - table) / entry_bytes < count) {
    return malformed("program headers lie outside the file");
  }
  std::uint64_t next_page = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint8_t* header = bytes_.data() + table + i * entry_bytes;
    ElfSegment segment;
    segment.type = static_cast<std::uint32_t>(number(header, 4));
    segment.flags = static_cast<std::uint32_t>(number(header + at.flags, 4));
    segment.offset = addressAt(header + at.offset);
    segment.address = addressAt(header + at.address);
    segment.file_bytes = addressAt(header + at.file_bytes);
    segment.memory_bytes = addressAt(header + at.memory_bytes);
    if (segment.offset > bytes_.size() || bytes_.size() - segment.offset < segment.file_bytes) {
      return malformed("a segment lies outside the file");
    }
    if (segment.type == PT_LOAD) {
      // Two segments in one page would show other bytes than those at their offsets.
      if (segment.memory_bytes < segment.file_bytes || pageOf(segment.address) < next_page ||
          segment.memory_bytes > kAddressMax || segment.address > kAddressMax) {
        return malformed("segments overlap or are out of order");
      }
      next_page = pageOf(segment.address + segment.memory_bytes + kPageBytes - 1);
    }
    segments_.push_back(segment);
  }
  return {};
}

Status ElfImage::readDynamic() {
  const ElfSegment* found = nullptr;
  for (const ElfSegment& segment : segments_) {
    if (segment.type != PT_DYNAMIC) continue;
    if (found != nullptr) return malformed("two dynamic sections");
    found = &segment;
  }
  if (found == nullptr) return malformed("no dynamic section");
  const std::size_t entry_bytes = 2 * word_bytes_;
  for (std::uint64_t at = found->address;; at += entry_bytes) {
    if (at - found->address >= found->memory_bytes || dynamic_.size() == kDynamicMax) {
      return malformed("dynamic section does not end");
    }
    KANTE_TRY(entry, mapped(at, entry_bytes));
    const std::uint64_t tag = addressAt(entry.data());
    if (tag == DT_NULL) return {};
    dynamic_.emplace_back(tag, addressAt(entry.data() + word_bytes_));
  }
}

std::optional<std::uint64_t> ElfImage::dynamicValue(std::uint64_t tag) const {
  std::optional<std::uint64_t> value;
  for (const auto& [key, number_of_key] : dynamic_) {
    if (key == tag) value = number_of_key;
  }
  return value;
}

std::span<const std::uint8_t> ElfImage::mappedFrom(std::uint64_t address) const {
  for (const ElfSegment& segment : segments_) {
    if (segment.type != PT_LOAD || address < segment.address) continue;
    const std::uint64_t into = address - segment.address;
    if (into < segment.file_bytes) {
      return bytes_.subspan(segment.offset + into, segment.file_bytes - into);
    }
  }
  return {};
}

Result<std::span<const std::uint8_t>> ElfImage::mapped(std::uint64_t address,
                                                       std::uint64_t count) const {
  const auto rest = mappedFrom(address);
  if (rest.size() < count) return malformed("a table lies outside what is loaded");
  return rest.first(count);
}

std::span<const std::uint8_t> ElfImage::fileBytes(const ElfSegment& segment) const {
  return bytes_.subspan(segment.offset, segment.file_bytes);
}

Result<std::string_view> ElfImage::stringAt(std::uint64_t offset) const {
  const auto table = dynamicValue(DT_STRTAB);
  const auto table_bytes = dynamicValue(DT_STRSZ);
  if (!table || !table_bytes) return malformed("no string table");
  KANTE_TRY(strings, mapped(*table, *table_bytes));
  if (offset >= strings.size()) return malformed("a name lies outside the string table");
  const auto* start = reinterpret_cast<const char*>(strings.data()) + offset;
  const std::size_t length = ::strnlen(start, strings.size() - offset);
  if (length == strings.size() - offset) return malformed("a name does not end");
  return std::string_view(start, length);
}

// The highest index that any chain reaches, plus one.
Result<std::size_t> ElfImage::countByGnuHash(std::uint64_t address) const {
  KANTE_TRY(head, mapped(address, 16));
  const std::uint64_t buckets = number(head.data(), 4);
  const std::uint64_t first = number(head.data() + 4, 4);
  const std::uint64_t filter_words = number(head.data() + 8, 4);
  if (buckets > bytes_.size() || filter_words > bytes_.size())
    return malformed("odd symbol hash table");
  const std::uint64_t buckets_at = address + 16 + filter_words * word_bytes_;
  KANTE_TRY(table, mapped(buckets_at, buckets * 4));
  std::uint64_t last = 0;
  for (std::uint64_t i = 0; i < buckets; ++i)
    last = std::max(last, number(table.data() + i * 4, 4));
  if (last < first) return static_cast<std::size_t>(first);
  const auto links = mappedFrom(buckets_at + buckets * 4);
  for (;; ++last) {
    const std::uint64_t at = (last - first) * 4;
    if (at >= links.size()) return malformed("a symbol chain does not end");
    if ((links[at] & 1) != 0) return static_cast<std::size_t>(last + 1);
  }
}

Result<std::size_t> ElfImage::symbolCount() const {
  const auto gnu = dynamicValue(DT_GNU_HASH);
  const auto classic = dynamicValue(DT_HASH);
  if (!gnu && !classic) return malformed("no symbol hash table, so nothing can be found in it");
  std::size_t count = 0;
  if (gnu) {
    KANTE_TRY(counted, countByGnuHash(*gnu));
    count = counted;
  }
  if (classic) {
    KANTE_TRY(head, mapped(*classic, 8));
    count = std::max(count, static_cast<std::size_t>(number(head.data() + 4, 4)));
  }
  return count;
}

Status ElfImage::forEachSymbol(const std::function<Status(const ElfSymbol&)>& visit) const {
  const auto table = dynamicValue(DT_SYMTAB);
  const auto entry = dynamicValue(DT_SYMENT);
  const bool wide = word_bytes_ == 8;
  const std::size_t entry_bytes = wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
  if (!table || entry.value_or(entry_bytes) != entry_bytes) return malformed("odd symbol table");
  KANTE_TRY(count, symbolCount());
  if (count > bytes_.size() / entry_bytes)
    return malformed("more symbols than the file has room for");
  KANTE_TRY(symbols, mapped(*table, count * entry_bytes));
  for (std::size_t i = 1; i < count; ++i) {
    const std::uint8_t* at = symbols.data() + i * entry_bytes;
    ElfSymbol symbol;
    const std::uint8_t info = at[wide ? 4 : 12];
    symbol.binding = info >> 4;
    symbol.type = info & 15;
    symbol.visibility = at[wide ? 5 : 13] & 3u;
    symbol.section = static_cast<std::uint16_t>(number(at + (wide ? 6 : 14), 2));
    symbol.value = addressAt(at + (wide ? 8 : 4));
    symbol.bytes = addressAt(at + (wide ? 16 : 8));
    symbol.name_offset = number(at, 4);
    KANTE_CHECK(visit(symbol));
  }
  return {};
}

Status ElfImage::relocationTable(std::uint64_t address, std::uint64_t bytes,
                                 std::uint64_t entry_bytes,
                                 const std::function<Status(std::uint64_t)>& visit) const {
  if (bytes == 0) return {};
  KANTE_TRY(table, mapped(address, bytes));
  for (std::size_t at = 0; at + entry_bytes <= table.size();
       at += static_cast<std::size_t>(entry_bytes)) {
    if (number(table.data() + at + word_bytes_, word_bytes_) == 0)
      continue;  // R_*_NONE writes nothing.
    KANTE_CHECK(visit(addressAt(table.data() + at)));
  }
  return {};
}

// RELR: an even word is an address, an odd one a bitmap of the words that follow the last address.
Status ElfImage::packedRelocations(const std::function<Status(std::uint64_t)>& visit) const {
  const auto address = dynamicValue(DT_RELR);
  if (!address) return {};
  KANTE_TRY(table, mapped(*address, dynamicValue(DT_RELRSZ).value_or(0)));
  std::uint64_t where = 0;
  for (std::size_t at = 0; at + word_bytes_ <= table.size(); at += word_bytes_) {
    const std::uint64_t entry = addressAt(table.data() + at);
    if ((entry & 1) == 0) {
      KANTE_CHECK(visit(entry));
      where = entry + word_bytes_;
      continue;
    }
    for (std::size_t bit = 1; bit < word_bytes_ * 8; ++bit) {
      if ((entry >> bit & 1) != 0) KANTE_CHECK(visit(where + (bit - 1) * word_bytes_));
    }
    where += (word_bytes_ * 8 - 1) * word_bytes_;
  }
  return {};
}

Status ElfImage::forEachRelocation(const std::function<Status(std::uint64_t)>& visit) const {
  const std::uint64_t rel_bytes = 2 * word_bytes_;
  const std::uint64_t rela_bytes = 3 * word_bytes_;
  if (dynamicValue(DT_RELAENT).value_or(rela_bytes) != rela_bytes ||
      dynamicValue(DT_RELENT).value_or(rel_bytes) != rel_bytes ||
      dynamicValue(DT_RELRENT).value_or(word_bytes_) != word_bytes_) {
    return malformed("odd relocation tables");
  }
  if (const auto at = dynamicValue(DT_RELA)) {
    KANTE_CHECK(relocationTable(*at, dynamicValue(DT_RELASZ).value_or(0), rela_bytes, visit));
  }
  if (const auto at = dynamicValue(DT_REL)) {
    KANTE_CHECK(relocationTable(*at, dynamicValue(DT_RELSZ).value_or(0), rel_bytes, visit));
  }
  if (const auto at = dynamicValue(DT_JMPREL)) {
    const bool addends = dynamicValue(DT_PLTREL).value_or(DT_RELA) == DT_RELA;
    KANTE_CHECK(relocationTable(*at, dynamicValue(DT_PLTRELSZ).value_or(0),
                                addends ? rela_bytes : rel_bytes, visit));
  }
  return packedRelocations(visit);
}

}  // namespace kante
