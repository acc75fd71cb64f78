#include "host/support/archive.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "host/bundle/tar.h"

namespace kante {
namespace {

constexpr int kLevel = 9;
constexpr const char* kRoot = "kante-support/";

Status append(std::string& tar, const std::string& name, std::string_view text) {
  KANTE_TRY(header, makeTarHeader(kRoot + name, text.size()));
  tar.append(header.data(), header.size());
  tar.append(text);
  tar.append(tarPadding(text.size()), '\0');
  return {};
}

Result<std::string> compress(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const std::size_t size =
      ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), kLevel);
  if (ZSTD_isError(size) != 0)
    return fail(Errc::kState, std::string("zstd: ") + ZSTD_getErrorName(size));
  out.resize(size);
  out.shrink_to_fit();
  return out;
}

}  // namespace

void SupportArchive::add(const std::string& name, std::string text, Keep keep) {
  const std::size_t given = text.size();
  const std::size_t room = std::min(kFileBytesMax, bytes_max_ - bytes_);
  if (given > room) {
    std::size_t from = keep == Keep::kEnd ? given - room : 0;
    if (from != 0) from = std::min(text.find('\n', from), given - 1) + 1;  // Whole lines.
    text = text.substr(from, room);
  }
  bytes_ += text.size();
  files_.push_back({name, std::move(text), given});
}

std::string SupportArchive::contents() const {
  std::string out;
  for (const File& file : files_) {
    out += file.name + "  " + std::to_string(file.text.size()) + " bytes";
    if (file.text.size() != file.bytes) out += " of " + std::to_string(file.bytes) + ", cut";
    out += '\n';
  }
  return out;
}

Result<std::string> SupportArchive::pack(std::string_view head) const {
  std::string tar;
  tar.reserve(bytes_ + (files_.size() + 4) * 2 * kTarBlockBytes);
  KANTE_CHECK(append(tar, "README.txt", std::string(head) + "\n" + contents()));
  for (const File& file : files_) KANTE_CHECK(append(tar, file.name, file.text));
  tar.append(2 * kTarBlockBytes, '\0');
  return compress(tar);
}

}  // namespace kante
