// A shared library as the dynamic loader sees it: program headers, dynamic section, symbols,
// relocations; never section headers, which the loader ignores and which may therefore lie.  Used
// by the lint only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/bundle/machine.h"

namespace kante {

struct ElfSegment {
  std::uint32_t type = 0;
  std::uint32_t flags = 0;
  std::uint64_t offset = 0, address = 0, file_bytes = 0, memory_bytes = 0;
};

struct ElfSymbol {
  std::uint64_t name_offset = 0;  // For stringAt; read for those that matter only.
  unsigned binding = 0, type = 0, visibility = 0;
  std::uint16_t section = 0;
  std::uint64_t value = 0, bytes = 0;
};

// Borrows the bytes.  Every access is checked; work is bounded by the size of the file.
class ElfImage {
 public:
  static constexpr std::size_t kSegmentsMax = 64;
  static constexpr std::size_t kDynamicMax = 512;

  // kCorrupt: no well-formed little-endian shared library.  kUnsupported: made for another machine.
  static Result<ElfImage> parse(std::span<const std::uint8_t> bytes, Machine machine);

  const std::vector<ElfSegment>& segments() const { return segments_; }
  const std::vector<std::pair<std::uint64_t, std::uint64_t>>& dynamic() const { return dynamic_; }
  std::optional<std::uint64_t> dynamicValue(
      std::uint64_t tag) const;  // The last one, as the loader takes it.

  Result<std::string_view> stringAt(std::uint64_t offset) const;  // In the dynamic string table.
  Status forEachSymbol(const std::function<Status(const ElfSymbol&)>& visit) const;
  // The addresses that the loader will write to.
  Status forEachRelocation(const std::function<Status(std::uint64_t address)>& visit) const;
  std::span<const std::uint8_t> fileBytes(const ElfSegment& segment) const;
  std::uint32_t word(std::span<const std::uint8_t> bytes, std::size_t at) const;

 private:
  ElfImage() = default;
  Status readHeader(Machine machine);
  Status readSegments();
  Status readDynamic();
  Result<std::size_t> symbolCount() const;
  Result<std::size_t> countByGnuHash(std::uint64_t address) const;
  Status relocationTable(std::uint64_t address, std::uint64_t bytes, std::uint64_t entry_bytes,
                         const std::function<Status(std::uint64_t)>& visit) const;
  Status packedRelocations(const std::function<Status(std::uint64_t)>& visit) const;

  // The file's bytes that will be mapped from address on, to the end of their segment.
  std::span<const std::uint8_t> mappedFrom(std::uint64_t address) const;
  // Those at [address, address + count).
  Result<std::span<const std::uint8_t>> mapped(std::uint64_t address, std::uint64_t count) const;
  std::uint64_t number(const std::uint8_t* at, std::size_t count) const;
  std::uint64_t addressAt(const std::uint8_t* at) const { return number(at, word_bytes_); }

  std::span<const std::uint8_t> bytes_;
  std::size_t word_bytes_ = 8;  // 4 in a 32-bit library.
  std::vector<ElfSegment> segments_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> dynamic_;
};

}  // namespace kante
