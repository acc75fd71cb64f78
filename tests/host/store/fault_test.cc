// Every write, sync and allocation that the store makes fails once, and from then on, with each
// error that a disk has: nothing that was answered is lost, nothing that was refused is hidden,
// numbers stay what they were, and the service goes on when the disk does.
#include <dlfcn.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <optional>

#include "tests/host/store/store_fixture.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

enum class Fault { kNoSpace, kIo, kReadOnly, kShortWrite };
enum class Lasting { kOnce, kUntilMended };

// Between the store and the kernel, for the whole test program; counts only while it is armed.
struct Disk {
  std::atomic<bool> armed{false};
  std::atomic<int> calls{0};
  std::atomic<int> fail_at{0};
  Fault fault = Fault::kIo;
  Lasting lasting = Lasting::kOnce;

  void arm(int n, Fault what, Lasting how) {
    fault = what;
    lasting = how;
    fail_at = n;
    calls = 0;
    armed = true;
  }
  // Whether the call that was to fail came at all.
  bool mend() {
    armed = false;
    return calls >= fail_at;
  }
  bool failsNow() {
    if (!armed) return false;
    const int call = ++calls;
    return lasting == Lasting::kOnce ? call == fail_at : call >= fail_at;
  }
  int error() const {
    switch (fault) {
      case Fault::kIo: return EIO;
      case Fault::kReadOnly: return EROFS;
      case Fault::kNoSpace:
      case Fault::kShortWrite: break;
    }
    return ENOSPC;
  }
};
Disk disk;

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace
}  // namespace kante

using kante::disk;
using kante::Fault;

// A short write writes half and says so; what is left out is LMDB's to notice.
extern "C" ssize_t pwrite(int fd, const void* bytes, std::size_t size, off_t at) {
  static const auto real = kante::next<ssize_t (*)(int, const void*, std::size_t, off_t)>("pwrite");
  if (!disk.failsNow()) return real(fd, bytes, size, at);
  if (disk.fault == Fault::kShortWrite) return real(fd, bytes, size / 2, at);
  errno = disk.error();
  return -1;
}

extern "C" ssize_t pwrite64(int fd, const void* bytes, std::size_t size, off64_t at) {
  return pwrite(fd, bytes, size, at);
}

extern "C" ssize_t writev(int fd, const iovec* parts, int count) {
  static const auto real = kante::next<ssize_t (*)(int, const iovec*, int)>("writev");
  if (!disk.failsNow()) return real(fd, parts, count);
  if (disk.fault == Fault::kShortWrite) return real(fd, parts, (count + 1) / 2);
  errno = disk.error();
  return -1;
}

extern "C" int fdatasync(int fd) {
  static const auto real = kante::next<int (*)(int)>("fdatasync");
  if (!disk.failsNow()) return real(fd);
  errno = disk.error();
  return -1;
}

extern "C" int fsync(int fd) {
  static const auto real = kante::next<int (*)(int)>("fsync");
  if (!disk.failsNow()) return real(fd);
  errno = disk.error();
  return -1;
}

extern "C" int fallocate(int fd, int mode, off_t at, off_t size) {
  static const auto real = kante::next<int (*)(int, int, off_t, off_t)>("fallocate");
  if (!disk.failsNow()) return real(fd, mode, at, size);
  errno = disk.error();
  return -1;
}

extern "C" int fallocate64(int fd, int mode, off64_t at, off64_t size) {
  return fallocate(fd, mode, at, size);
}

namespace kante {
namespace {

constexpr Fault kFaults[] = {Fault::kNoSpace, Fault::kIo, Fault::kReadOnly, Fault::kShortWrite};
constexpr Lasting kLasting[] = {Lasting::kOnce, Lasting::kUntilMended};

class FaultTest : public StoreTest {
 protected:
  FaultTest() : StoreTest("/dev/shm") {}
  ~FaultTest() override { disk.mend(); }

  Result<std::unique_ptr<Store>> tryOpen() {
    StoreOptions options;
    options.directory = directory();
    options.max_bytes = 4u << 20;
    return Store::open(options, clock_, log_);
  }
  void forget() {
    store_.reset();
    std::filesystem::remove_all(temp_.path());
    std::filesystem::create_directory(temp_.path());
    handed_.clear();
    answers_.clear();
    batch_.reset();
  }

  void offer(DurableQueue& to, const std::string& body) { answers_[body] = put(to, entryOf(body)); }
  void askForMore(DurableQueue& from) {
    from.take(numbered(2), [this](Result<TakenBatch> taken) {
      if (!taken.has_error()) batch_ = std::make_shared<TakenBatch>(std::move(*taken));
    });
    stats(from);  // The end of its group, whatever became of it.
    stats(from);
  }
  void noteHanded(const TakenBatch& batch) {
    for (const TakenMessage& message : batch.messages) {
      const std::string body(message.record.message.body());
      const auto [at, first] = handed_.emplace(body, message.number);
      EXPECT_EQ(at->second, message.number) << body << " has another number than before";
      for (const auto& [other, number] : handed_) {
        EXPECT_TRUE(other == body || number != message.number) << number << " was given twice";
      }
      EXPECT_EQ(batch.lost.size(), 0u);
    }
  }

