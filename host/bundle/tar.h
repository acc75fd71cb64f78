// The tar of a bundle: regular files, nothing else, so that bytes have one meaning for every
// reader.
//
// Own code rather than libarchive's, which reads forty years of dialects (sparse files, long-name
// entries, character sets, links) that would all have to be forbidden again, and costs a small
// gateway seven more shared libraries.  Written: POSIX ustar.  Read: ustar, GNU tar's headers, and
// pax headers that say no more than a name and times.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante {

inline constexpr std::size_t kTarBlockBytes = 512;
inline constexpr std::uint64_t kPaxBytesMax = 64 * 1024;

struct TarEntry {
  enum class Kind { kFile, kPax, kEnd };
  Kind kind = Kind::kFile;
  std::string name;  // As written; the caller holds it against the rules for names.
  std::uint64_t bytes = 0;
};

// One header block.  kCorrupt for a damaged one, kDenied for an entry that is no regular file; the
// text names it.  kEnd for a block of zeros.
Result<TarEntry> parseTarHeader(const std::array<char, kTarBlockBytes>& block);

// The records of a pax header; the path that it gives to the next entry, or empty.
Result<std::string> parsePax(std::string_view records);

// Mode 0644, owner 0, time 0: nothing of the packing machine.  kInvalid when the name does not fit.
Result<std::array<char, kTarBlockBytes>> makeTarHeader(const std::string& name,
                                                       std::uint64_t bytes);

// Bytes of padding after a member of this size.
std::size_t tarPadding(std::uint64_t bytes);

}  // namespace kante
