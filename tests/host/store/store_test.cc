#include "host/store/store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <set>

#include "host/base/fd.h"
#include "host/store/crc32c.h"
#include "tests/host/store/store_fixture.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class StoreFilesTest : public StoreTest {
 protected:
  std::string dataFile() const { return directory() + "/data.mdb"; }
  void overwrite(off_t at, const std::string& bytes) {
    const int fd = ::open(dataFile().c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_EQ(::pwrite(fd, bytes.data(), bytes.size(), at), static_cast<ssize_t>(bytes.size()));
    ::close(fd);
  }
  // In every copy of the store's own record (docs/formats/store.md).
  void setVersion(std::uint32_t version) {
    constexpr std::size_t kRootBytes = 64;
    std::ifstream file(dataFile(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    int found = 0;
    for (std::size_t at = bytes.find("KANTEST1"); at != std::string::npos;
         at = bytes.find("KANTEST1", at + 1), ++found) {
      std::string root = bytes.substr(at, kRootBytes);
      std::memcpy(root.data() + 8, &version, sizeof version);
      const std::uint32_t crc = crc32c(root.data(), kRootBytes - sizeof crc);
      std::memcpy(root.data() + kRootBytes - sizeof crc, &crc, sizeof crc);
      overwrite(static_cast<off_t>(at), root);
    }
    ASSERT_GT(found, 0);
  }
  // All pages whose header says that they are in use, but the two first.
  void damageEveryPage(off_t at_in_page, const std::string& bytes) {
    const int fd = ::open(dataFile().c_str(), O_RDWR | O_CLOEXEC);
    for (off_t page = 2; page < 4096; ++page) {
      std::uint64_t number = 0;
      ASSERT_EQ(::pread(fd, &number, sizeof number, page * 4096), 8);
      if (number != static_cast<std::uint64_t>(page)) continue;
      ASSERT_GT(::pwrite(fd, bytes.data(), bytes.size(), page * 4096 + at_in_page), 0);
    }
    ::close(fd);
  }
};

TEST_F(StoreFilesTest, IsAllocatedForRealAndPrivate) {
  open();
  const StoreStatus status = store_->status();
  EXPECT_EQ(status.max_bytes, 4u << 20);
  EXPECT_EQ(status.map_bytes, 16u << 20);
  EXPECT_TRUE(status.durable);
  struct stat file {};
  ASSERT_EQ(::stat(dataFile().c_str(), &file), 0);
  EXPECT_GE(static_cast<std::uint64_t>(file.st_blocks) * 512, status.map_bytes);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  ASSERT_EQ(::stat(directory().c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0700u);
}

TEST_F(StoreFilesTest, GoNoFurtherThanThisProcess) {
  open();
  std::size_t open_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    const std::string file = std::filesystem::read_symlink(entry.path(), ignored).string();
    if (!file.starts_with(directory())) continue;
    ++open_files;
    const int fd = std::stoi(entry.path().filename().string());
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << file << " is left open over an exec";
  }
  EXPECT_GE(open_files, 1u);
}

TEST_F(StoreFilesTest, BelongsToOneProcess) {
  open();
  StoreOptions options;
  options.directory = directory();
  const auto second = Store::open(options, clock_, log_);
  ASSERT_TRUE(second.has_error());
  EXPECT_EQ(second.error().code, Errc::kState);
  EXPECT_THAT(second.error().text, HasSubstr("held by another process"));
}

TEST_F(StoreFilesTest, ABrokenStoreIsSetAsideAndANewEpochBegins) {
  open();
  std::set<std::string> epochs{store_->epoch()};
  int broken = 0;
  const auto expectSetAside = [&] {
    open();
    ++broken;
    EXPECT_EQ(store_->status().set_aside, directory() + ".broken-" + std::to_string(broken));
    EXPECT_TRUE(std::filesystem::exists(store_->status().set_aside + "/data.mdb"));
    EXPECT_EQ(std::filesystem::exists(directory() + ".broken-1"), broken <= 3)
        << "the newest three are kept";
    EXPECT_TRUE(epochs.insert(store_->epoch()).second) << "the epoch is not a new one";
    EXPECT_EQ(put(queue(), entryOf("works")), CommitResult::kCommitted);
  };
  for (int i = 0; i < 50; ++i) put(queue(), entryOf(std::to_string(i)));
  store_.reset();
  overwrite(0, std::string(8192, '\xff'));  // Both meta pages.
  expectSetAside();
  store_.reset();
  overwrite(0, "no database");
  overwrite(4096, "no database");
  expectSetAside();
  store_.reset();
  damageEveryPage(8, std::string(8, '\x7f'));  // Flags and bounds of every page.
  expectSetAside();
  store_.reset();
  ASSERT_EQ(::truncate(dataFile().c_str(), 5000), 0);
  expectSetAside();
}

TEST_F(StoreFilesTest, OneOfANewerVersionIsLeftAsItIs) {
  open();
  put(queue(), entryOf("kept"));
  store_.reset();
  setVersion(2);
  StoreOptions options;
  options.directory = directory();
  const auto refused = Store::open(options, clock_, log_);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_THAT(refused.error().text, HasSubstr(directory() + ": in format 2, of a newer kante"));
  EXPECT_FALSE(std::filesystem::exists(directory() + ".broken-1"));
  setVersion(1);
  open();
  EXPECT_EQ(bodies(take(queue())), std::vector<std::string>({"kept"}));
}

TEST_F(StoreFilesTest, ADamagedMessageIsDroppedAndCountedAndTheOthersStay) {
  open();
  put(queue(), entryOf("before"));
  put(queue(), entryOf("DAMAGE-ME-DAMAGE-ME"));
  put(queue(), entryOf("after"));
  store_.reset();
  auto bytes = readFile(dataFile(), 64u << 20);
  ASSERT_FALSE(bytes.has_error());
  for (std::size_t at = 0; (at = bytes->find("DAMAGE-ME", at)) != std::string::npos; at += 9) {
    overwrite(static_cast<off_t>(at), "damage");
  }
  open();
  EXPECT_EQ(bodies(take(queue())), std::vector<std::string>({"before", "after"}));
  EXPECT_EQ(queue().dropped(StoreDrop::kCorrupt), 1u);
}

// Random damage must never end the process; what comes back is whole.
TEST_F(StoreFilesTest, SurvivesRandomDamage) {
  std::mt19937 random(7);
  for (int round = 0; round < 30; ++round) {
    std::filesystem::remove_all(temp_.path());
    std::filesystem::create_directory(temp_.path());
    open();
    Answers answers;
    DurableQueue& upstream = queue();
    for (std::uint64_t i = 0; i < 40; ++i) {
      Entry entry = entryOf("body " + std::to_string(i));
      ASSERT_EQ(upstream.offer(entry, &answers, i), Offer::kTaken);
    }
    ASSERT_TRUE(answers.wait(40));
    take(upstream, numbered(5));
    store_.reset();
    for (int flip = 0; flip < 20; ++flip) {
      const auto at = static_cast<off_t>(random() % (20 * 4096));
      overwrite(at, std::string(1, static_cast<char>(random())));
    }
    StoreOptions options;
    options.directory = directory();
    options.max_bytes = 4u << 20;
    auto store = Store::open(options, clock_, log_);
    ASSERT_FALSE(store.has_error()) << store.error().text;
    store_ = std::move(*store);
    put(queue(), entryOf("after"));
    for (const std::string& body : bodies(take(queue()))) {
      EXPECT_TRUE(body.starts_with("body ") || body == "after") << body;
    }
    store_.reset();
  }
}

// A file size limit stands for a full disk: writes fail, with or without allocation before.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(StoreFilesTest, AFullDiskIsAnsweredAndWhatWaitsIsDoneWhenThereIsRoomAgain) {
  StoreOptions options;
  options.directory = directory();
  options.max_bytes = 4u << 20;
  auto store = Store::open(options, real_clock_, log_);
  ASSERT_FALSE(store.has_error());
  store_ = std::move(*store);
  DurableQueue& upstream = queue();
  put(upstream, entryOf("before"));
  const TakenBatch batch = take(upstream);
  {
    const FileSizeLimit full(8192);
    EXPECT_EQ(put(upstream, entryOf("lost")), CommitResult::kFull);
    EXPECT_TRUE(store_->status().failing);
    EXPECT_EQ(store_->keyValue().put("a", "k", "v").error().code, Errc::kIo);
    upstream.acknowledge(tokens(batch));
  }
  EXPECT_TRUE(eventually([&] { return upstream.messages() == 0; })) << "it is tried again";
  EXPECT_FALSE(store_->status().failing);
  EXPECT_EQ(put(upstream, entryOf("after")), CommitResult::kCommitted);
  EXPECT_EQ(bodies(take(upstream)), std::vector<std::string>({"after"}));
}

TEST_F(StoreFilesTest, OnASmallDiskDurableQueuesAreRefusedAndTheRestWorks) {
  const FileSizeLimit small(3u << 20);
  open();
  EXPECT_FALSE(store_->status().durable);
  EXPECT_LT(store_->status().max_bytes, 2u << 20);
  const auto refused = store_->queue("upstream");
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().code, Errc::kLimit);
  EXPECT_FALSE(store_->keyValue().put("a", "k", "v").has_error());
  EXPECT_EQ(**store_->keyValue().get("a", "k"), "v");
}

