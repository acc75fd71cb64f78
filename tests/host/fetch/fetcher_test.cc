#include "host/fetch/fetcher.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>

#include "host/base/encoding.h"
#include "host/base/log.h"
#include "host/bundle/frame.h"
#include "host/fetch/part_file.h"
#include "tests/support/eventually.h"
#include "tests/support/file_server.h"

namespace kante {
namespace {

using ::testing::AllOf;
using testing::FileServer;
using ::testing::HasSubstr;
using ::testing::Not;
using Patience = Fetcher::Patience;
using Answer = FileServer::Answer;
using Request = FileServer::Request;

class FetcherTest : public ::testing::Test {
 protected:
  FetcherTest() {
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
    bytes_ = bundle('p');
    make();
  }
  ~FetcherTest() override {
    fetcher_.reset();
    std::filesystem::remove_all(folder_);
  }

  static std::string payload(char kind) { return std::string(300'000, kind); }
  static std::string bundle(char kind) {
    return *makeFrameStart(FrameKind::kBundle, "a signature", payload(kind).size()) + payload(kind);
  }
  static std::string digestOf(char kind) { return "sha256:" + toHex(sha256(payload(kind))); }

  void make() {
    fetcher_.reset();
    FetchTimes times;
    times.first_ms = times.few_ms = times.file_ms = 10;
    times.max_ms = 20;
    auto made =
        Fetcher::make({folder_ + "/fetch", {}, times}, {log_,
                                                        [this](std::function<void()> task) {
                                                          const std::lock_guard lock(mutex_);
                                                          tasks_.push_back(std::move(task));
                                                        },
                                                        [this] { ++told_; }, chunk_});
    ASSERT_TRUE(made) << made.error().text;
    fetcher_ = std::move(*made);
  }
  // What was posted, as the control thread would.
  void turn() {
    std::unique_lock lock(mutex_);
    while (!tasks_.empty()) {
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }
  void begin(const std::vector<std::string>& from, Patience patience = Patience::kFewTries) {
    WantedBundle wanted{digestOf('p'), {}};
    for (const std::string& one : from) wanted.from.push_back(parseFetchSource(one).value());
    result_.reset();
    handle_ = fetcher_->fetch(std::move(wanted), patience, [this](Result<FetchedBundle> bundle) {
      result_.emplace(std::move(bundle));
    });
  }
  bool ended() {
    return eventually([this] {
      turn();
      return result_.has_value();
    });
  }
  bool got() {
    if (!ended()) return false;
    if (!*result_) {
      ADD_FAILURE() << result_->error().text;
      return false;
    }
    std::string all(bytes_.size() + 1, '\0');
    const ssize_t n = ::pread((*result_)->file.get(), all.data(), all.size(), 0);
    return n == static_cast<ssize_t>(bytes_.size()) && all.substr(0, bytes_.size()) == bytes_;
  }
  std::string refusal() {
    if (!ended()) return "nothing";
    return *result_ ? "no refusal" : result_->error().text;
  }
  std::string put(const std::string& name, const std::string& bytes) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path + ".new", std::ios::binary) << bytes;
    std::filesystem::rename(path + ".new", path);
    return "file://" + path;
  }
  long parts() const {
    const auto all = std::filesystem::directory_iterator(folder_ + "/fetch");
    return std::distance(std::filesystem::begin(all), std::filesystem::end(all));
  }

  using Chunk = decltype(Fetcher::Host::chunk);
  // Pieces of `all`, as a broker holds them; which were asked for goes to asked_.
  Chunk piecesOf(const std::string& all) {
    return [this, all](const std::string& digest, const std::string& base, std::uint32_t n,
                       const std::function<bool()>&) -> Result<std::string> {
      EXPECT_EQ(base, "");
      const std::lock_guard lock(mutex_);
      asked_.push_back(n);
      EXPECT_EQ(digest, digestOf('p'));
      if (asked_.size() > most_asked_) return fail(Errc::kUnavailable, "the link is down");
      const std::size_t from = n * Fetcher::kChunkBytes;
      if (from >= all.size()) return fail(Errc::kTimeout, "no piece " + std::to_string(n));
      return all.substr(from, Fetcher::kChunkBytes);
    };
  }

  Chunk chunk_;  // For the next make().
  std::vector<std::uint32_t> asked_;
  std::size_t most_asked_ = SIZE_MAX;
  std::string folder_ = "/tmp/kante-fetch-XXXXXX";
  std::string bytes_;
  Log log_{Log::Format::kSilent};
  std::mutex mutex_;
  std::deque<std::function<void()>> tasks_;
  std::unique_ptr<Fetcher> fetcher_;
  std::optional<Result<FetchedBundle>> result_;
  std::shared_ptr<void> handle_;
  int told_ = 0;
};

TEST_F(FetcherTest, GetsABundleOverHttp) {
  FileServer server([&](const Request& request) { return FileServer::rangeOf(bytes_, request); });
  begin({server.url("/a.kmod")});
  EXPECT_TRUE(got());
  ASSERT_EQ(server.requests().size(), 1u);
  EXPECT_EQ(server.requests()[0].path, "/a.kmod");
  EXPECT_EQ(parts(), 1);
  fetcher_->forget(digestOf('p'));
  EXPECT_EQ(parts(), 0);
}

TEST_F(FetcherTest, GoesOnWhereTheLinkBroke) {
  FileServer server([&](const Request& request) {
    Answer answer = FileServer::rangeOf(bytes_, request);
    if (request.number < 2) answer.cut_after = 100'000;
    return answer;
  });
  begin({server.url("/a")});
  EXPECT_TRUE(got());
  ASSERT_EQ(server.requests().size(), 3u);
  EXPECT_EQ(server.requests()[1].from, 100'000u);
  EXPECT_EQ(server.requests()[2].from, 200'000u);
}

TEST_F(FetcherTest, GoesOnInTheNextLifeOfTheProcess) {
  FileServer server([&](const Request& request) {
    Answer answer = FileServer::rangeOf(bytes_, request);
    if (request.number == 0) {
      answer.cut_after = 150'000;
      answer.stalls = true;
    }
    return answer;
  });
  begin({server.url("/a")}, Patience::kUntilCancelled);
  ASSERT_TRUE(eventually([&] { return fetcher_->progress().bytes >= 149'000; }));
  make();
  begin({server.url("/a")});
  EXPECT_TRUE(got());
  EXPECT_EQ(server.requests().back().from, 150'000u);
}

TEST_F(FetcherTest, BeginsAnewWhereTheServerKnowsNoRanges) {
  FileServer server([&](const Request& request) {
    return request.number == 0 ? Answer{200, bytes_, {}, 70'000} : Answer{200, bytes_};
  });
  begin({server.url("/a")});
  EXPECT_TRUE(got());
}

TEST_F(FetcherTest, BeginsAnewWhenTheServerSendsAnotherRange) {
  FileServer server([&](const Request& request) {
    if (request.number == 0) return Answer{200, bytes_, {}, 70'000};
    if (request.number == 1) {
      Request other = request;
      other.from = 7;
      return FileServer::rangeOf(bytes_, other);
    }
    return FileServer::rangeOf(bytes_, request);
  });
  begin({server.url("/a")});
  EXPECT_TRUE(got());
  EXPECT_EQ(server.requests().back().from, std::nullopt);
}

TEST_F(FetcherTest, BeginsAnewWhenWhatHadComeIsNotOfWhatIsThereNow) {
  const std::string other = bundle('o');
  FileServer server([&](const Request& request) {
    if (request.number == 0) return Answer{200, other, {}, 70'000};
    return FileServer::rangeOf(bytes_, request);
  });
  begin({server.url("/a")});
  EXPECT_TRUE(got());
  EXPECT_EQ(server.requests().size(), 3u);
}

TEST_F(FetcherTest, BeginsAnewWhenThereIsNoRest) {
  FileServer server([&](const Request& request) {
    if (request.number == 0) return Answer{200, bundle('o'), {}, 70'000};
    return FileServer::rangeOf(request.from ? std::string("short") : bytes_, request);
  });
  begin({server.url("/a")});
  EXPECT_TRUE(got());
}

TEST_F(FetcherTest, RefusesAnotherBundle) {
  FileServer server([&](const Request&) { return Answer{200, bundle('o')}; });
  begin({server.url("/a")}, Patience::kUntilCancelled);
  EXPECT_THAT(refusal(), HasSubstr("it is another bundle: " + digestOf('o')));
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(FetcherTest, RefusesWhatIsNoBundleAtItsFirstBytes) {
  FileServer server([&](const Request&) {
    return Answer{200, "<html>log in first</html>" + std::string(1'000'000, ' '), {}, 5'000, true};
  });
  begin({server.url("/a")}, Patience::kUntilCancelled);
  EXPECT_THAT(refusal(), HasSubstr("does not begin with KANTEKM1"));
}

TEST_F(FetcherTest, RefusesMoreThanItsHeadSays) {
  FileServer server([&](const Request&) { return Answer{200, bytes_ + "x"}; });
  begin({server.url("/a")}, Patience::kUntilCancelled);
  EXPECT_THAT(refusal(), HasSubstr("more than the " + std::to_string(bytes_.size()) + " bytes"));
}

TEST_F(FetcherTest, GoesToTheNextSource) {
  FileServer server([&](const Request& request) {
    return request.path == "/b" ? Answer{200, bytes_} : Answer{404, "not here"};
  });
  begin({server.url("/a"), server.url("/b")});
  EXPECT_TRUE(got());
}

TEST_F(FetcherTest, SaysWhatEachSourceSaid) {
  FileServer server([&](const Request& request) {
    return request.path.starts_with("/a") ? Answer{403, "no"} : Answer{503, "later"};
  });
  begin({server.url("/a?token=hidden"), server.url("/b"), "file:///nowhere/c.kmod"});
  EXPECT_THAT(refusal(), AllOf(HasSubstr(digestOf('p') + " cannot be had: "),
                               HasSubstr("/a: the server answered 403; "),
                               HasSubstr("/b: the server answered 503; "),
                               HasSubstr("file:///nowhere/c.kmod: "), Not(HasSubstr("hidden"))));
  EXPECT_EQ(result_->error().code, Errc::kNotFound);
  EXPECT_EQ(server.requests().size(), 1u + Fetcher::kFewTries);
}

TEST_F(FetcherTest, DoesNotReadAnEndlessRefusal) {
  FileServer server([&](const Request& request) {
    if (request.path == "/b") return Answer{200, bytes_};
    return Answer{404, std::string(10'000'000, ' '), {}, 1'000'000, true};
  });
  begin({server.url("/a"), server.url("/b")}, Patience::kUntilCancelled);
  EXPECT_TRUE(got());
}

TEST_F(FetcherTest, TellsOnceWhatItTriesAgainAndAgain) {
  FileServer server([&](const Request& request) {
    return request.number < 20 ? Answer{503, "later"} : Answer{200, bytes_};
  });
  begin({server.url("/a")}, Patience::kUntilCancelled);
  EXPECT_TRUE(got());
  EXPECT_EQ(log_.kept("fetch").size(), 1u);
  EXPECT_LE(told_, 16) << "two of attempts, one of each tenth, the end";
}

TEST_F(FetcherTest, WaitsForAServerThatIsAway) {
  FileServer server([&](const Request& request) {
    return request.number < 5 ? Answer{503, "later"} : Answer{200, bytes_};
  });
  begin({server.url("/a")}, Patience::kUntilCancelled);
  EXPECT_TRUE(got());
  EXPECT_EQ(server.requests().size(), 6u);
}

TEST_F(FetcherTest, NobodyListensThere) {
  begin({"http://127.0.0.1:1/a.kmod"});
  EXPECT_THAT(refusal(), HasSubstr("http://127.0.0.1:1/a.kmod: "));
}

TEST_F(FetcherTest, FollowsNoRedirectionToPlainText) {
  FileServer server([&](const Request&) {
    return Answer{302, "", "Location: " + server.url("/b") + "\r\n"};
  });
  begin({server.url("/a")}, Patience::kUntilCancelled);
  refusal();
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(FetcherTest, TakesAFileOnceSomebodyBringsIt) {
  begin({"file://" + folder_ + "/stick.kmod"}, Patience::kUntilCancelled);
  ASSERT_TRUE(eventually([&] { return !fetcher_->progress().problem.empty(); }));
  put("stick.kmod", bytes_);
  EXPECT_TRUE(got());
}

TEST_F(FetcherTest, AFileHasToBeThatBundle) {
  begin({put("o.kmod", bundle('o'))});
  EXPECT_THAT(refusal(), HasSubstr("it is another bundle"));
  ASSERT_EQ(::mkfifo((folder_ + "/pipe").c_str(), 0600), 0);
  begin({"file://" + folder_ + "/pipe"});
  EXPECT_THAT(refusal(), HasSubstr("is not a file"));
}

TEST_F(FetcherTest, IsCancelledAndDoesAnother) {
  FileServer server([&](const Request& request) {
    Answer answer{200, bytes_};
    if (request.path == "/stalls") {
      answer.cut_after = 1'000;
      answer.stalls = true;
    }
    return answer;
  });
  begin({server.url("/stalls")}, Patience::kUntilCancelled);
  ASSERT_TRUE(eventually([&] { return fetcher_->progress().bytes != 0; }));
  handle_.reset();
  EXPECT_EQ(fetcher_->progress().digest, "");
  begin({server.url("/b")});
  EXPECT_TRUE(got());
  EXPECT_EQ(fetcher_->progress().digest, "");
}

TEST_F(FetcherTest, WhoAsksNextTakesOver) {
  FileServer server([&](const Request& request) {
    return Answer{200,
                  bytes_,
                  {},
                  request.number == 0 ? std::optional(1'000u) : std::nullopt,
                  request.number == 0};
  });
  std::atomic<bool> told{false};
  const auto first = fetcher_->fetch({digestOf('p'), {parseFetchSource(server.url("/a")).value()}},
                                     Patience::kUntilCancelled,
                                     [&](const Result<FetchedBundle>&) { told = true; });
  ASSERT_TRUE(eventually([&] { return fetcher_->progress().bytes != 0; }));
  begin({server.url("/b")});
  EXPECT_TRUE(got());
  EXPECT_FALSE(told);
}

TEST_F(FetcherTest, SaysHowFarItIs) {
  FileServer server([&](const Request&) { return Answer{200, bytes_, {}, 100'000, true}; });
  begin({server.url("/a?sig=hidden")});
  ASSERT_TRUE(eventually([&] { return fetcher_->progress().bytes >= 90'000; }));
  const FetchProgress progress = fetcher_->progress();
  EXPECT_EQ(progress.digest, digestOf('p'));
  EXPECT_EQ(progress.source, server.url("/a"));
  EXPECT_EQ(progress.of, bytes_.size());
}

TEST_F(FetcherTest, ACaThatIsNotThereIsNamedAtOnce) {
  const auto made =
      Fetcher::make({folder_ + "/fetch", {.ca = "/nowhere/ca.pem"}, {}}, {log_, nullptr});
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().text, HasSubstr("ca: /nowhere/ca.pem: No such file"));
}

TEST_F(FetcherTest, LeavesNoPartOfWhatNobodyWantsAnyMore) {
  FileServer server([&](const Request&) { return Answer{200, bundle('p'), {}, 100'000, true}; });
  begin({server.url("/a")});
  ASSERT_TRUE(eventually([&] { return fetcher_->progress().bytes >= 90'000; }));
  result_.reset();
  handle_ = fetcher_->fetch(
      {digestOf('q'), {parseFetchSource(put("q", bundle('q'))).value()}}, Patience::kFewTries,
      [&](Result<FetchedBundle> bundle) { result_.emplace(std::move(bundle)); });
  ASSERT_TRUE(ended());
  EXPECT_TRUE(*result_);
  EXPECT_EQ(parts(), 0);
}

// ---- through the uplink ----------------------------------------------------------------------

TEST_F(FetcherTest, PiecesThroughTheUplinkBecomeABundle) {
  chunk_ = piecesOf(bytes_);
  make();
  begin({"uplink:"});
  EXPECT_TRUE(got());
  EXPECT_THAT(asked_, ::testing::ElementsAre(0, 1, 2, 3, 4));
}

TEST_F(FetcherTest, ABrokenLinkCostsOnePieceAlsoOverALifeOfTheProcess) {
  chunk_ = piecesOf(bytes_);
  most_asked_ = 3;
  make();
  begin({"uplink:"}, Patience::kUntilCancelled);
  ASSERT_TRUE(eventually([this] { return fetcher_->progress().problem == "the link is down"; }));
  make();
  asked_.clear();
  most_asked_ = SIZE_MAX;
  begin({"uplink:"});
  EXPECT_TRUE(got());
  EXPECT_THAT(asked_, ::testing::ElementsAre(3, 4));
}

TEST_F(FetcherTest, GoesOnAmidAPieceWhereAnotherSourceLeftOff) {
  FileServer server(
      [this](const Request&) { return Answer{.body = bytes_, .cut_after = 100'000}; });
  begin({server.url("/x")}, Patience::kUntilCancelled);
  ASSERT_TRUE(eventually([this] { return !fetcher_->progress().problem.empty(); }));
  chunk_ = piecesOf(bytes_);
  make();
  begin({"uplink:"});
  EXPECT_TRUE(got());
  EXPECT_EQ(asked_.front(), 1u);
}

TEST_F(FetcherTest, PiecesOfSomethingElseAreRefused) {
  chunk_ = piecesOf(bundle('q'));
  make();
  begin({"uplink:"});
  EXPECT_THAT(refusal(), HasSubstr("uplink:"));
  chunk_ = piecesOf("<html>no bundle</html>" + std::string(200'000, ' '));
  make();
  begin({"uplink:"});
  EXPECT_THAT(refusal(), HasSubstr("uplink:"));
}

TEST_F(FetcherTest, APieceThatEndsEarlyIsNotTheLast) {
  chunk_ = piecesOf(bytes_.substr(0, 70'000));
  make();
  begin({"uplink:"});
  EXPECT_THAT(refusal(), HasSubstr("piece 1 is too short"));
}

TEST_F(FetcherTest, WithoutAnUplinkNothingComesThroughIt) {
  begin({"uplink:"});
  EXPECT_THAT(refusal(), HasSubstr("this gateway has no uplink"));
}

}  // namespace
}  // namespace kante
