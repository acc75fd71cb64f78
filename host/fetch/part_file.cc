#include "host/fetch/part_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "host/bundle/frame.h"
#include "host/bundle/tree.h"

namespace kante {
namespace {

// So much is lost at most of what a power cut takes.
constexpr std::uint64_t kSyncEachBytes = std::uint64_t{4} << 20;
constexpr std::string_view kEnding = ".part";

std::string hexOf(const std::string& digest) {
  return digest.substr(std::string_view("sha256:").size());
}

Result<std::size_t> readAt(int fd, std::uint64_t offset, char* into, std::size_t want) {
  for (;;) {
    const ssize_t n = ::pread(fd, into, want, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno("read");
    return static_cast<std::size_t>(n);
  }
}

}  // namespace

std::string PartFile::name() const {
  return hexOf(digest_) + (base_ == nullptr ? "" : ".from-" + hexOf(base_->digest())) +
         std::string(kEnding);
}

Result<PartFile> PartFile::open(int folder_fd, const std::string& digest, const BaseForm* base) {
  PartFile part(folder_fd, digest, base);
  KANTE_TRY(file, openAt(folder_fd, part.name(), O_RDWR | O_CREAT | O_NOFOLLOW));
  part.file_ = std::move(file);
  struct stat status {};
  if (::fstat(part.file_.get(), &status) != 0) return failErrno(part.name());
  part.bytes_ = static_cast<std::uint64_t>(status.st_size);
  if (!part.readHead() || (part.whole_ != 0 && part.bytes_ > part.whole_))
    KANTE_CHECK(part.restart());
  return part;
}

Status PartFile::readHead() {
  if (whole_ != 0 || bytes_ < headBytes()) return {};
  std::string head(headBytes(), '\0');
  KANTE_TRY(have, readAt(file_.get(), 0, head.data(), head.size()));
  head.resize(have);
  if (base_ != nullptr) {
    KANTE_TRY(delta, parseDeltaHead(head));
    KANTE_CHECK(checkDelta(delta, *base_, digest_));
    whole_ = delta.delta_bytes;
    delta_ = std::move(delta);
    return {};
  }
  KANTE_TRY(whole, frameBytes(FrameKind::kBundle, head));
  whole_ = whole;
  return {};
}

Status PartFile::append(std::string_view bytes) {
  if (::lseek(file_.get(), static_cast<off_t>(bytes_), SEEK_SET) < 0) return failErrno("seek");
  // Its head first: what is no bundle is not worth the room.
  const std::size_t first =
      bytes_ >= headBytes()
          ? 0
          : std::min(bytes.size(), headBytes() - static_cast<std::size_t>(bytes_));
  for (const std::string_view piece : {bytes.substr(0, first), bytes.substr(first)}) {
    if (whole_ != 0 && bytes_ + piece.size() > whole_)
      return fail(Errc::kCorrupt, "there are more than the " + std::to_string(whole_) +
                                      " bytes that it has by its head");
    KANTE_CHECK(writeAll(file_.get(), piece));
    bytes_ += piece.size();
    unsynced_ += piece.size();
    KANTE_CHECK(readHead());
  }
  return unsynced_ < kSyncEachBytes ? Status() : sync();
}

Status PartFile::restart() {
  if (::ftruncate(file_.get(), 0) != 0) return failErrno(name());
  bytes_ = whole_ = unsynced_ = 0;
  delta_.reset();
  return {};
}

Status PartFile::sync() {
  if (::fdatasync(file_.get()) != 0) return failErrno(name());
  unsynced_ = 0;
  return {};
}

Result<FileDescriptor> PartFile::take(const std::function<bool()>& goes_on) const {
  if (base_ != nullptr) {
    KANTE_TRY(made, unnamedFile(folder_fd_, "."));
    KANTE_CHECK(applyDelta(file_.get(), *base_, made.get(), goes_on));
    return made;
  }
  KANTE_TRY(digest, payloadDigest(file_.get()));
  if (digest != digest_) return fail(Errc::kCorrupt, "it is another bundle: " + digest);
  return openAt(folder_fd_, name(), O_RDONLY | O_NOFOLLOW);
}

Status PartFile::remove(int folder_fd, const std::string& digest) {
  KANTE_TRY(names, namesIn(folder_fd));
  for (const std::string& name : names)
    if (name.starts_with(hexOf(digest)) && name.ends_with(kEnding) &&
        ::unlinkat(folder_fd, name.c_str(), 0) != 0 && errno != ENOENT)
      return failErrno(name);
  return {};
}

Status PartFile::removeAllBut(int folder_fd, const std::string& digest) {
  KANTE_TRY(names, namesIn(folder_fd));
  for (const std::string& name : names)
    if (name.ends_with(kEnding) && (digest.empty() || !name.starts_with(hexOf(digest))) &&
        ::unlinkat(folder_fd, name.c_str(), 0) != 0)
      return failErrno(name);
  return {};
}

}  // namespace kante