TEST_F(StoreFilesTest, GroupsWhatArrivesTogether) {
  open();
  DurableQueue& upstream = queue();
  Answers answers;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    Entry entry = entryOf("x");
    while (upstream.offer(entry, &answers, i) != Offer::kTaken) {
    }
  }
  ASSERT_TRUE(answers.wait(5000));
  EXPECT_LT(store_->status().groups, 500u);
  EXPECT_EQ(upstream.messages(), 5000u);
}

TEST_F(StoreFilesTest, WithSyncIntervalAnAcknowledgementWaitsForTheInterval) {
  StoreOptions options;
  options.sync = SyncPolicy::kInterval;
  options.sync_ms = 50;
  options.directory = directory();
  options.max_bytes = 4u << 20;
  auto store = Store::open(options, real_clock_, log_);
  ASSERT_FALSE(store.has_error());
  store_ = std::move(*store);
  DurableQueue& upstream = queue();
  const std::int64_t began = real_clock_.bootNs();
  const std::uint64_t groups = store_->status().groups;
  Answers answers;
  for (std::uint64_t i = 0; i < 100; ++i) {
    Entry entry = entryOf("x");
    ASSERT_EQ(upstream.offer(entry, &answers, i), Offer::kTaken);
  }
  ASSERT_TRUE(answers.wait(100));
  EXPECT_GE(real_clock_.bootNs() - began, 20'000'000);
  EXPECT_LE(store_->status().groups - groups, 2u);
}

