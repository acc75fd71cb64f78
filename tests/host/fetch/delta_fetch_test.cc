// Deltas among the sources of a bundle.
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <mutex>
#include <optional>
#include <random>

#include "host/base/log.h"
#include "host/bundle/bundle_store.h"
#include "host/bundle/delta_make.h"
#include "host/fetch/fetcher.h"
#include "tests/host/bundle/bundle_kit.h"
#include "tests/support/eventually.h"
#include "tests/support/file_server.h"

namespace kante {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using testing::FileServer;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Answer = FileServer::Answer;
using Patience = Fetcher::Patience;
using Request = FileServer::Request;

class DeltaFetchTest : public ::testing::Test {
 protected:
  DeltaFetchTest() {
    std::mt19937 random(1);
    std::string data(400'000, '\0');
    for (char& c : data) c = static_cast<char>(random());
    const std::string one = bundle("one.kmod", data);
    data.replace(200'000, 100'000, data.substr(0, 50'000) + data.substr(250'000, 50'000));
    for (std::size_t at = 0; at < 100'000; ++at) data[at] = static_cast<char>(random());
    const std::string two = bundle("two.kmod", data);
    const FileDescriptor file(::memfd_create("delta", MFD_CLOEXEC));
    const auto made = makeDelta({one, two, dir_.path(), std::nullopt}, file.get());
    EXPECT_TRUE(made) << made.error().text;
    head_ = made->head;
    delta_.resize(head_.delta_bytes);
    EXPECT_EQ(::pread(file.get(), delta_.data(), delta_.size(), 0),
              static_cast<ssize_t>(delta_.size()));
    whole_ = readFile(two, 4 << 20).value();
    const auto opened = openAt(AT_FDCWD, one, O_RDONLY).value();
    EXPECT_TRUE(store_.admit(opened.get(), test::policyFor(trust_)));
    make();
  }
  ~DeltaFetchTest() override { fetcher_.reset(); }

  std::string bundle(const std::string& name, const std::string& data) const {
    const std::vector<test::Member> files{{test::libraryName(), test::sampleElf("good"), '0', {}},
                                          {"data/blob", data, '0', {}}};
    const std::string payload =
        test::packedOf(test::tarOf(test::membersOf(files)), PayloadCoding::kStored);
    return dir_.write(name, test::frameOf(payload, test::makeCms(payload, signer_)));
  }
  void make() {
    fetcher_.reset();
    FetchTimes times;
    times.first_ms = times.few_ms = times.file_ms = 10;
    times.max_ms = 20;
    fetcher_ = std::move(
        *Fetcher::make({dir_.path() + "/fetch", {}, times}, {log_,
                                                             [this](std::function<void()> task) {
                                                               const std::lock_guard lock(mutex_);
                                                               tasks_.push_back(std::move(task));
                                                             },
                                                             [] {}, chunk_}));
  }
  // "delta URL" is one against the base.
  void begin(const std::vector<std::string>& from, Patience patience = Patience::kFewTries) {
    WantedBundle wanted{head_.digest, {}};
    for (const std::string& one : from) {
      const bool delta = one.starts_with("delta ");
      wanted.from.push_back(parseFetchSource(delta ? one.substr(6) : one).value());
      if (delta) wanted.from.back().base = head_.base;
    }
    if (base_is_here_)
      wanted.bases[head_.base] = std::make_shared<const BaseForm>(store_.base(head_.base).value());
    result_.reset();
    handle_ = fetcher_->fetch(std::move(wanted), patience, [this](Result<FetchedBundle> bundle) {
      result_.emplace(std::move(bundle));
    });
  }
  bool ended() {
    return eventually([this] {
      std::unique_lock lock(mutex_);
      while (!tasks_.empty()) {
        const auto task = std::move(tasks_.front());
        tasks_.pop_front();
        lock.unlock();
        task();
        lock.lock();
      }
      return result_.has_value();
    });
  }
  // How it came, after its bytes were looked at.
  FetchReport report() {
    if (!ended() || !*result_) {
      ADD_FAILURE() << (result_ ? result_->error().text : "nothing came");
      return {};
    }
    std::string all(whole_.size() + 1, '\0');
    const ssize_t n = ::pread((*result_)->file.get(), all.data(), all.size(), 0);
    EXPECT_EQ(all.substr(0, static_cast<std::size_t>(std::max<ssize_t>(n, 0))), whole_);
    return (*result_)->report;
  }
  // Both files, with ranges.
  Answer serve(const Request& request) const {
    if (request.path == "/d") return FileServer::rangeOf(delta_, request);
    return FileServer::rangeOf(whole_, request);
  }
  static std::vector<std::string> pathsOf(const FileServer& server) {
    std::vector<std::string> paths;
    for (const Request& one : server.requests()) paths.push_back(one.path);
    return paths;
  }

  const test::TempDir dir_;
  const test::Identity ca_ = test::makeCa("CA");
  const test::Identity signer_ = test::makeSigner(ca_);
  const TrustStore trust_ = test::trustIn(ca_);
  BundleStore store_ = BundleStore::open(dir_.fd()).value();
  DeltaHead head_;
  std::string delta_;
  std::string whole_;
  bool base_is_here_ = true;
  decltype(Fetcher::Host::chunk) chunk_;
  Log log_{Log::Format::kSilent};
  std::mutex mutex_;
  std::deque<std::function<void()>> tasks_;
  std::unique_ptr<Fetcher> fetcher_;
  std::optional<Result<FetchedBundle>> result_;
  std::shared_ptr<void> handle_;
};

TEST_F(DeltaFetchTest, IsTakenWhereItsBaseIsHere) {
  FileServer server([&](const Request& request) { return serve(request); });
  begin({"delta " + server.url("/d"), server.url("/w")});
  const FetchReport how = report();
  EXPECT_EQ(how.base, head_.base);
  EXPECT_EQ(how.bytes, delta_.size());
  EXPECT_EQ(how.saved, whole_.size() - delta_.size());
  EXPECT_EQ(how.source, server.url("/d"));
  EXPECT_EQ(how.problem, "");
  EXPECT_THAT(pathsOf(server), Each("/d"));
  fetcher_->forget(head_.digest);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path() + "/fetch"));
}

TEST_F(DeltaFetchTest, WithoutItsBaseTheWholeIsTaken) {
  base_is_here_ = false;
  FileServer server([&](const Request& request) { return serve(request); });
  begin({"delta " + server.url("/d"), server.url("/w")});
  const FetchReport how = report();
  EXPECT_EQ(how.base, "");
  EXPECT_EQ(how.saved, 0u);
  EXPECT_THAT(how.problem, HasSubstr("its base is not here: " + head_.base));
  EXPECT_THAT(pathsOf(server), Each("/w"));
}

TEST_F(DeltaFetchTest, ABrokenOneGivesWayToTheWholeAndSaysWhy) {
  delta_[delta_.size() / 2] = static_cast<char>(delta_[delta_.size() / 2] ^ 1);
  FileServer server([&](const Request& request) { return serve(request); });
  begin({"delta " + server.url("/d"), server.url("/w")}, Patience::kUntilCancelled);
  const FetchReport how = report();
  EXPECT_EQ(how.base, "");
  EXPECT_THAT(how.problem, AllOf(StartsWith(server.url("/d") + ": "), HasSubstr("delta ")));
  EXPECT_THAT(pathsOf(server), ::testing::ElementsAre("/d", "/w"));
}

TEST_F(DeltaFetchTest, OneForSomethingElseIsRefusedByItsHead) {
  DeltaHead other = head_;
  other.digest = "sha256:" + std::string(64, 'a');
  delta_ = makeDeltaHead(other) + delta_.substr(kDeltaHeadBytes);
  FileServer server([&](const Request& request) { return serve(request); });
  begin({"delta " + server.url("/d"), server.url("/w")}, Patience::kUntilCancelled);
  EXPECT_THAT(report().problem, HasSubstr("makes another bundle: " + other.digest));
}

TEST_F(DeltaFetchTest, OneThatClaimsTooMuchIsRefusedByItsHead) {
  DeltaHead other = head_;
  other.bundle_bytes = std::uint64_t{1} << 40;
  delta_ = makeDeltaHead(other) + delta_.substr(kDeltaHeadBytes);
  FileServer server([&](const Request& request) { return serve(request); });
  begin({"delta " + server.url("/d"), server.url("/w")}, Patience::kUntilCancelled);
  EXPECT_THAT(report().problem, HasSubstr("longer than a bundle can be"));
}

TEST_F(DeltaFetchTest, OneForAnotherLibzstdIsNotAskedForAgain) {
  DeltaHead other = head_;
  other.coding = PayloadCoding::kZstd;
  other.zstd_version = 10'000;
  delta_ = makeDeltaHead(other) + delta_.substr(kDeltaHeadBytes);
  FileServer server([&](const Request& request) { return serve(request); });
  begin({"delta " + server.url("/d"), server.url("/w")}, Patience::kUntilCancelled);
  EXPECT_THAT(report().problem, HasSubstr("libzstd 10000"));
  EXPECT_THAT(pathsOf(server), ::testing::ElementsAre("/d", "/w"));
}

TEST_F(DeltaFetchTest, GoesOnInTheNextLifeOfTheProcess) {
  FileServer server([&](const Request& request) {
    Answer answer = serve(request);
    if (request.number == 0) {
      answer.cut_after = 50'000;
      answer.stalls = true;
    }
    return answer;
  });
  begin({"delta " + server.url("/d"), server.url("/w")}, Patience::kUntilCancelled);
  ASSERT_TRUE(eventually([&] { return fetcher_->progress().bytes >= 49'000; }));
  EXPECT_EQ(fetcher_->progress().base, head_.base);
  EXPECT_EQ(fetcher_->progress().of, delta_.size());
  EXPECT_EQ(fetcher_->progress().instead_of, whole_.size());
  make();
  begin({"delta " + server.url("/d"), server.url("/w")}, Patience::kUntilCancelled);
  EXPECT_EQ(report().base, head_.base);
  EXPECT_EQ(server.requests().back().from, 50'000u);
  EXPECT_THAT(pathsOf(server), Each("/d"));
}

TEST_F(DeltaFetchTest, ABrokenLinkIsNoReasonForTheWhole) {
  FileServer server([&](const Request& request) {
    Answer answer = serve(request);
    if (request.number < 6) answer.cut_after = 15'000;
    return answer;
  });
  begin({server.url("/w"), "delta " + server.url("/d")}, Patience::kUntilCancelled);
  EXPECT_EQ(report().base, head_.base);
  EXPECT_THAT(pathsOf(server), Each("/d"));
}

TEST_F(DeltaFetchTest, OneThatNeverComesDoesNotKeepTheWholeAway) {
  FileServer server([&](const Request& request) {
    if (request.path == "/d") return Answer{503, "later"};
    return serve(request);
  });
  begin({"delta " + server.url("/d"), server.url("/w")}, Patience::kUntilCancelled);
  EXPECT_EQ(report().base, "");
  EXPECT_THAT(pathsOf(server), ::testing::ElementsAre("/d", "/d", "/d", "/w"));
}

TEST_F(DeltaFetchTest, ComesThroughTheUplinkByItsBase) {
  std::mutex mutex;
  std::vector<std::string> asked;
  chunk_ = [&](const std::string& digest, const std::string& base, std::uint32_t n,
               const std::function<bool()>&) -> Result<std::string> {
    const std::lock_guard lock(mutex);
    asked.push_back(base);
    EXPECT_EQ(digest, head_.digest);
    const std::string& all = base.empty() ? whole_ : delta_;
    if (n * Fetcher::kChunkBytes >= all.size()) return fail(Errc::kTimeout, "no such piece");
    return all.substr(n * Fetcher::kChunkBytes, Fetcher::kChunkBytes);
  };
  make();
  begin({"delta uplink:", "uplink:"});
  EXPECT_EQ(report().base, head_.base);
  EXPECT_THAT(asked, Each(head_.base));
  base_is_here_ = false;
  asked.clear();
  begin({"delta uplink:", "uplink:"});
  EXPECT_EQ(report().base, "");
  EXPECT_THAT(asked, Each(""));
}

TEST_F(DeltaFetchTest, ComesFromAStickThatMayComeLater) {
  begin({"delta file://" + dir_.path() + "/late"}, Patience::kUntilCancelled);
  ASSERT_TRUE(eventually([&] { return !fetcher_->progress().problem.empty(); }));
  dir_.write("late", delta_.substr(0, 70'000));
  ASSERT_TRUE(eventually(
      [&] { return fetcher_->progress().problem.find("70000 of") != std::string::npos; }));
  dir_.write("late", delta_);
  EXPECT_EQ(report().base, head_.base);
}

TEST_F(DeltaFetchTest, AWholeThatHasBegunIsNotLostToADelta) {
  FileServer server([&](const Request& request) {
    Answer answer = serve(request);
    if (request.number == 0) {
      answer.cut_after = 80'000;
      answer.stalls = true;
    }
    return answer;
  });
  begin({server.url("/w")}, Patience::kUntilCancelled);
  ASSERT_TRUE(eventually([&] { return fetcher_->progress().bytes >= 79'000; }));
  make();
  delta_.resize(kDeltaHeadBytes + 100);
  begin({"delta " + server.url("/d"), server.url("/w")}, Patience::kFewTries);
  EXPECT_EQ(report().base, "");
  EXPECT_EQ(server.requests().back().from, 80'000u);
}

}  // namespace
}  // namespace kante
