#include "host/cli/host_versions.h"

#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "host/bundle/host_bundle.h"
#include "host/bundle/tree.h"
#include "sandbox/wire/update.h"

namespace kante::cli {
namespace {

constexpr std::size_t kLineBytesMax = 4096;
constexpr const char* kBundles = "bundles/sha256-";

std::string lineOf(int dir_fd, const std::string& name) {
  const auto text = readFile(dir_fd, name, kLineBytesMax);
  return text ? text->substr(0, text->find('\n')) : std::string();
}

std::string bundleOf(const std::string& folder) { return folder.substr(0, folder.find("/data/")); }

// "bundles/sha256-HEX/data/bin/ARCH" of this machine, and a manifest that says so.
Result<HostVersion> versionIn(int data_dir_fd, const std::string& folder) {
  const std::string bundle = bundleOf(folder);
  if (!folder.starts_with(kBundles) || folder != bundle + "/" + hostFolder(hostMachine()))
    return fail(Errc::kCorrupt, folder + " is no folder of a host for this machine");
  KANTE_TRY(text, readFile(data_dir_fd, bundle + "/manifest.json", kManifestBytesMax));
  KANTE_TRY(manifest, parseManifest(text));
  if (manifest.kind != Manifest::Kind::kHost)
    return fail(Errc::kInvalid, manifest.id + " is a module, not a host");
  return HostVersion{"sha256:" + bundle.substr(std::string(kBundles).size()), folder, manifest.id,
                     manifest.version, manifest.counter};
}

std::string ownFolder() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string self(path, size > 0 ? static_cast<std::size_t>(size) : 0);
  return self.substr(0, self.rfind('/'));
}

std::string realPath(const std::string& path) {
  char out[PATH_MAX];
  return ::realpath(path.c_str(), out) == nullptr ? std::string() : std::string(out);
}

std::string inHost(const char* name) { return std::string(kUpdateFolder) + "/" + name; }

bool isOwnFolder(const std::string& data_dir, const std::string& folder) {
  return !folder.empty() && realPath(data_dir + "/" + folder) == ownFolder();
}

// Of "FOLDER SECONDS".
std::string trialFolder(const std::string& line) { return line.substr(0, line.rfind(' ')); }

}  // namespace

Result<std::optional<HostVersion>> committedHost(const std::string& data_dir) {
  const auto home = openDirectory(data_dir);
  if (!home) return std::optional<HostVersion>();  // Before the first start.
  const std::string folder = lineOf(home->get(), inHost(kUpdateCurrent));
  if (folder.empty()) return std::optional<HostVersion>();
  KANTE_TRY(version, versionIn(home->get(), folder));
  const auto installed = counterOf(KANTE_VERSION);
  if (installed && *installed > version.counter) return std::optional<HostVersion>();
  KANTE_TRY(bundle, openAt(home->get(), bundleOf(folder), O_RDONLY | O_DIRECTORY));
  KANTE_TRY(text, readFile(bundle.get(), "manifest.json", kManifestBytesMax));
  KANTE_TRY(manifest, parseManifest(text));
  KANTE_CHECK(checkHostPrograms(bundle.get(), manifest, hostMachine()));
  return std::optional<HostVersion>(std::move(version));
}

void noteFailedTrial(const std::string& data_dir, const Error& error) {
  const auto home = openDirectory(data_dir + "/" + kUpdateFolder);
  if (!home) return;
  const std::string trial = trialFolder(lineOf(home->get(), kUpdateTrial));
  if (!isOwnFolder(data_dir, trial) || trial == lineOf(home->get(), kUpdateCurrent) ||
      !lineOf(home->get(), kUpdateReason).empty())
    return;
  // Else its exit code has to do.
  (void)replaceFile(home->get(), kUpdateReason, error.text.substr(0, error.text.find('\n')) + "\n");
}

Result<HostVersions> HostVersions::open(int data_dir_fd, const std::string& data_dir) {
  KANTE_TRY(home, openAt(data_dir_fd, ".", O_RDONLY | O_DIRECTORY));
  if (::mkdirat(data_dir_fd, kUpdateFolder, 0700) != 0 && errno != EEXIST)
    return failErrno(kUpdateFolder);
  KANTE_TRY(folder, openAt(data_dir_fd, kUpdateFolder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  // What a write was cut off in leaves.
  KANTE_TRY(names, namesIn(folder.get()));
  for (const std::string& name : names)
    if (name.find(".new") != std::string::npos) (void)::unlinkat(folder.get(), name.c_str(), 0);
  HostVersions out(std::move(home), std::move(folder));
  const std::string current = out.line(kUpdateCurrent);
  const std::string trial = trialFolder(out.line(kUpdateTrial));
  out.on_trial_ = isOwnFolder(data_dir, trial) && trial != current;
  if (out.on_trial_ || isOwnFolder(data_dir, current)) {
    KANTE_TRY(version, versionIn(data_dir_fd, out.on_trial_ ? trial : current));
    out.own_ = std::move(version);
  }
  return out;
}

std::string HostVersions::line(const char* name) const { return lineOf(folder_.get(), name); }

Status HostVersions::remove(const char* name) const {
  if (::unlinkat(folder_.get(), name, 0) != 0 && errno != ENOENT) return failErrno(inHost(name));
  return {};
}

Result<HostVersion> HostVersions::find(const std::string& digest) const {
  const std::string hex = digest.substr(digest.find(':') + 1);
  return versionIn(data_dir_.get(), kBundles + hex + "/" + hostFolder(hostMachine()));
}

std::set<std::string> HostVersions::digests() const {
  std::set<std::string> out;
  for (const char* name : {kUpdateCurrent, kUpdateTrial}) {
    const std::string bundle = bundleOf(line(name));
    if (bundle.starts_with(kBundles))
      out.insert("sha256:" + bundle.substr(std::string(kBundles).size()));
  }
  return out;
}

Status HostVersions::beginTrial(const HostVersion& version, std::uint32_t seconds) const {
  KANTE_CHECK(remove(kUpdateReason));
  return replaceFile(folder_.get(), kUpdateTrial,
                     version.folder + " " + std::to_string(seconds) + "\n");
}

Status HostVersions::cancelTrial() const { return remove(kUpdateTrial); }

Status HostVersions::commit() {
  const Status written = replaceFile(folder_.get(), kUpdateCurrent, own_->folder + "\n");
  // What is there holds at the next start, so it holds now, though its sync has failed.
  if (!written && line(kUpdateCurrent) != own_->folder) return written;
  on_trial_ = false;
  return remove(kUpdateTrial);
}

Status HostVersions::giveUp(const std::string& reason) const {
  return replaceFile(folder_.get(), kUpdateReason, reason.substr(0, reason.find('\n')) + "\n");
}

std::optional<HostVersions::Failure> HostVersions::takeFailure() {
  if (on_trial_) return std::nullopt;
  std::string failed = line(kUpdateFailed);
  // One that holds and was cut off before it could say so is none.
  const std::string folder = trialFolder(line(kUpdateTrial));
  if (failed.empty() && !folder.empty() && folder != line(kUpdateCurrent))
    failed = folder + " the gateway ended before it was healthy";
  for (const char* name : {kUpdateTrial, kUpdateFailed, kUpdateReason}) (void)remove(name);
  const auto space = failed.find(' ');
  if (space == std::string::npos) return std::nullopt;
  Failure out{{"", failed.substr(0, space), "", "", 0}, failed.substr(space + 1)};
  if (auto version = versionIn(data_dir_.get(), out.version.folder)) out.version = *version;
  return out;
}

}  // namespace kante::cli