  // Everything that the store does, some of it on a disk that fails.
  void script() {
    DurableQueue& upstream = *upstream_;
    offer(upstream, "1");
    offer(upstream, "2");
    askForMore(upstream);
    offer(upstream, "3");
    if (batch_) {
      noteHanded(*batch_);
      upstream.acknowledge({batch_->messages[0].token});
      acknowledged_ = batch_->messages[0].record.message.body();
    }
    kept_ = !store_->keyValue().put("area", "key", "value").has_error();
    offer(upstream, "4");
  }

  void expectServiceGoesOn() {
    DurableQueue& upstream = *upstream_;
    answers_["after"] = CommitResult::kFailed;
    for (int i = 0; i < 5 && answers_["after"] != CommitResult::kCommitted; ++i) {
      clock_.advance(1'100'000'000);
      offer(upstream, "after");
    }
    EXPECT_EQ(answers_["after"], CommitResult::kCommitted);
    clock_.advance(1'100'000'000);
    stats(upstream);  // What was to be done again, is.
    EXPECT_FALSE(store_->status().failing) << store_->status().failure;
    EXPECT_EQ(store_->status().failure, "");
  }

  void expectWhatWasAnswered() {
    const std::string epoch = store_->epoch();
    open();
    EXPECT_EQ(store_->status().set_aside, "");
    EXPECT_EQ(store_->epoch(), epoch);
    std::map<std::string, int> found;
    DurableQueue& upstream = queue();
    std::uint64_t left = upstream.messages();
    while (left > 0) {
      const TakenBatch batch = take(upstream, numbered());
      noteHanded(batch);
      for (const std::string& body : bodies(batch)) ++found[body];
      ASSERT_FALSE(batch.messages.empty());
      left -= batch.messages.size();
    }
    for (const auto& [body, answer] : answers_) {
      if (answer == CommitResult::kCommitted && body != acknowledged_) {
        EXPECT_GE(found[body], 1) << body << " was answered and is gone";
      }
    }
    for (const auto& [body, count] : found) EXPECT_LE(count, 1) << body;
    EXPECT_EQ(found.count(acknowledged_), 0u) << "it was acknowledged, and the disk was mended";
    if (kept_) {
      EXPECT_EQ(**store_->keyValue().get("area", "key"), "value");
    }
  }

  std::map<std::string, CommitResult> answers_;
  std::map<std::string, std::uint64_t> handed_;
  std::shared_ptr<TakenBatch> batch_;  // Shared by the callback and the script.
  std::string acknowledged_;
  bool kept_ = false;
  DurableQueue* upstream_ = nullptr;
};

TEST_F(FaultTest, NoFailureOfTheDiskLosesWhatWasAnsweredOrStopsTheService) {
  for (const Fault fault : kFaults) {
    for (const Lasting lasting : kLasting) {
      bool failed = true;
      int n = 1;
      for (; failed; ++n) {
        SCOPED_TRACE("fault " + std::to_string(static_cast<int>(fault)) + ", lasting " +
                     std::to_string(static_cast<int>(lasting)) + ", call " + std::to_string(n));
        forget();
        acknowledged_.clear();
        open();
        upstream_ = &queue();
        disk.arm(n, fault, lasting);
        script();
        failed = disk.mend();
        if (failed && lasting == Lasting::kUntilMended) {
          EXPECT_TRUE(store_->status().failing);
          EXPECT_NE(store_->status().failure, "");
        }
        expectServiceGoesOn();
        expectWhatWasAnswered();
        if (HasFailure()) return;
      }
      EXPECT_GT(n, 10) << "the script writes more often than that";
    }
  }
}

TEST_F(FaultTest, AFailureIsToldAsWhatItIs) {
  const std::pair<Fault, CommitResult> expected[] = {{Fault::kNoSpace, CommitResult::kFull},
                                                     {Fault::kIo, CommitResult::kFailed},
                                                     {Fault::kReadOnly, CommitResult::kFailed}};
  const std::map<Fault, std::string> texts = {{Fault::kNoSpace, "No space left on device"},
                                              {Fault::kIo, "Input/output error"},
                                              {Fault::kReadOnly, "Read-only file system"}};
  for (const auto& [fault, result] : expected) {
    forget();
    open();
    DurableQueue& upstream = queue();
    disk.arm(1, fault, Lasting::kUntilMended);
    EXPECT_EQ(put(upstream, entryOf("x")), result);
    const StoreStatus status = store_->status();
    EXPECT_TRUE(status.failing);
    EXPECT_NE(status.failure.find(texts.at(fault)), std::string::npos) << status.failure;
    EXPECT_EQ(status.failure.find("full"), std::string::npos) << status.failure;
    disk.mend();
  }
}

// Also at the meta page, after which LMDB knows no other error than its panic.
TEST_F(FaultTest, AFullDiskIsToldAsFullWhereverItIsMet) {
  bool failed = true;
  int n = 1;
  for (; failed; ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    forget();
    open();
    DurableQueue& upstream = queue();
    put(upstream, entryOf("before"));
    disk.arm(n, Fault::kNoSpace, Lasting::kOnce);
    const auto kept = store_->keyValue().put("area", "key", "value");
    failed = disk.mend();
    if (kept.has_error()) {
      EXPECT_EQ(kept.error().code, Errc::kLimit) << kept.error().text;
      EXPECT_NE(kept.error().text.find("No space left"), std::string::npos) << kept.error().text;
    }
    clock_.advance(1'100'000'000);
    EXPECT_EQ(put(upstream, entryOf("after")), CommitResult::kCommitted);
  }
  EXPECT_GT(n, 3);
}

// What was told as failed is not told again of what comes after it.
TEST_F(FaultTest, AMapIsAsGoodAsNewWhenTheDiskIsMended) {
  open();
  StoreMap map(store_->keyValue(), "area", [](const std::function<void()>& work) { work(); });
  const auto sync = [&] {
    std::promise<Status> told;
    map.sync([&](const Status& status) { told.set_value(status); });
    return told.get_future().get();
  };
  disk.arm(1, Fault::kIo, Lasting::kUntilMended);
  ASSERT_TRUE(map.put("key", "1").has_value());
  EXPECT_EQ(sync().error().code, Errc::kIo);
  disk.mend();
  clock_.advance(1'100'000'000);
  ASSERT_TRUE(map.put("key", "2").has_value());
  EXPECT_TRUE(sync().has_value());
}

// Two who wait for the same write both hear that it failed, whoever asked first.
TEST_F(FaultTest, EveryoneWhoWaitsForAWriteHearsThatItFailed) {
  open();
  std::vector<std::function<void()>> posted;
  std::mutex mutex;
  StoreMap map(store_->keyValue(), "area", [&](std::function<void()> work) {
    const std::lock_guard lock(mutex);
    posted.push_back(std::move(work));
  });
  std::vector<Status> told;
  const auto sync = [&] { map.sync([&](const Status& status) { told.push_back(status); }); };
  const auto run = [&](std::size_t count) {
    while (told.size() < count) {
      const std::lock_guard lock(mutex);
      for (const auto& work : std::exchange(posted, {})) work();
    }
  };
  disk.arm(1, Fault::kIo, Lasting::kUntilMended);
  ASSERT_TRUE(map.put("key", "1").has_value());
  sync();
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return posted.size() == 1;
  }));
  disk.mend();
  clock_.advance(1'100'000'000);
  sync();  // Of a group that is written, while nobody has heard of the first.
  run(2);
  EXPECT_EQ(told[0].error().code, Errc::kIo);
  EXPECT_TRUE(told[1].has_error());
  ASSERT_TRUE(map.put("key", "2").has_value());
  sync();
  run(3);
  EXPECT_TRUE(told[2].has_value());
}

// Under load each refused group is no reason to wait longer.
TEST_F(FaultTest, IsTriedAgainEachSecondHoweverMuchIsOffered) {
  open();
  DurableQueue& upstream = queue();
  disk.arm(1, Fault::kIo, Lasting::kUntilMended);
  EXPECT_EQ(put(upstream, entryOf("x")), CommitResult::kFailed);
  disk.mend();
  CommitResult result = CommitResult::kFailed;
  for (int i = 0; i < 12 && result != CommitResult::kCommitted; ++i) {
    clock_.advance(100'000'000);
    result = put(upstream, entryOf("x"));
  }
  EXPECT_EQ(result, CommitResult::kCommitted);
}

TEST_F(FaultTest, NoFailureWhileItOpensMakesABrokenStore) {
  for (const Fault fault : kFaults) {
    for (const bool first : {true, false}) {
      bool failed = true;
      int n = 1;
      for (; failed; ++n) {
        SCOPED_TRACE("fault " + std::to_string(static_cast<int>(fault)) + ", first open " +
                     std::to_string(first) + ", call " + std::to_string(n));
        forget();
        if (!first) {
          open();
          put(queue(), entryOf("kept"));
          store_.reset();
        }
        disk.arm(n, fault, Lasting::kUntilMended);
        {
          const auto tried = tryOpen();  // Opens, or says why not.
          if (tried.has_error()) {
            EXPECT_NE(tried.error().text, "");
          }
        }
        failed = disk.mend();
        open();
        EXPECT_EQ(store_->status().set_aside, "");
        if (!first) {
          EXPECT_EQ(bodies(take(queue())), std::vector<std::string>({"kept"}));
        }
        EXPECT_EQ(put(queue(), entryOf("after")), CommitResult::kCommitted);
        if (HasFailure()) return;
      }
      EXPECT_GT(n, 3);
    }
  }
}

// ---- a disk that is full in fact ----

class SmallDisk {
 public:
  SmallDisk(const std::string& path, const char* size) : path_(path) {
    std::filesystem::create_directory(path);
    const std::string options = std::string("size=") + size;
    mounted_ = ::mount("kante-test", path.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  void fill() {
    std::ofstream file(path_ + "/filler", std::ios::binary);
    const std::string block(4096, 'x');
    while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  void empty() { std::filesystem::remove(path_ + "/filler"); }
  bool setReadOnly(bool read_only) {
    return ::mount("", path_.c_str(), "", MS_REMOUNT | (read_only ? MS_RDONLY : 0), "") == 0;
  }

 private:
  const std::string path_;
  bool mounted_ = false;
};

class FullDiskTest : public StoreTest {
 protected:
  Result<std::unique_ptr<Store>> tryOpen(const std::string& where) {
    StoreOptions options;
    options.directory = where;
    options.max_bytes = 4u << 20;
    return Store::open(options, clock_, log_);
  }
};

TEST_F(FullDiskTest, WhatIsAllocatedStaysUsableWhenTheDiskFillsUp) {
  SmallDisk small(temp_.path() + "/disk", "40m");
  if (!small.mounted()) GTEST_SKIP() << "a file system of its own needs root";
  auto store = tryOpen(temp_.path() + "/disk/store");
  ASSERT_FALSE(store.has_error()) << store.error().text;
  store_ = std::move(*store);
  small.fill();
  const std::string body(1000, 'x');
  DurableQueue& upstream = queue();
  for (int i = 0; i < 4000; ++i) {
    Answers answers;
    ASSERT_EQ(put(upstream, entryOf(body)), CommitResult::kCommitted) << i;
  }
  EXPECT_FALSE(store_->status().failing);
  EXPECT_GT(upstream.dropped(StoreDrop::kStoreFull), 0u) << "max_bytes is the bound, not the disk";
  store_.reset();
  store = tryOpen(temp_.path() + "/disk/store");
  ASSERT_FALSE(store.has_error()) << store.error().text;
  EXPECT_EQ((*store)->status().set_aside, "");
  EXPECT_EQ((*store)->status().max_bytes, 4u << 20);
}

TEST_F(FullDiskTest, OnADiskThatIsReadOnlyItSaysSoAndLeavesWhatIsThere) {
  SmallDisk small(temp_.path() + "/disk", "40m");
  if (!small.mounted()) GTEST_SKIP() << "a file system of its own needs root";
  const std::string where = temp_.path() + "/disk/store";
  auto store = tryOpen(where);
  ASSERT_FALSE(store.has_error()) << store.error().text;
  store_ = std::move(*store);
  ASSERT_EQ(put(queue(), entryOf("kept")), CommitResult::kCommitted);
  store_.reset();
  ASSERT_TRUE(small.setReadOnly(true));
  store = tryOpen(where);
  ASSERT_TRUE(store.has_error());
  EXPECT_NE(store.error().text.find("Read-only file system"), std::string::npos)
      << store.error().text;
  EXPECT_NE(store.error().text.find(where), std::string::npos) << store.error().text;
  ASSERT_TRUE(small.setReadOnly(false));
  store = tryOpen(where);
  ASSERT_FALSE(store.has_error()) << store.error().text;
  store_ = std::move(*store);
  EXPECT_EQ(store_->status().set_aside, "");
  EXPECT_EQ(bodies(take(queue())), std::vector<std::string>({"kept"}));
}

TEST_F(FullDiskTest, AStoreThatFindsNoRoomAtAllSaysSoAndIsMadeLater) {
  SmallDisk small(temp_.path() + "/disk", "40m");
  if (!small.mounted()) GTEST_SKIP() << "a file system of its own needs root";
  const std::string where = temp_.path() + "/disk/store";
  small.fill();
  auto store = tryOpen(where);
  ASSERT_TRUE(store.has_error());
  EXPECT_NE(store.error().text.find("No space left"), std::string::npos) << store.error().text;
  small.empty();
  store = tryOpen(where);
  ASSERT_FALSE(store.has_error()) << store.error().text;
  EXPECT_EQ((*store)->status().set_aside, "");
  EXPECT_TRUE((*store)->status().durable);
}

}  // namespace
}  // namespace kante
