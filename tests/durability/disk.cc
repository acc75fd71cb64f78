#include "tests/durability/disk.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>

namespace kante::durability {
namespace {

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "durability: disk: %s\n", what.c_str());
  std::exit(1);
}

double fraction(Random& random) { return std::uniform_real_distribution<double>(0, 1)(random); }

std::string folderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

Disk::Disk(const std::string& root, const std::string& folder, std::uint32_t flags)
    : log_path_(folder + "/disk.log"), stash_(folder + "/stash") {
  std::filesystem::create_directories(stash_);
  const int fd = ::open(log_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(kDiskLogBytes)) != 0) die(log_path_);
  void* map = ::mmap(nullptr, kDiskLogBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (map == MAP_FAILED) die(log_path_ + " cannot be mapped");
  log_ = new (map) DiskLog;
  log_->flags = flags;
  std::snprintf(log_->root, sizeof log_->root, "%s", root.c_str());
  std::snprintf(log_->stash, sizeof log_->stash, "%s", stash_.c_str());
}

Disk::~Disk() { ::munmap(log_, kDiskLogBytes); }

void Disk::arm(CutPlan plan) {
  log_->used.store(0);
  log_->files.store(0);
  log_->stashed.store(0);
  log_->boundaries.store(0);
  log_->cut_now.store(0);
  log_->cut.store(0);
  log_->cut_after = plan.after ? 1 : 0;
  log_->cut_at.store(plan.boundary);
}

void Disk::cutNow() { log_->cut_now.store(1); }

void Disk::read(std::map<std::uint32_t, File>& files, std::vector<Rename>& renames) const {
  const auto* records = reinterpret_cast<const std::uint8_t*>(log_) + kDiskRecordsAt;
  const std::uint64_t used = log_->used.load(std::memory_order_acquire);
  for (std::uint64_t at = 0; at < used;) {
    DiskRecord record;
    std::memcpy(&record, records + at, sizeof record);
    const auto* content = reinterpret_cast<const char*>(records + at + sizeof record);
    at += sizeof record + record.length;
    switch (record.event) {
      case DiskEvent::kWrite: {
        File& file = files[record.file];
        if (!file.resized) file.durable_size = record.size;
        file.resized = true;
        for (std::uint64_t done = 0; done < record.length; done += kSectorBytes) {
          file.sectors[record.offset + done].versions.emplace_back(content + done, kSectorBytes);
        }
        break;
      }
      case DiskEvent::kDurable: {
        File& file = files[record.file];
        const std::uint64_t end = record.offset + record.size;
        const std::uint64_t first = record.offset / kSectorBytes * kSectorBytes;
        file.sectors.erase(file.sectors.lower_bound(first), file.sectors.lower_bound(end));
        file.durable_size = std::max(file.durable_size, end);
        break;
      }
      case DiskEvent::kSync: files.erase(record.file); break;
      case DiskEvent::kRename: {
        const std::string stash = stash_ + "/" + std::to_string(record.stash);
        renames.push_back({log_->file[record.file].path, log_->file[record.other].path,
                           record.stash == 0 ? "" : stash});
        break;
      }
      case DiskEvent::kFolderSync: {
        const std::string folder = log_->file[record.file].path;
        std::erase_if(renames, [&](const Rename& name) { return folderOf(name.to) == folder; });
        break;
      }
    }
  }
}

// The last few that no sync of their folder made durable, from the last backwards.
void Disk::undoRenames(std::vector<Rename>& renames, Random& random, CutResult& result) const {
  const double how = fraction(random);
  std::size_t undo = how < 0.4 ? 0 : renames.size();
  if (how > 0.8 && !renames.empty()) undo = random() % (renames.size() + 1);
  for (; undo > 0; --undo) {
    const Rename name = renames.back();
    renames.pop_back();
    if (::rename(name.to.c_str(), name.from.c_str()) != 0) continue;  // It had not happened yet.
    if (!name.stash.empty() && ::link(name.stash.c_str(), name.to.c_str()) != 0) die(name.stash);
    ++result.renames_undone;
  }
}

void Disk::damage(const DiskFile& name, const File& file, double survives, Random& random,
                  CutResult& result) const {
  if (file.sectors.empty() && !file.resized) return;
  const int fd = ::open(name.path, O_RDWR | O_CLOEXEC);
  struct stat now {};
  if (fd < 0 || ::fstat(fd, &now) != 0 || now.st_ino != name.inode) {
    ++result.unresolved;
    if (fd >= 0) ::close(fd);
    return;
  }
  const auto size = static_cast<std::uint64_t>(now.st_size);
  for (const auto& [offset, sector] : file.sectors) {
    ++result.sectors;
    if (fraction(random) < survives) continue;
    const std::string& old = sector.versions[random() % sector.versions.size()];
    const std::uint64_t end = std::max(size, file.durable_size);
    if (offset >= end) continue;
    const std::uint64_t length = std::min(kSectorBytes, end - offset);
    if (::pwrite(fd, old.data(), length, static_cast<off_t>(offset)) < 0) die(name.path);
    ++result.sectors_lost;
  }
  // What made it longer may be lost, too.
  if (file.resized && size > file.durable_size && fraction(random) >= survives &&
      ::ftruncate(fd, static_cast<off_t>(file.durable_size)) != 0) {
    die(name.path);
  }
  ::close(fd);
}

CutResult Disk::settle(Random& random) {
  CutResult result;
  result.by_shim = log_->cut.load() == 1;
  result.boundaries = log_->boundaries.load();
  std::map<std::uint32_t, File> files;
  std::vector<Rename> renames;
  read(files, renames);
  constexpr std::array<double, 6> kSurvives{0.0, 0.0, 0.1, 0.5, 0.9, 1.0};
  const double survives = kSurvives[random() % kSurvives.size()];
  for (const auto& [number, file] : files)
    damage(log_->file[number], file, survives, random, result);
  undoRenames(renames, random, result);
  clearStash();
  return result;
}

void Disk::clearStash() const {
  for (std::uint32_t i = 1; i <= log_->stashed.load(); ++i) {
    ::unlink((stash_ + "/" + std::to_string(i)).c_str());
  }
}

}  // namespace kante::durability
