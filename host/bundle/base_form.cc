#include "host/bundle/base_form.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "host/bundle/host_bundle.h"

namespace kante {

bool isKept(const Manifest& manifest, std::string_view name, Machine machine) {
  for (const auto& [other, library] : manifest.lib)
    if (library == name) return other == machine;
  const bool is_program = manifest.kind == Manifest::Kind::kHost && name.starts_with("data/bin/");
  return !is_program || name.starts_with(hostFolder(machine) + "/");
}

Result<BaseForm> BaseForm::open(FileDescriptor folder, std::string digest, const Manifest& manifest,
                                Machine machine) {
  struct stat status {};
  if (::fstatat(folder.get(), "manifest.json", &status, AT_SYMLINK_NOFOLLOW) != 0)
    return failErrno("manifest.json of " + digest);
  BaseForm form(std::move(folder), std::move(digest), machine);
  form.add("manifest.json", static_cast<std::uint64_t>(status.st_size));
  // As bundles are packed, so that what was side by side there is so here.
  for (const std::string_view folder_name : {"lib/", "data/"})
    for (const auto& [name, file] : manifest.files)
      if (name.starts_with(folder_name) && isKept(manifest, name, machine))
        form.add(name, file.bytes);
  return form;
}

void BaseForm::add(const std::string& name, std::uint64_t bytes) {
  pieces_.push_back({name, bytes_, bytes});
  bytes_ += bytes;
}

std::optional<std::uint64_t> BaseForm::offsetOf(std::string_view name) const {
  for (const Piece& piece : pieces_)
    if (piece.name == name) return piece.begin;
  return std::nullopt;
}

Result<std::string> BaseForm::read(std::uint64_t offset, std::size_t count) const {
  if (offset > bytes_ || count > bytes_ - offset)
    return fail(Errc::kCorrupt, "the base has " + std::to_string(bytes_) + " bytes only");
  std::string out(count, '\0');
  std::size_t have = 0;
  auto piece = std::upper_bound(
      pieces_.begin(), pieces_.end(), offset,
      [](std::uint64_t at, const Piece& one) { return at < one.begin + one.bytes; });
  for (; have < count; ++piece) {
    if (piece->bytes == 0) continue;
    KANTE_TRY(file, openAt(folder_.get(), piece->name, O_RDONLY | O_NOFOLLOW));
    std::uint64_t at = offset + have - piece->begin;
    while (have < count && at < piece->bytes) {
      const auto want =
          static_cast<std::size_t>(std::min<std::uint64_t>(count - have, piece->bytes - at));
      const ssize_t n = ::pread(file.get(), out.data() + have, want, static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failErrno(piece->name);
      if (n == 0) return fail(Errc::kCorrupt, piece->name + " of the base became shorter");
      have += static_cast<std::size_t>(n);
      at += static_cast<std::uint64_t>(n);
    }
  }
  return out;
}

}  // namespace kante
