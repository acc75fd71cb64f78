#include "host/bundle/delta_make.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "host/base/encoding.h"
#include "host/base/openssl.h"
#include "host/bundle/differences.h"
#include "host/bundle/little_endian.h"
#include "host/bundle/payload.h"
#include "host/bundle/signature.h"
#include "host/bundle/staging.h"
#include "host/bundle/tar.h"
#include "host/bundle/tree.h"

namespace kante {
namespace {

constexpr std::size_t kChunkBytes = 128 * 1024;
constexpr int kPatchLevel = 19;
constexpr int kPatchWindowLog = 23;  // A part of the base and what is made from it, together.

// One of the two files, taken apart; who signed it does not matter here.
struct Bundle {
  FileDescriptor file;
  SignedFrame frame;
  Sha256 sha256{};
  Manifest manifest;
  std::string digest() const { return "sha256:" + toHex(sha256); }
  FileRange payload() const { return {file.get(), frame.payload_offset, frame.payload_bytes}; }
};

Result<std::string> readAt(int fd, std::uint64_t offset, std::size_t count) {
  std::string bytes(count, '\0');
  std::size_t have = 0;
  while (have < count) {
    const ssize_t n =
        ::pread(fd, bytes.data() + have, count - have, static_cast<off_t>(offset + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno("read");
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  bytes.resize(have);
  return bytes;
}

Result<Bundle> readBundle(const std::string& path, MemberSink& sink) {
  KANTE_TRY(file, openAt(AT_FDCWD, path, O_RDONLY | O_NONBLOCK));
  const auto read = [&]() -> Result<Bundle> {
    KANTE_TRY(frame, readFrame(FrameKind::kBundle, file.get()));
    KANTE_TRY(signature, Signature::parse(frame.signature));
    Bundle bundle{std::move(file), std::move(frame), {}, {}};
    KANTE_TRY(digest, signature.verify(bundle.payload()));
    bundle.sha256 = digest;
    KANTE_TRY(manifest, unpackPayload(bundle.payload(), digest, sink));
    bundle.manifest = std::move(manifest);
    return bundle;
  };
  auto bundle = read();
  if (!bundle) return within(path, bundle.error());
  return bundle;
}

const char* kindOf(const Manifest& manifest) {
  return manifest.kind == Manifest::Kind::kHost ? "a host" : "a module";
}

Status checkPair(const Bundle& from, const Bundle& to) {
  const Manifest &a = from.manifest, &b = to.manifest;
  if (a.kind != b.kind)
    return fail(Errc::kInvalid, a.id + " is " + kindOf(a) + " and " + b.id + " is " + kindOf(b) +
                                    "; a delta leads from one version to another");
  if (a.id != b.id)
    return fail(Errc::kInvalid, "the bundles are of " + a.id + " and of " + b.id +
                                    "; a delta leads from one version of a module to another");
  if (from.sha256 == to.sha256)
    return fail(Errc::kInvalid, "both are the same bundle, " + from.digest());
  return {};
}

Machine machineOf(const DeltaFiles& files, const Manifest& manifest) {
  if (files.machine) return *files.machine;
  return manifest.lib.size() == 1 ? manifest.lib.begin()->first : hostMachine();
}

struct Free {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// The archive of a payload that was checked before; how many bytes it has.
Result<std::uint64_t> unpackArchive(const FileRange& payload, int out_fd) {
  const std::unique_ptr<ZSTD_DCtx, Free> context(ZSTD_createDCtx());
  std::string out(kChunkBytes, '\0');
  std::uint64_t bytes = 0;
  for (std::uint64_t done = 0; done < payload.bytes;) {
    KANTE_TRY(chunk, readAt(payload.fd, payload.offset + done,
                            static_cast<std::size_t>(
                                std::min<std::uint64_t>(kChunkBytes, payload.bytes - done))));
    if (chunk.empty()) return fail(Errc::kCorrupt, "the bundle changed while it was read");
    done += chunk.size();
    ZSTD_inBuffer in{chunk.data(), chunk.size(), 0};
    // What fills the buffer may not be all that was there.
    for (bool full = true; in.pos < in.size || full;) {
      ZSTD_outBuffer made{out.data(), out.size(), 0};
      const std::size_t left = ZSTD_decompressStream(context.get(), &made, &in);
      if (ZSTD_isError(left) != 0)
        return fail(Errc::kCorrupt, std::string("payload: ") + ZSTD_getErrorName(left));
      bytes += made.pos;
      if (bytes > kArchiveBytesMax) return fail(Errc::kLimit, "the archive is too long");
      KANTE_CHECK(writeAll(out_fd, {out.data(), made.pos}));
      full = made.pos == made.size;
    }
  }
  return bytes;
}

// Where each file of the archive lies in it.
struct Member {
  std::string name;
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
};

Result<std::vector<Member>> membersOf(int archive_fd, std::uint64_t bytes) {
  std::vector<Member> members;
  std::string path;
  for (std::uint64_t at = 0; at + kTarBlockBytes <= bytes;) {
    KANTE_TRY(raw, readAt(archive_fd, at, kTarBlockBytes));
    std::array<char, kTarBlockBytes> block{};
    std::copy(raw.begin(), raw.end(), block.begin());
    KANTE_TRY(entry, parseTarHeader(block));
    if (entry.kind == TarEntry::Kind::kEnd) break;
    at += kTarBlockBytes;
    if (entry.kind == TarEntry::Kind::kPax) {
      KANTE_TRY(records, readAt(archive_fd, at, static_cast<std::size_t>(entry.bytes)));
      KANTE_TRY(given, parsePax(records));
      path = given;
    } else {
      members.push_back({path.empty() ? entry.name : std::exchange(path, {}), at, entry.bytes});
    }
    at += entry.bytes + tarPadding(entry.bytes);
  }
  return members;
}

class Maker {
 public:
  Maker(int archive_fd, std::uint64_t archive_bytes, std::vector<Member> members,
        const BaseForm& base, int out_fd)
      : archive_fd_(archive_fd),
        archive_bytes_(archive_bytes),
        members_(std::move(members)),
        base_(base),
        out_fd_(out_fd),
        context_(ZSTD_createCCtx()) {}

  Status run(DeltaHead& head) {
    for (std::uint64_t at = 0; at < archive_bytes_; at += kDeltaMadeBytesMax) {
      const auto count = static_cast<std::size_t>(
          std::min<std::uint64_t>(kDeltaMadeBytesMax, archive_bytes_ - at));
      KANTE_TRY(bytes, segment(at, count));
      head.delta_bytes += bytes;
      ++head.segments;
    }
    return {};
  }

 private:
  // Around what the same file had at the same place.
  std::uint64_t baseFor(std::uint64_t at, std::size_t count) const {
    if (base_.bytes() <= kDeltaBaseBytesMax) return 0;
    const std::uint64_t middle = at + count / 2;
    std::uint64_t there = middle;
    for (const Member& member : members_) {
      if (member.begin > middle) break;
      if (const auto begin = base_.offsetOf(member.name)) there = *begin + middle - member.begin;
    }
    constexpr std::uint64_t kHalf = kDeltaBaseBytesMax / 2;
    return std::min(there > kHalf ? there - kHalf : 0, base_.bytes() - kDeltaBaseBytesMax);
  }

  Result<std::uint64_t> segment(std::uint64_t at, std::size_t count) {
    KANTE_TRY(made, readAt(archive_fd_, at, count));
    const std::uint64_t offset = baseFor(at, count);
    KANTE_TRY(base, base_.read(offset, static_cast<std::size_t>(std::min<std::uint64_t>(
                                           kDeltaBaseBytesMax, base_.bytes()))));
    KANTE_TRY(patch, compress(made, base));
    auto kind = DeltaSegment::Kind::kPrefix;
    if (const std::string differences = makeDifferences(base, made); !differences.empty()) {
      KANTE_TRY(other, compress(differences, {}));
      if (other.size() < patch.size()) {
        patch = std::move(other);
        kind = DeltaSegment::Kind::kDifferences;
      }
    }
    std::string head;
    appendLittle(head, offset, 8);
    appendLittle(head, base.size(), 4);
    appendLittle(head, made.size(), 4);
    appendLittle(head, patch.size(), 4);
    appendLittle(head, static_cast<std::uint32_t>(kind), 4);
    KANTE_CHECK(writeAll(out_fd_, head));
    KANTE_CHECK(writeAll(out_fd_, patch));
    return head.size() + patch.size();
  }

  Result<std::string> compress(std::string_view bytes, std::string_view prefix) {
    ZSTD_CCtx* context = context_.get();
    ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, kPatchLevel);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, kPatchWindowLog);
    if (!prefix.empty()) ZSTD_CCtx_refPrefix(context, prefix.data(), prefix.size());
    std::string out(ZSTD_compressBound(bytes.size()), '\0');
    const std::size_t count =
        ZSTD_compress2(context, out.data(), out.size(), bytes.data(), bytes.size());
    if (ZSTD_isError(count) != 0)
      return fail(Errc::kState, std::string("zstd: ") + ZSTD_getErrorName(count));
    out.resize(count);
    return out;
  }

  const int archive_fd_;
  const std::uint64_t archive_bytes_;
  const std::vector<Member> members_;
  const BaseForm& base_;
  const int out_fd_;
  std::unique_ptr<ZSTD_CCtx, Free> context_;
};

// Whether the archive, coded so, is this payload.
Result<bool> isMadeBy(PayloadCoding coding, int archive_fd, std::uint64_t bytes,
                      const Sha256& payload) {
  const std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  KANTE_ASSERT(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  PayloadWriter writer(coding, bytes, [&context](std::string_view part) -> Status {
    EVP_DigestUpdate(context.get(), part.data(), part.size());
    return {};
  });
  for (std::uint64_t at = 0; at < bytes;) {
    KANTE_TRY(chunk, readAt(archive_fd, at, kChunkBytes));
    KANTE_CHECK(writer.write(chunk));
    at += chunk.size();
  }
  KANTE_CHECK(writer.finish());
  Sha256 digest{};
  KANTE_ASSERT(EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1);
  return digest == payload;
}

Result<PayloadCoding> codingOf(const Bundle& to, int archive_fd, std::uint64_t bytes) {
  for (const PayloadCoding coding : {PayloadCoding::kStored, PayloadCoding::kZstd}) {
    KANTE_TRY(is_it, isMadeBy(coding, archive_fd, bytes, to.sha256));
    if (is_it) return coding;
  }
  return fail(Errc::kUnsupported,
              "its payload cannot be made again from its archive, because another version of kante "
              "or of libzstd packed it; pack it again with this one, or with --stored");
}

// A folder below `scratch` that goes with this.
class ScratchFolder {
 public:
  static Result<ScratchFolder> make(const std::string& scratch) {
    std::string path = scratch + "/kante-delta-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return failErrno(scratch);
    return ScratchFolder(path);
  }
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    if (!path_.empty()) (void)removeTree(AT_FDCWD, path_);
  }
  const std::string& path() const { return path_; }

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

class NothingKept final : public MemberSink {
 public:
  Status manifest(const Manifest&, std::string_view) override { return {}; }
  Status begin(const std::string&, const ManifestFile&) override { return {}; }
  Status write(std::string_view) override { return {}; }
  Result<int> end() override { return -1; }
};

// Head and signature of the bundle that is made, as they are.
Result<std::string> startOf(const Bundle& bundle) {
  KANTE_TRY(start,
            readAt(bundle.file.get(), 0, static_cast<std::size_t>(bundle.frame.payload_offset)));
  if (start.size() != bundle.frame.payload_offset)
    return fail(Errc::kCorrupt, "the bundle changed while it was read");
  return start;
}

Status showThatItWorks(int delta_fd, const BaseForm& base, const std::string& scratch) {
  KANTE_TRY(result, unnamedFile(AT_FDCWD, scratch));
  const Status made = applyDelta(delta_fd, base, result.get(), [] { return true; });
  if (!made) return within("the delta that was made cannot be applied", made.error());
  return {};
}

// The bundle as a gateway of this machine has it.
struct Unpacked {
  ScratchFolder folder;
  Manifest manifest;
  BaseForm form;
};

Result<Unpacked> unpackBase(const std::string& path, const std::string& scratch, Machine machine) {
  KANTE_TRY(folder, ScratchFolder::make(scratch));
  KANTE_TRY(unpacked, openDirectory(folder.path()));
  StagingSink staging(unpacked.get(), machine);
  KANTE_TRY(bundle, readBundle(path, staging));
  KANTE_TRY(form, BaseForm::open(std::move(unpacked), bundle.digest(), bundle.manifest, machine));
  return Unpacked{std::move(folder), std::move(bundle.manifest), std::move(form)};
}

std::uint64_t bytesWithoutBase(const Manifest& manifest, Machine machine) {
  std::uint64_t bytes = 0;
  for (const auto& [name, file] : manifest.files)
    if (!isKept(manifest, name, machine)) bytes += file.bytes;
  return bytes;
}

}  // namespace

Result<MadeDelta> makeDelta(const DeltaFiles& files, int out_fd) {
  NothingKept nothing;
  KANTE_TRY(from, readBundle(files.from, nothing));
  KANTE_TRY(to, readBundle(files.to, nothing));
  KANTE_CHECK(checkPair(from, to));
  const Machine machine = machineOf(files, from.manifest);
  KANTE_TRY(unpacked, unpackBase(files.from, files.scratch, machine));
  const BaseForm& base = unpacked.form;
  KANTE_TRY(archive, unnamedFile(AT_FDCWD, files.scratch));
  KANTE_TRY(archive_bytes, unpackArchive(to.payload(), archive.get()));
  const auto coding = codingOf(to, archive.get(), archive_bytes);
  if (!coding) return within(files.to, coding.error());
  KANTE_TRY(start, startOf(to));
  DeltaHead head;
  head.machine = machine;
  head.coding = *coding;
  head.zstd_version = *coding == PayloadCoding::kZstd ? zstdVersion() : 0;
  head.start_bytes = static_cast<std::uint32_t>(start.size());
  head.base_bytes = base.bytes();
  head.archive_bytes = archive_bytes;
  head.bundle_bytes = to.frame.payload_offset + to.frame.payload_bytes;
  head.delta_bytes = kDeltaHeadBytes + start.size();
  head.base = base.digest();
  head.digest = to.digest();
  // Its head says how long it became.
  KANTE_CHECK(writeAll(out_fd, std::string(kDeltaHeadBytes, '\0') + start));
  KANTE_TRY(members, membersOf(archive.get(), archive_bytes));
  KANTE_CHECK(Maker(archive.get(), archive_bytes, std::move(members), base, out_fd).run(head));
  if (::lseek(out_fd, 0, SEEK_SET) != 0) return failErrno("delta");
  KANTE_CHECK(writeAll(out_fd, makeDeltaHead(head)));
  KANTE_CHECK(showThatItWorks(out_fd, base, files.scratch));
  return MadeDelta{std::move(head), to.manifest.id, from.manifest.version, to.manifest.version,
                   bytesWithoutBase(to.manifest, machine)};
}

Result<FileDescriptor> bundleOf(int delta_fd, const std::string& base, const std::string& scratch) {
  KANTE_TRY(head, readDelta(delta_fd));
  KANTE_TRY(unpacked, unpackBase(base, scratch, head.machine));
  KANTE_TRY(made, unnamedFile(AT_FDCWD, scratch));
  KANTE_CHECK(applyDelta(delta_fd, unpacked.form, made.get(), [] { return true; }));
  return made;
}

}  // namespace kante