// What the child says is on disk goes through the pipe; then it is killed, wherever it is.
[[noreturn]] void offerUntilKilled(const std::string& directory, int pipe, std::uint32_t from) {
  static SystemClock clock;
  static Log log(Log::Format::kSilent);
  class Reporter final : public CommitSink {
   public:
    explicit Reporter(int fd) : fd_(fd) {}
    void onCommitted(std::span<const Done> done) override {
      for (const Done& one : done) {
        if (one.result != CommitResult::kCommitted) continue;
        const auto number = static_cast<std::uint32_t>(one.ticket);
        if (::write(fd_, &number, sizeof number) != sizeof number) ::_exit(2);
      }
    }

   private:
    int fd_;
  };
  StoreOptions options;
  options.directory = directory;
  options.max_bytes = 64u << 20;
  auto store = Store::open(options, clock, log);
  if (store.has_error()) ::_exit(3);
  auto upstream = (*store)->queue("upstream");
  Reporter reporter(pipe);
  for (std::uint32_t i = from;; ++i) {
    Entry entry = entryOf(std::to_string(i));
    while ((*upstream)->offer(entry, &reporter, i) != Offer::kTaken) {
    }
  }
}

TEST_F(StoreFilesTest, NoAcknowledgedMessageIsLostByKill) {
  std::mt19937 random(11);
  std::set<std::string> acknowledged;
  for (int round = 0; round < 20; ++round) {
    int pipe[2];
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    // What was stored and not acknowledged stays: no number is used twice.
    const std::uint32_t next = static_cast<std::uint32_t>(round) * 10'000'000;
    const pid_t child = ::fork();
    if (child == 0) offerUntilKilled(directory(), pipe[1], next);
    ::close(pipe[1]);
    // Killed after some acknowledgements, at whatever it does then.
    std::uint32_t number = 0;
    const std::size_t enough = 1 + random() % 400;
    for (std::size_t i = 0; i < enough && ::read(pipe[0], &number, sizeof number) == sizeof number;
         ++i) {
      acknowledged.insert(std::to_string(number));
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(pipe[0], &number, sizeof number) == sizeof number) {
      acknowledged.insert(std::to_string(number));
    }
    ::close(pipe[0]);

    StoreOptions options;
    options.max_bytes = 64u << 20;
    open(options);
    ASSERT_EQ(store_->status().set_aside, "");
    std::set<std::string> found;
    DurableQueue& upstream = queue();
    for (std::uint64_t left = upstream.messages(); left > 0;) {
      TakeRequest request;
      request.messages_max = 4096;
      const TakenBatch batch = take(upstream, request);
      for (const std::string& body : bodies(batch)) ASSERT_TRUE(found.insert(body).second) << body;
      left -= batch.messages.size();
    }
    for (const std::string& body : acknowledged)
      ASSERT_TRUE(found.contains(body)) << body << " is gone";
    store_.reset();
  }
  EXPECT_GT(acknowledged.size(), 20u);
}

}  // namespace
}  // namespace kante
