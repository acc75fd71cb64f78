#include "host/fetch/part_file.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <memory>

#include "host/bundle/frame.h"

namespace kante {
namespace {

// So much is lost at most of what a power cut takes.
constexpr std::uint64_t kSyncEachBytes = std::uint64_t{4} << 20;
constexpr std::string_view kEnding = ".part";

std::string fileOf(const std::string& digest) {
  return digest.substr(std::string_view("sha256:").size()) + std::string(kEnding);
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

Result<PartFile> PartFile::open(int folder_fd, const std::string& digest) {
  KANTE_TRY(file, openAt(folder_fd, fileOf(digest), O_RDWR | O_CREAT | O_NOFOLLOW));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return failErrno(fileOf(digest));
  PartFile part(folder_fd, digest, std::move(file));
  part.bytes_ = static_cast<std::uint64_t>(status.st_size);
  if (!part.readHead() || (part.whole_ != 0 && part.bytes_ > part.whole_))
    KANTE_CHECK(part.restart());
  return part;
}

Status PartFile::readHead() {
  if (whole_ != 0 || bytes_ < kFrameHeadBytes) return {};
  std::array<char, kFrameHeadBytes> head{};
  KANTE_TRY(have, readAt(file_.get(), 0, head.data(), head.size()));
  KANTE_TRY(whole, frameBytes(FrameKind::kBundle, {head.data(), have}));
  whole_ = whole;
  return {};
}

Status PartFile::append(std::string_view bytes) {
  if (::lseek(file_.get(), static_cast<off_t>(bytes_), SEEK_SET) < 0) return failErrno("seek");
  // Its head first: what is no bundle is not worth the room.
  const std::size_t first =
      bytes_ >= kFrameHeadBytes
          ? 0
          : std::min(bytes.size(), kFrameHeadBytes - static_cast<std::size_t>(bytes_));
  for (const std::string_view piece : {bytes.substr(0, first), bytes.substr(first)}) {
    if (whole_ != 0 && bytes_ + piece.size() > whole_)
      return fail(Errc::kCorrupt, "there are more than the " + std::to_string(whole_) +
                                      " bytes that the bundle has by its head");
    KANTE_CHECK(writeAll(file_.get(), piece));
    bytes_ += piece.size();
    unsynced_ += piece.size();
    KANTE_CHECK(readHead());
  }
  return unsynced_ < kSyncEachBytes ? Status() : sync();
}

Status PartFile::restart() {
  if (::ftruncate(file_.get(), 0) != 0) return failErrno(fileOf(digest_));
  bytes_ = whole_ = unsynced_ = 0;
  return {};
}

Status PartFile::sync() {
  if (::fdatasync(file_.get()) != 0) return failErrno(fileOf(digest_));
  unsynced_ = 0;
  return {};
}

Result<FileDescriptor> PartFile::take() const {
  KANTE_TRY(digest, payloadDigest(file_.get()));
  if (digest != digest_) return fail(Errc::kCorrupt, "it is another bundle: " + digest);
  return openAt(folder_fd_, fileOf(digest_), O_RDONLY | O_NOFOLLOW);
}

Status PartFile::remove(int folder_fd, const std::string& digest) {
  if (::unlinkat(folder_fd, fileOf(digest).c_str(), 0) != 0 && errno != ENOENT)
    return failErrno(fileOf(digest));
  return {};
}

Status PartFile::removeAllBut(int folder_fd, const std::string& digest) {
  KANTE_TRY(folder, openAt(folder_fd, ".", O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(folder.get()), ::closedir);
  if (!listing) return failErrno("fetch");
  (void)folder.release();
  const std::string kept = digest.empty() ? std::string() : fileOf(digest);
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string_view name(entry->d_name);
    if (name.ends_with(kEnding) && name != kept && ::unlinkat(folder_fd, entry->d_name, 0) != 0)
      return failErrno(std::string(name));
  }
  return {};
}

}  // namespace kante
