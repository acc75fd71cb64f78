#include "host/bundle/tar.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "host/base/shown.h"

namespace kante {

namespace {

// POSIX.1-1988 ustar: offsets and widths of the fields that matter.
struct Field {
  std::size_t at;
  std::size_t width;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kOwner{108, 8}, kGroup{116, 8}, kSize{124, 12},
    kTime{136, 12};
constexpr Field kChecksum{148, 8}, kLink{157, 100}, kMagic{257, 8}, kPrefix{345, 155};
constexpr std::size_t kTypeAt = 156;
constexpr std::string_view kUstar(
    "ustar\0"
    "00",
    8);
constexpr std::string_view kGnu("ustar  \0", 8);

using Block = std::array<char, kTarBlockBytes>;

std::string_view view(const Block& block, Field field) {
  return {block.data() + field.at, field.width};
}

// Text up to the first NUL, after which only NULs may follow.
Result<std::string> textIn(const Block& block, Field field) {
  const std::string_view all = view(block, field);
  const std::string_view text = all.substr(0, all.find('\0'));
  if (all.find_first_not_of('\0', text.size()) != std::string_view::npos) {
    return fail(Errc::kCorrupt, "archive has hidden bytes in a header");
  }
  return std::string(text);
}

// Octal digits, ended by NULs or spaces.
Result<std::uint64_t> octalIn(const Block& block, Field field) {
  const std::string_view all = view(block, field);
  const std::size_t end = all.find_first_of(std::string_view(" \0", 2));
  const std::string_view digits = all.substr(0, end);
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
  const bool rest_empty =
      end == std::string_view::npos ||
      all.find_first_not_of(std::string_view(" \0", 2), end) == std::string_view::npos;
  if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() ||
      !rest_empty) {
    return fail(Errc::kCorrupt, "archive has a header with a malformed number");
  }
  return value;
}

std::uint64_t checksum(const Block& block) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    const bool own = i >= kChecksum.at && i < kChecksum.at + kChecksum.width;
    sum += own ? std::uint64_t{' '} : static_cast<std::uint8_t>(block[i]);
  }
  return sum;
}

const char* kindName(char type) {
  switch (type) {
    case '1': return "a hard link";
    case '2': return "a symbolic link";
    case '3': return "a character device";
    case '4': return "a block device";
    case '5': return "a directory";
    case '6': return "a fifo";
    case 'g': return "a global pax header";
    case 'K':
    case 'L': return "a GNU long name";
    case 'S': return "a sparse file";
    default: return "an entry of unknown type";
  }
}

void putOctal(Block& block, Field field, std::uint64_t value) {
  for (std::size_t i = field.width - 1; i-- > 0; value >>= 3) {
    block[field.at + i] = static_cast<char>('0' + (value & 7));
  }
}

}  // namespace

Result<TarEntry> parseTarHeader(const Block& block) {
  if (std::all_of(block.begin(), block.end(), [](char c) { return c == 0; })) {
    return TarEntry{TarEntry::Kind::kEnd, {}, 0};
  }
  const std::string_view magic = view(block, kMagic);
  if (magic != kUstar && magic != kGnu)
    return fail(Errc::kCorrupt, "archive is not a ustar or GNU tar");
  KANTE_TRY(sum, octalIn(block, kChecksum));
  if (sum != checksum(block))
    return fail(Errc::kCorrupt, "archive has a header with a wrong checksum");
  TarEntry entry;
  KANTE_TRY(name, textIn(block, kName));
  KANTE_TRY(prefix, textIn(block, kPrefix));
  if (!prefix.empty() && magic == kGnu)
    return fail(Errc::kCorrupt, "archive has GNU extensions in a header");
  entry.name = prefix.empty() ? name : prefix + "/" + name;
  const char type = block[kTypeAt];
  if (type != '0' && type != '\0' && type != 'x') {
    return fail(Errc::kDenied, "archive member " + shown(entry.name) + " is " + kindName(type) +
                                   ", only regular files are allowed");
  }
  entry.kind = type == 'x' ? TarEntry::Kind::kPax : TarEntry::Kind::kFile;
  KANTE_TRY(link, textIn(block, kLink));
  if (!link.empty())
    return fail(Errc::kDenied, "archive member " + shown(entry.name) + " has a link target");
  KANTE_TRY(bytes, octalIn(block, kSize));
  entry.bytes = bytes;
  return entry;
}

Result<std::string> parsePax(std::string_view records) {
  const auto malformed = fail(Errc::kCorrupt, "archive has a malformed pax header");
  std::string path;
  while (!records.empty()) {
    // "LENGTH KEY=VALUE\n", the length counting all of it.
    std::size_t length = 0;
    const auto parsed = std::from_chars(records.data(), records.data() + records.size(), length);
    const auto digits = static_cast<std::size_t>(parsed.ptr - records.data());
    if (parsed.ec != std::errc() || length > records.size() || digits + 2 > length)
      return malformed;
    if (records[digits] != ' ' || records[length - 1] != '\n') return malformed;
    const std::string_view record = records.substr(digits + 1, length - digits - 2);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) return malformed;
    const std::string_view key = record.substr(0, equals);
    static constexpr std::string_view kIgnored[] = {"mtime", "atime", "ctime", "uid",
                                                    "gid",   "uname", "gname", "comment"};
    if (key == "path") {
      if (!path.empty()) return malformed;
      path = record.substr(equals + 1);
    } else if (std::find(std::begin(kIgnored), std::end(kIgnored), key) == std::end(kIgnored)) {
      return fail(Errc::kDenied, "archive has the pax record \"" + std::string(key.substr(0, 64)) +
                                     "\", which bundles do not allow");
    }
    records.remove_prefix(length);
  }
  return path;
}

Result<Block> makeTarHeader(const std::string& name, std::uint64_t bytes) {
  Block block{};
  std::string_view base = name;
  std::string_view prefix = base.substr(0, 0);
  if (base.size() > kName.width) {
    // The last slash that leaves both halves short enough.
    const std::size_t slash = name.rfind('/', kPrefix.width);
    if (slash == std::string::npos || name.size() - slash - 1 > kName.width) {
      return fail(Errc::kInvalid,
                  name + ": the name is too long for an archive (100 bytes after a slash)");
    }
    prefix = base.substr(0, slash);
    base.remove_prefix(slash + 1);
  }
  std::memcpy(block.data() + kName.at, base.data(), base.size());
  std::memcpy(block.data() + kPrefix.at, prefix.data(), prefix.size());
  putOctal(block, kMode, 0644);
  putOctal(block, kOwner, 0);
  putOctal(block, kGroup, 0);
  putOctal(block, kSize, bytes);
  putOctal(block, kTime, 0);
  block[kTypeAt] = '0';
  std::memcpy(block.data() + kMagic.at, kUstar.data(), kUstar.size());
  putOctal(block, Field{kChecksum.at, 7}, checksum(block));
  block[kChecksum.at + 7] = ' ';
  return block;
}

std::size_t tarPadding(std::uint64_t bytes) {
  return static_cast<std::size_t>((kTarBlockBytes - bytes % kTarBlockBytes) % kTarBlockBytes);
}

}  // namespace kante
