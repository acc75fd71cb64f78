#include "host/store/environment.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <utility>

#include "host/store/page_check.h"

namespace kante {
namespace {

constexpr char kDataFile[] = "data.mdb";
constexpr char kNewDataFile[] = "data.mdb.new";
constexpr unsigned kFlags = MDB_NOLOCK | MDB_NOTLS | MDB_NORDAHEAD | MDB_NOSUBDIR;
constexpr std::uint64_t kFirstMapBytes = 1u << 20;

// Renames the directory to .broken-N, N one more than the last, and keeps the newest few.
Result<std::string> setAside(const std::string& directory) {
  const std::filesystem::path path(directory);
  const std::string prefix = path.filename().string() + ".broken-";
  std::set<unsigned long> numbers;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path.parent_path(), error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    numbers.insert(std::strtoul(name.c_str() + prefix.size(), nullptr, 10));
  }
  const unsigned long next = numbers.empty() ? 1 : *numbers.rbegin() + 1;
  for (; numbers.size() >= Environment::kBrokenKept; numbers.erase(numbers.begin())) {
    std::filesystem::remove_all(directory + ".broken-" + std::to_string(*numbers.begin()), error);
  }
  const std::string aside = directory + ".broken-" + std::to_string(next);
  if (::rename(directory.c_str(), aside.c_str()) != 0) return failErrno(directory);
  return aside;
}

bool isBroken(const Error& error) { return error.code == Errc::kCorrupt; }

}  // namespace

bool isFull(int rc) {
  return rc == MDB_MAP_FULL || rc == MDB_TXN_FULL || rc == ENOSPC || rc == EDQUOT || rc == EFBIG;
}

bool Environment::noRoom(int rc) const {
  struct statvfs disk {};
  if (rc != EIO || ::fstatvfs(dir_.get(), &disk) != 0) return isFull(rc);
  return disk.f_bavail < kRoomBytesMin / std::max<unsigned long>(disk.f_frsize, 1);
}

Error lmdbError(const std::string& what, int rc) {
  const std::string text = what + ": " + mdb_strerror(rc);
  switch (rc) {
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT: return fail(Errc::kLimit, text);
    case MDB_CORRUPTED:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_PAGE_NOTFOUND:
    case MDB_INCOMPATIBLE: return fail(Errc::kCorrupt, text);
    default: return fail(Errc::kIo, text);
  }
}

Result<Environment::Opened> Environment::open(const std::string& directory, std::uint64_t max_bytes,
                                              const Load& load) {
  Opened opened;
  for (int attempt = 0;; ++attempt) {
    opened.environment.reset(new Environment(directory, max_bytes));
    const Status status = opened.environment->openAll(load);
    if (!status.has_error()) return opened;
    if (!isBroken(status.error()) || attempt > 0)
      return within("store " + directory, status.error());
    opened.why = status.error().text;
    opened.environment.reset();
    KANTE_TRY(aside, setAside(directory));
    opened.set_aside = std::move(aside);
  }
}

Environment::~Environment() { close(); }

void Environment::close() {
  if (env_ != nullptr) mdb_env_close(env_);
  env_ = nullptr;
  map_ = nullptr;
}

