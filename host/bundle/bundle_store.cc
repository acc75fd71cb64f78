#include "host/bundle/bundle_store.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <memory>

#include "host/base/encoding.h"
#include "host/bundle/delta.h"
#include "host/bundle/host_bundle.h"
#include "host/bundle/sealed_file.h"
#include "host/bundle/staging.h"
#include "host/bundle/tree.h"

namespace kante {

namespace json = boost::json;

namespace {

constexpr const char* kFolder = "bundles";
constexpr const char* kIdsName = "ids.json";
constexpr const char* kRecordName = ".admission.json";
constexpr const char* kStagedPrefix = ".new-";
constexpr std::size_t kIdsBytesMax = 1 << 20;
constexpr std::size_t kRecordBytesMax = 256 * 1024;

Error damaged(const std::string& what) {
  return fail(Errc::kCorrupt, what + " in the bundle store is damaged");
}

// "sha256:HEX" as the name of its folder; empty when it is no digest.
std::string folderFor(const std::string& digest) {
  const bool shaped = digest.size() == 71 && digest.starts_with("sha256:") &&
                      digest.find_first_not_of("0123456789abcdef", 7) == std::string::npos;
  return shaped ? "sha256-" + digest.substr(7) : std::string();
}

Result<std::string> existingFolder(int store_fd, const std::string& digest) {
  const std::string folder = folderFor(digest);
  if (folder.empty())
    return fail(Errc::kInvalid, digest + " is not a digest like sha256:… of 64 digits");
  struct stat status {};
  if (::fstatat(store_fd, folder.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail(Errc::kNotFound, "no bundle " + digest + " on this gateway");
  }
  return folder;
}

std::string recordText(const AdmittedBundle& bundle, const std::string& signature,
                       const std::string& manifest_sha256) {
  const Signer& signer = bundle.signer;
  return json::serialize(json::object{{"digest", bundle.digest},
                                      {"admitted_s", bundle.admitted_s},
                                      {"payload_bytes", bundle.payload_bytes},
                                      {"signer",
                                       {{"ca_fingerprint", signer.ca_fingerprint},
                                        {"ca_subject", signer.ca_subject},
                                        {"fingerprint", signer.fingerprint},
                                        {"subject", signer.subject},
                                        {"not_before_s", signer.not_before_s},
                                        {"not_after_s", signer.not_after_s}}},
                                      {"manifest_sha256", manifest_sha256},
                                      {"signature", toBase64(signature)}}) +
         "\n";
}

struct Record {
  AdmittedBundle bundle;  // Without the manifest.
  std::string signature;
  std::string manifest_sha256;  // Through it every file of the bundle is what was admitted.
};

Result<Record> readRecord(int folder_fd) {
  KANTE_TRY(text, readFile(folder_fd, kRecordName, kRecordBytesMax));
  try {
    const json::value value = json::parse(text);
    const json::object& signer = value.at("signer").as_object();
    Record record;
    record.bundle.digest = value.at("digest").as_string();
    record.bundle.admitted_s = value.at("admitted_s").to_number<std::int64_t>();
    record.bundle.payload_bytes = value.at("payload_bytes").to_number<std::uint64_t>();
    record.bundle.signer = {std::string(signer.at("ca_fingerprint").as_string()),
                            std::string(signer.at("ca_subject").as_string()),
                            std::string(signer.at("fingerprint").as_string()),
                            std::string(signer.at("subject").as_string()),
                            signer.at("not_before_s").to_number<std::int64_t>(),
                            signer.at("not_after_s").to_number<std::int64_t>()};
    KANTE_TRY(signature, fromBase64(value.at("signature").as_string()));
    record.signature = std::move(signature);
    record.manifest_sha256 = value.at("manifest_sha256").as_string();
    return record;
  } catch (const std::exception&) {
    return damaged("an admission record");
  }
}

Result<AdmittedBundle> readBundle(int store_fd, const std::string& folder) {
  KANTE_TRY(fd, openAt(store_fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  KANTE_TRY(record, readRecord(fd.get()));
  KANTE_TRY(text, readFile(fd.get(), "manifest.json", kManifestBytesMax));
  if (toHex(sha256(text)) != record.manifest_sha256) return damaged("manifest.json");
  KANTE_TRY(manifest, parseManifest(text));
  record.bundle.manifest = std::move(manifest);
  return std::move(record.bundle);
}

// Over as many steps as there are heirs.
bool mayInherit(const Heirs* heirs, std::string owner, const std::string& heir) {
  if (heirs == nullptr) return false;
  for (std::size_t steps = heirs->size(); steps > 0; --steps) {
    const auto next = heirs->find(owner);
    if (next == heirs->end()) return false;
    owner = next->second;
    if (owner == heir) return true;
  }
  return false;
}

// The incoming file may change under us; its copy in the store has no name and one reader.
Result<FileDescriptor> copyOf(int fd, int store_fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return failErrno("bundle");
  if (!S_ISREG(status.st_mode)) return fail(Errc::kInvalid, "bundle is not a regular file");
  constexpr std::uint64_t kBytesMax = kFrameHeadBytes + kSignatureBytesMax + kBundlePayloadBytesMax;
  if (static_cast<std::uint64_t>(status.st_size) > kBytesMax) {
    return fail(Errc::kLimit, "bundle is longer than a bundle can be");
  }
  KANTE_TRY(copy, unnamedFile(store_fd, "."));
  std::vector<char> chunk(64 * 1024);
  for (off_t done = 0;;) {
    const ssize_t n = ::pread(fd, chunk.data(), chunk.size(), done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno("bundle");
    if (n == 0) return copy;
    done += n;
    if (static_cast<std::uint64_t>(done) > kBytesMax)
      return fail(Errc::kLimit, "bundle grows while it is read");
    KANTE_CHECK(writeAll(copy.get(), {chunk.data(), static_cast<std::size_t>(n)}));
  }
}

}  // namespace

Result<BundleStore> BundleStore::open(int data_dir_fd) {
  if (::mkdirat(data_dir_fd, kFolder, 0700) != 0 && errno != EEXIST) return failErrno(kFolder);
  KANTE_TRY(directory, openAt(data_dir_fd, kFolder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  BundleStore store(std::move(directory));
  KANTE_CHECK(store.removeLeftovers());
  KANTE_CHECK(store.readIds());
  return store;
}

Status BundleStore::removeLeftovers() const {
  KANTE_TRY(names, namesIn(directory_.get()));
  for (const std::string& name : names) {
    const bool unfinished =
        name.starts_with(kStagedPrefix) || name.starts_with(std::string(kIdsName) + ".new-");
    if (unfinished) KANTE_CHECK(removeTree(directory_.get(), name));
  }
  return {};
}

Status BundleStore::readIds() {
  auto text = readFile(directory_.get(), kIdsName, kIdsBytesMax);
  if (text.has_error()) return text.error().code == Errc::kNotFound ? Status{} : text.error();
  try {
    const json::value all = json::parse(*text);
    for (const auto& [id, value] : all.as_object()) {
      ids_[std::string(id)] = {std::string(value.at("ca").as_string()),
                               value.at("floor").to_number<std::uint64_t>(),
                               value.at("revoked_below").to_number<std::uint64_t>()};
    }
  } catch (const std::exception&) {
    return damaged(kIdsName);
  }
  return {};
}

// On disk first, then in memory.
Status BundleStore::replaceIds(std::map<std::string, IdRecord> ids) {
  json::object all;
  for (const auto& [id, record] : ids) {
    all[id] = json::object{{"ca", record.ca_fingerprint},
                           {"floor", record.floor},
                           {"revoked_below", record.revoked_below}};
  }
  const std::string text = json::serialize(all) + "\n";
  if (text.size() > kIdsBytesMax)
    return fail(Errc::kLimit, "bundle store knows too many module ids");
  KANTE_CHECK(replaceFile(directory_.get(), kIdsName, text));
  ids_ = std::move(ids);
  return {};
}

Status BundleStore::checkId(const AdmittedBundle& bundle, const AdmissionPolicy& policy) const {
  const Manifest& manifest = bundle.manifest;
  const auto known = ids_.find(manifest.id);
  if (known == ids_.end()) return {};
  const IdRecord& record = known->second;
  if (record.ca_fingerprint != bundle.signer.ca_fingerprint &&
      !mayInherit(policy.heirs, record.ca_fingerprint, bundle.signer.ca_fingerprint) &&
      policy.rebind == AdmissionPolicy::Rebind::kNo) {
    return fail(Errc::kDenied, "module id " + manifest.id + " belongs to the CA with fingerprint " +
                                   record.ca_fingerprint + ", not to " + bundle.signer.ca_subject +
                                   "; a local operator may --rebind it");
  }
  if (policy.counter == AdmissionPolicy::Counter::kAnyCounter) return {};
  const std::uint64_t floor = std::max(record.floor, record.revoked_below);
  if (manifest.counter < floor) {
    return fail(Errc::kDowngrade, "bundle of " + manifest.id + " " + manifest.version +
                                      " is a downgrade: counter " +
                                      std::to_string(manifest.counter) + ", at least " +
                                      std::to_string(floor) + " is required here");
  }
  return {};
}

Result<BaseForm> BundleStore::base(const std::string& digest) const {
  KANTE_TRY(bundle, find(digest));
  KANTE_TRY(folder,
            openAt(directory_.get(), folderFor(digest), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return BaseForm::open(std::move(folder), digest, bundle.manifest, hostMachine());
}

Result<FileDescriptor> BundleStore::madeBy(FileDescriptor delta) const {
  KANTE_TRY(head, readDelta(delta.get()));
  const auto from = base(head.base);
  if (!from) return within("delta cannot be applied", from.error());
  KANTE_TRY(made, unnamedFile(directory_.get(), "."));
  KANTE_CHECK(applyDelta(delta.get(), *from, made.get(), [] { return true; }));
  return made;
}

Result<AdmittedBundle> BundleStore::admit(int fd, const AdmissionPolicy& policy) {
  KANTE_TRY(copy, copyOf(fd, directory_.get()));
  if (isDelta(copy.get())) {
    KANTE_TRY(made, madeBy(std::move(copy)));
    copy = std::move(made);
  }
  const std::string staged = kStagedPrefix + toHex(randomBytes(8));
  if (::mkdirat(directory_.get(), staged.c_str(), 0700) != 0) return failErrno("bundle store");
  auto admitted = [&]() -> Result<AdmittedBundle> {
    KANTE_TRY(folder, openAt(directory_.get(), staged, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    StagingSink sink(folder.get(), policy.machine);
    KANTE_TRY(bundle, verifyBundle(copy.get(), policy, sink));
    const Manifest& manifest = bundle.manifest;
    if (manifest.kind == Manifest::Kind::kModule && manifest.libFor(policy.machine) == nullptr) {
      return fail(Errc::kUnsupported,
                  "bundle of " + manifest.id + " has no library for " + name(policy.machine));
    }
    if (manifest.kind == Manifest::Kind::kHost) {
      KANTE_CHECK(checkHostBundle(manifest));
      KANTE_CHECK(checkHostMachine(manifest, policy.machine));
      KANTE_CHECK(makeHostRunnable(folder.get(), manifest, policy.machine));
    }
    KANTE_CHECK(checkId(bundle, policy));
    KANTE_TRY(frame, readFrame(FrameKind::kBundle, copy.get()));
    KANTE_TRY(text, readFile(folder.get(), "manifest.json", kManifestBytesMax));
    KANTE_CHECK(replaceFile(folder.get(), kRecordName,
                            recordText(bundle, frame.signature, toHex(sha256(text)))));
    KANTE_CHECK(sink.sync());
    KANTE_CHECK(bindId(bundle));
    KANTE_CHECK(install(bundle, staged));
    return bundle;
  }();
  if (admitted.has_error()) (void)removeTree(directory_.get(), staged);  // Else at the next start.
  if (admitted && policy.admitted) policy.admitted(admitted->signer);
  return admitted;
}

// Before the bundle appears: an id bound without a bundle harms nobody, the other way round would.
Status BundleStore::bindId(const AdmittedBundle& bundle) {
  auto ids = ids_;
  IdRecord& record = ids[bundle.manifest.id];
  if (record.ca_fingerprint == bundle.signer.ca_fingerprint) return {};
  record.ca_fingerprint = bundle.signer.ca_fingerprint;
  return replaceIds(std::move(ids));
}

// One rename makes the bundle appear, or replaces an earlier admission of the same one.
Status BundleStore::install(const AdmittedBundle& bundle, const std::string& staged) const {
  const std::string folder = folderFor(bundle.digest);
  const int at = directory_.get();
  if (::renameat(at, staged.c_str(), at, folder.c_str()) != 0) {
    if (errno != EEXIST && errno != ENOTEMPTY) return failErrno("bundle store");
    if (::renameat2(at, staged.c_str(), at, folder.c_str(), RENAME_EXCHANGE) != 0) {
      return failErrno("bundle store cannot replace " + bundle.digest);
    }
    (void)removeTree(at, staged);  // Else at the next start.
  }
  if (::fsync(at) != 0) return failErrno("bundle store");
  return {};
}

Result<AdmittedBundle> BundleStore::find(const std::string& digest) const {
  KANTE_TRY(folder, existingFolder(directory_.get(), digest));
  auto bundle = readBundle(directory_.get(), folder);
  if (bundle.has_error()) return within(digest, bundle.error());
  return bundle;
}

std::vector<std::string> BundleStore::list() const {
  std::vector<std::string> digests;
  auto names = namesIn(directory_.get());
  if (names.has_error()) return digests;
  for (const std::string& name : *names) {
    const std::string digest =
        name.starts_with("sha256-") ? "sha256:" + name.substr(7) : std::string();
    if (!folderFor(digest).empty()) digests.push_back(digest);
  }
  std::sort(digests.begin(), digests.end());
  return digests;
}

Result<ModuleBytes> BundleStore::load(const std::string& digest, LoadFor where) const {
  KANTE_TRY(bundle, find(digest));
  Manifest& manifest = bundle.manifest;
  const auto id = ids_.find(manifest.id);
  if (id != ids_.end() && manifest.counter < id->second.revoked_below) {
    return fail(Errc::kRevoked, "bundle of " + manifest.id + " " + manifest.version +
                                    " was revoked by a later one: counter " +
                                    std::to_string(manifest.counter) + " is below " +
                                    std::to_string(id->second.revoked_below));
  }
  const std::string* library = manifest.libFor(hostMachine());
  if (library == nullptr) {
    return fail(Errc::kUnsupported,
                "bundle of " + manifest.id + " has no library for " + name(hostMachine()));
  }
  KANTE_TRY(folder,
            openAt(directory_.get(), folderFor(digest), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  LintPolicy lint;
  if (where == LoadFor::kSandbox) lint.libraries = manifest.libraries;
  KANTE_TRY(sealed, sealedCopy(folder.get(), *library, manifest, lint));
  ModuleBytes bytes;
  bytes.sealed = std::move(sealed);
  if (auto data = openAt(folder.get(), "data", O_PATH | O_DIRECTORY | O_NOFOLLOW))
    bytes.data = std::move(*data);
  bytes.manifest = std::move(manifest);
  bytes.digest = digest;
  return bytes;
}

Result<Signer> BundleStore::judgeAgain(const std::string& digest, const TrustStore& trust,
                                       const JudgementTime& time) const {
  KANTE_TRY(name, existingFolder(directory_.get(), digest));
  KANTE_TRY(folder, openAt(directory_.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  KANTE_TRY(record, readRecord(folder.get()));
  KANTE_TRY(signature, Signature::parse(record.signature));
  return signature.judge(trust, SignerUse::kBundles, time);
}

// Renamed first: after a crash it is gone or whole, never half.
Status BundleStore::remove(const std::string& digest) {
  KANTE_TRY(folder, existingFolder(directory_.get(), digest));
  const std::string leaving = kStagedPrefix + toHex(randomBytes(8));
  if (::renameat(directory_.get(), folder.c_str(), directory_.get(), leaving.c_str()) != 0)
    return failErrno(digest);
  return removeTree(directory_.get(), leaving);
}

Result<std::size_t> BundleStore::removeAllBut(const std::set<std::string>& keep) {
  std::size_t removed = 0;
  for (const std::string& digest : list()) {
    if (keep.contains(digest)) continue;
    KANTE_CHECK(remove(digest));
    ++removed;
  }
  return removed;
}

Status BundleStore::commitCounter(const std::string& digest) {
  KANTE_TRY(bundle, find(digest));
  auto ids = ids_;
  IdRecord& record = ids[bundle.manifest.id];
  const IdRecord before = record;
  if (record.ca_fingerprint.empty()) record.ca_fingerprint = bundle.signer.ca_fingerprint;
  record.floor = std::max(record.floor, bundle.manifest.counter);
  record.revoked_below = std::max(record.revoked_below, bundle.manifest.revokes);
  if (record.floor == before.floor && record.revoked_below == before.revoked_below) return {};
  return replaceIds(std::move(ids));
}

std::uint64_t BundleStore::counterFloor(const std::string& id) const {
  const auto known = ids_.find(id);
  return known == ids_.end() ? 0 : std::max(known->second.floor, known->second.revoked_below);
}

}  // namespace kante
