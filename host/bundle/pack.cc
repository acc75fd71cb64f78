#include "host/bundle/pack.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "host/base/fd.h"
#include "host/base/openssl.h"
#include "host/bundle/elf_lint.h"
#include "host/bundle/frame.h"
#include "host/bundle/host_bundle.h"
#include "host/bundle/lint_file.h"
#include "host/bundle/payload.h"
#include "host/bundle/payload_writer.h"
#include "host/bundle/signature.h"
#include "host/bundle/tar.h"
#include "host/bundle/tree.h"

namespace kante {

namespace {

constexpr std::size_t kChunkBytes = 64 * 1024;
constexpr int kFolderDepthMax = 16;

Result<std::size_t> readChunk(int fd, const std::string& name, std::vector<char>& chunk) {
  for (;;) {
    const ssize_t n = ::read(fd, chunk.data(), chunk.size());
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR) return failErrno(name);
  }
}

using Directory = std::unique_ptr<DIR, OpensslFree<closedir>>;

class Collector {
 public:
  explicit Collector(int root_fd) : root_fd_(root_fd) {}

  Status walk(const std::string& folder, int depth) {
    if (depth > kFolderDepthMax)
      return fail(Errc::kLimit, folder + ": folders nest at most 16 deep");
    KANTE_TRY(fd,
              openAt(root_fd_, folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    const Directory directory(::fdopendir(fd.get()));
    if (directory == nullptr) return failErrno(folder);
    fd.release();  // Now the stream's.
    while (const dirent* entry = ::readdir(directory.get())) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..")
        KANTE_CHECK(take(folder.empty() ? name : folder + "/" + name, depth));
    }
    return {};
  }

  std::map<std::string, ManifestFile> files;

 private:
  Status take(const std::string& path, int depth) {
    struct stat status {};
    if (::fstatat(root_fd_, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
      return failErrno(path);
    if (S_ISDIR(status.st_mode)) return walk(path, depth + 1);
    if (path == "manifest.json") return {};
    if (!S_ISREG(status.st_mode)) {
      return fail(
          Errc::kInvalid,
          path + ": not a regular file; a bundle holds nothing else, copy what it points to");
    }
    if (!isMemberName(path)) {
      return fail(Errc::kInvalid,
                  path + ": file names in a bundle are made of A-Z a-z 0-9 . _ - and slashes");
    }
    if (!path.starts_with("data/") && !path.starts_with("lib/")) {
      return fail(Errc::kInvalid, path +
                                      ": does not belong into a bundle, which holds manifest.json, "
                                      "lib/ARCH/module.so and data/");
    }
    if (files.size() == kBundleFilesMax)
      return fail(Errc::kLimit, "a bundle holds at most 4096 files");
    KANTE_TRY(file, measureFile(root_fd_, path));
    files.emplace(path, file);
    return {};
  }

  int root_fd_;
};

class Packer {
 public:
  Packer(int dir_fd, PayloadWriter& writer)
      : dir_fd_(dir_fd), writer_(writer), chunk_(kChunkBytes) {}

  Status header(const std::string& name, std::uint64_t bytes) {
    KANTE_TRY(block, makeTarHeader(name, bytes));
    return writer_.write({block.data(), block.size()});
  }

  Status padding(std::size_t count) { return writer_.write(std::string(count, '\0')); }

  Status file(const std::string& name, const ManifestFile& file) {
    KANTE_CHECK(header(name, file.bytes));
    KANTE_TRY(fd, openAt(dir_fd_, name, O_RDONLY | O_NOFOLLOW));
    const std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    KANTE_ASSERT(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
    std::uint64_t done = 0;
    for (;;) {
      KANTE_TRY(n, readChunk(fd.get(), name, chunk_));
      if (n == 0) break;
      done += n;
      if (done > file.bytes) break;
      EVP_DigestUpdate(context.get(), chunk_.data(), n);
      KANTE_CHECK(writer_.write({chunk_.data(), n}));
    }
    Sha256 digest{};
    KANTE_ASSERT(EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1);
    if (done != file.bytes || digest != file.sha256) {
      return fail(Errc::kConflict, name + ": changed while it was packed");
    }
    return padding(tarPadding(file.bytes));
  }

 private:
  int dir_fd_;
  PayloadWriter& writer_;
  std::vector<char> chunk_;
};

// Libraries first, then data, each in the order of their names.
std::vector<std::string> inOrder(const std::map<std::string, ManifestFile>& files) {
  std::vector<std::string> names;
  for (const char* folder : {"lib/", "data/"}) {
    for (const auto& [name, file] : files) {
      if (name.starts_with(folder)) names.push_back(name);
    }
  }
  return names;
}

Status lintLibraries(int dir_fd, const Manifest& manifest) {
  for (const auto& [machine, name] : manifest.lib) {
    KANTE_TRY(file, openAt(dir_fd, name, O_RDONLY | O_NOFOLLOW));
    KANTE_CHECK(lintFile(file.get(), name, manifest, LintPolicy{machine, manifest.libraries}));
  }
  return {};
}

std::string folderOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Head and signature, then the payload copied inside the kernel where it can.
Status assemble(const std::string& out, const std::string& start, int payload_fd,
                std::uint64_t payload_bytes) {
  const std::string temporary = out + ".new-" + std::to_string(::getpid());
  auto written = [&]() -> Status {
    KANTE_TRY(file, openAt(AT_FDCWD, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644));
    KANTE_CHECK(writeAll(file.get(), start));
    std::vector<char> chunk(kChunkBytes);
    if (::lseek(payload_fd, 0, SEEK_SET) != 0) return failErrno(out);
    for (std::uint64_t done = 0; done < payload_bytes;) {
      KANTE_TRY(n, readChunk(payload_fd, out, chunk));
      if (n == 0) return fail(Errc::kIo, out + ": the payload became shorter");
      KANTE_CHECK(writeAll(file.get(), {chunk.data(), n}));
      done += n;
    }
    if (::fsync(file.get()) != 0) return failErrno(out);
    if (::rename(temporary.c_str(), out.c_str()) != 0) return failErrno(out);
    return {};
  }();
  if (written.has_error()) ::unlink(temporary.c_str());
  return written;
}

}  // namespace

Result<ManifestFile> measureFile(int dir_fd, const std::string& name) {
  KANTE_TRY(file, openAt(dir_fd, name, O_RDONLY | O_NOFOLLOW));
  const std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  KANTE_ASSERT(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  std::vector<char> chunk(kChunkBytes);
  ManifestFile measured;
  for (;;) {
    KANTE_TRY(n, readChunk(file.get(), name, chunk));
    if (n == 0) break;
    EVP_DigestUpdate(context.get(), chunk.data(), n);
    measured.bytes += n;
  }
  KANTE_ASSERT(EVP_DigestFinal_ex(context.get(), measured.sha256.data(), nullptr) == 1);
  return measured;
}

Result<std::map<std::string, ManifestFile>> bundleFilesIn(int dir_fd) {
  Collector collector(dir_fd);
  KANTE_CHECK(collector.walk("", 0));
  return std::move(collector.files);
}

Status packPayload(int dir_fd, std::string_view manifest_text,
                   const std::map<std::string, ManifestFile>& files, int out_fd,
                   PayloadCoding coding) {
  std::uint64_t bytes =
      kTarBlockBytes + manifest_text.size() + tarPadding(manifest_text.size()) + 2 * kTarBlockBytes;
  for (const auto& [name, file] : files)
    bytes += kTarBlockBytes + file.bytes + tarPadding(file.bytes);
  PayloadWriter writer(coding, bytes,
                       [out_fd](std::string_view part) { return writeAll(out_fd, part); });
  Packer packer(dir_fd, writer);
  KANTE_CHECK(packer.header("manifest.json", manifest_text.size()));
  KANTE_CHECK(writer.write(manifest_text));
  KANTE_CHECK(packer.padding(tarPadding(manifest_text.size())));
  for (const std::string& name : inOrder(files)) KANTE_CHECK(packer.file(name, files.at(name)));
  KANTE_CHECK(packer.padding(2 * kTarBlockBytes));
  return writer.finish();
}

Result<PackedBundle> packBundle(const std::string& dir, const std::string& out,
                                std::string_view key_pem, std::string_view certificates_pem,
                                PayloadCoding coding) {
  KANTE_TRY(folder, openDirectory(dir));
  auto text = readFile(folder.get(), "manifest.json", kManifestBytesMax);
  if (text.has_error()) return within(dir, text.error());
  KANTE_TRY(files, bundleFilesIn(folder.get()));
  KANTE_TRY(complete, completeManifest(*text, files));
  KANTE_TRY(manifest, parseManifest(complete));
  KANTE_CHECK(lintLibraries(folder.get(), manifest));
  if (manifest.kind == Manifest::Kind::kHost) KANTE_CHECK(checkHostBundle(manifest));

  KANTE_TRY(payload, unnamedFile(AT_FDCWD, folderOf(out)));
  KANTE_CHECK(packPayload(folder.get(), complete, files, payload.get(), coding));
  struct stat status {};
  if (::fstat(payload.get(), &status) != 0) return failErrno(out);
  const FileRange range{payload.get(), 0, static_cast<std::uint64_t>(status.st_size)};
  KANTE_TRY(signature, sign(range, key_pem, certificates_pem, SignerUse::kBundles));
  KANTE_TRY(start, makeFrameStart(FrameKind::kBundle, signature, range.bytes));
  KANTE_TRY(checked, Signature::parse(signature));
  KANTE_TRY(digest, checked.verify(range));
  KANTE_CHECK(assemble(out, start, payload.get(), range.bytes));
  return PackedBundle{std::move(manifest), "sha256:" + toHex(digest), start.size() + range.bytes};
}

}  // namespace kante