Status Environment::openAll(const Load& load) {
  KANTE_TRY(dir, makeDirectory(directory_));
  dir_ = std::move(dir);
  if (::flock(dir_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return failErrno(directory_);
    return fail(Errc::kState, directory_ + ": held by another process");
  }
  KANTE_CHECK(create());
  KANTE_CHECK(allocate());
  return reopen(load);
}

Status Environment::reopen(const Load& load) {
  close();
  KANTE_TRY(data, openAt(dir_.get(), kDataFile, O_RDONLY));
  KANTE_CHECK(checkPages(data.get()));
  KANTE_CHECK(openMap(kDataFile));
  return openTables(load);
}

// An empty environment must exist before its file is allocated: LMDB takes a file of zeros for
// damage.  LMDB does not sync what it begins with; so the file gets its name when that is on disk,
// and a power cut before leaves no store instead of a broken one.
Status Environment::create() {
  struct stat file {};
  if (::fstatat(dir_.get(), kDataFile, &file, 0) == 0 && file.st_size > 0) return {};
  if (::unlinkat(dir_.get(), kNewDataFile, 0) != 0 && errno != ENOENT) return failErrno(directory_);
  map_bytes_ = kFirstMapBytes;
  KANTE_CHECK(openMap(kNewDataFile));
  close();
  KANTE_TRY(made, openAt(dir_.get(), kNewDataFile, O_RDWR));
  if (::fsync(made.get()) != 0 ||
      ::renameat(dir_.get(), kNewDataFile, dir_.get(), kDataFile) != 0 ||
      ::fsync(dir_.get()) != 0) {
    return failErrno(directory_);
  }
  return {};
}

Status Environment::allocate() {
  KANTE_TRY(data, openAt(dir_.get(), kDataFile, O_RDWR));
  struct stat file {};
  struct statvfs disk {};
  if (::fstat(data.get(), &file) != 0 || ::fstatvfs(data.get(), &disk) != 0) {
    return failErrno(directory_);
  }
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto allocated = static_cast<std::uint64_t>(file.st_blocks) * 512;
  const std::uint64_t half_free = disk.f_bavail * disk.f_frsize / 2;
  const std::uint64_t wanted = 2 * max_bytes_ + kSlackBytes;
  map_bytes_ = std::min(wanted, std::max(allocated, kFirstMapBytes) + half_free);
  for (;; map_bytes_ /= 2) {
    map_bytes_ -= map_bytes_ % page;
    // Not posix_fallocate(): where the file system cannot, that would write every block.  There a
    // full disk shows in write(), which LMDB uses for its pages, as an error and not as a signal.
    if (::fallocate(data.get(), 0, 0, static_cast<off_t>(map_bytes_)) == 0) break;
    if (errno == EINTR) continue;
    if (errno == EOPNOTSUPP || errno == ENOSYS) break;
    if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG) return failErrno(directory_);
    if (map_bytes_ <= kFirstMapBytes) break;
  }
  map_bytes_ = std::max(map_bytes_, kFirstMapBytes);
  if (map_bytes_ < wanted) {
    max_bytes_ = map_bytes_ > kSlackBytes ? (map_bytes_ - kSlackBytes) / 2 : map_bytes_ / 8;
  }
  return {};
}

Status Environment::openMap(const char* name) {
  int rc = mdb_env_create(&env_);
  if (rc != 0) return lmdbError(directory_, rc);
  rc = mdb_env_set_mapsize(env_, map_bytes_);
  if (rc == 0) rc = mdb_env_set_maxdbs(env_, 8);
  if (rc == 0) rc = mdb_env_open(env_, (directory_ + "/" + name).c_str(), kFlags, 0600);
  if (rc == 0) {
    int file = -1;  // LMDB leaves this one open over an exec.
    if (mdb_env_get_fd(env_, &file) == 0) (void)::fcntl(file, F_SETFD, FD_CLOEXEC);
    findMap();
    return {};
  }
  close();
  return lmdbError(directory_, rc);
}

// LMDB does not tell where its map is; the kernel does.
void Environment::findMap() {
  map_ = nullptr;
  struct stat file {};
  if (::fstatat(dir_.get(), kDataFile, &file, 0) != 0) return;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long first = 0, end = 0, inode = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %*s %*s %*s %lu", &first, &end, &inode) != 3) continue;
    if (inode != file.st_ino || !line.ends_with(kDataFile)) continue;
    map_ = reinterpret_cast<void*>(first);
    mapped_bytes_ = end - first;
    return;
  }
}

void Environment::releasePages() {
  // A shared mapping of a file: what is dropped here is read again when it is needed.
  if (map_ != nullptr) ::madvise(map_, mapped_bytes_, MADV_DONTNEED);
}

Status Environment::openTables(const Load& load) {
  Transaction txn(env_, tables_);
  const std::array<std::pair<const char*, MDB_dbi*>, 6> names{{{"root", &tables_.root},
                                                               {"queues", &tables_.queues},
                                                               {"entries", &tables_.entries},
                                                               {"numbers", &tables_.numbers},
                                                               {"expiry", &tables_.expiry},
                                                               {"areas", &tables_.areas}}};
  for (const auto& [table, dbi] : names) {
    if (!txn.failed()) txn.note(mdb_dbi_open(txn.raw(), table, MDB_CREATE, dbi));
  }
  if (txn.failed()) return lmdbError(directory_, txn.error());
  KANTE_CHECK(load(txn));
  if (const int rc = txn.commit(); rc != 0) return lmdbError(directory_, rc);
  return {};
}

}  // namespace kante
