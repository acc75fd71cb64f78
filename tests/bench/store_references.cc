#include <fcntl.h>
#include <lmdb.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tests/bench/store_bench.h"

namespace kante::bench {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

void must(bool done, const char* what) {
  if (done) return;
  std::perror(what);
  std::exit(1);
}

FileDescriptor allocated(const std::string& path, std::uint64_t bytes) {
  FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  must(fd.get() >= 0, path.c_str());
  must(::posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes)) == 0, path.c_str());
  return fd;
}

// As the store opens it: no lock file, no second mapping, the file allocated.
class RawLmdb final : public Keeper {
 public:
  RawLmdb(const std::string& directory, std::uint64_t map_bytes) {
    for (int pass = 0; pass < 2; ++pass) {  // An empty environment first, then allocated.
      must(mdb_env_create(&env_) == 0, "mdb_env_create");
      must(mdb_env_set_mapsize(env_, map_bytes) == 0, "mdb_env_set_mapsize");
      must(mdb_env_set_maxdbs(env_, 1) == 0, "mdb_env_set_maxdbs");
      must(mdb_env_open(env_, directory.c_str(), MDB_NOLOCK | MDB_NOTLS | MDB_NORDAHEAD, 0600) == 0,
           "mdb_env_open");
      if (pass > 0) break;
      mdb_env_close(env_);
      allocated(directory + "/data.mdb", map_bytes);
    }
    MDB_txn* txn = begin();
    must(mdb_dbi_open(txn, "entries", MDB_CREATE, &table_) == 0, "mdb_dbi_open");
    must(mdb_txn_commit(txn) == 0, "mdb_txn_commit");
  }
  ~RawLmdb() override { mdb_env_close(env_); }

  Rates round(std::size_t group, std::size_t bytes) override {
    Rates rates;
    record_.resize(bytes);
    std::uint64_t messages = 0;
    auto began = Clock::now();
    for (; since(began) < kRoundSeconds; messages += group) put(group);
    rates.in = static_cast<double>(messages) / since(began);
    began = Clock::now();
    for (std::uint64_t left = messages; left > 0; left -= std::min<std::uint64_t>(left, group)) {
      take(group);
    }
    rates.out = static_cast<double>(messages) / since(began);
    return rates;
  }
  void one(std::size_t bytes) override {
    record_.resize(bytes);
    put(1);
  }

 private:
  MDB_txn* begin() {
    MDB_txn* txn = nullptr;
    must(mdb_txn_begin(env_, nullptr, 0, &txn) == 0, "mdb_txn_begin");
    return txn;
  }
  void put(std::size_t count) {
    MDB_txn* txn = begin();
    for (std::size_t i = 0; i < count; ++i) {
      unsigned char key[13] = {};
      ++position_;
      for (int byte = 0; byte < 8; ++byte) {
        key[12 - byte] = static_cast<unsigned char>(position_ >> (8 * byte));
      }
      MDB_val k{sizeof key, key}, v{record_.size(), record_.data()};
      must(mdb_put(txn, table_, &k, &v, 0) == 0, "mdb_put");
    }
    must(mdb_txn_commit(txn) == 0, "mdb_txn_commit");
  }
  void take(std::size_t count) {
    MDB_txn* txn = begin();
    MDB_cursor* cursor = nullptr;
    must(mdb_cursor_open(txn, table_, &cursor) == 0, "mdb_cursor_open");
    MDB_val k{}, v{};
    copy_.clear();
    for (std::size_t i = 0; i < count && mdb_cursor_get(cursor, &k, &v, MDB_FIRST) == 0; ++i) {
      copy_.append(static_cast<const char*>(v.mv_data), v.mv_size);
      must(mdb_cursor_del(cursor, 0) == 0, "mdb_cursor_del");
    }
    mdb_cursor_close(cursor);
    must(mdb_txn_commit(txn) == 0, "mdb_txn_commit");
  }

  MDB_env* env_ = nullptr;
  MDB_dbi table_ = 0;
  std::uint64_t position_ = 0;
  std::string record_;
  std::string copy_;
};

class AppendedFile final : public Keeper {
 public:
  AppendedFile(const std::string& directory, std::uint64_t file_bytes)
      : file_(allocated(directory + "/log", file_bytes)), file_bytes_(file_bytes) {}

  Rates round(std::size_t group, std::size_t bytes) override {
    std::uint64_t messages = 0;
    const auto began = Clock::now();
    for (; since(began) < kRoundSeconds; messages += group) append(group * bytes);
    return {static_cast<double>(messages) / since(began), 0};
  }
  void one(std::size_t bytes) override { append(bytes); }

 private:
  void append(std::size_t bytes) {
    buffer_.resize(bytes);
    if (at_ + bytes > file_bytes_) at_ = 0;
    must(::pwrite(file_.get(), buffer_.data(), bytes, static_cast<off_t>(at_)) ==
             static_cast<ssize_t>(bytes),
         "pwrite");
    must(::fdatasync(file_.get()) == 0, "fdatasync");
    at_ += bytes;
  }

  FileDescriptor file_;
  const std::uint64_t file_bytes_;
  std::uint64_t at_ = 0;
  std::string buffer_;
};

}  // namespace

std::unique_ptr<Keeper> rawLmdb(const std::string& directory, std::uint64_t map_bytes) {
  return std::make_unique<RawLmdb>(directory, map_bytes);
}

std::unique_ptr<Keeper> appendedFile(const std::string& directory, std::uint64_t file_bytes) {
  return std::make_unique<AppendedFile>(directory, file_bytes);
}

std::uint64_t writtenBytes() {
  std::FILE* file = std::fopen("/proc/self/io", "re");
  must(file != nullptr, "/proc/self/io");
  char line[128];
  unsigned long long bytes = 0;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::sscanf(line, "write_bytes: %llu", &bytes) == 1) break;
  }
  std::fclose(file);
  return bytes;
}

}  // namespace kante::bench
