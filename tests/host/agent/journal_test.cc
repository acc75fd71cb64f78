#include "host/agent/journal.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <utility>

namespace kante {
namespace {

// A disk that is slow: syncs end when the test says so.
class HeldMap final : public DurableMap {
 public:
  Result<std::map<std::string, std::string>> readAll() override { return values; }
  Status put(const std::string& key, const std::string& value) override {
    values[key] = value;
    return {};
  }
  Status erase(const std::string& key) override {
    values.erase(key);
    return {};
  }
  void sync(std::function<void(Status)> done) override { held.push_back(std::move(done)); }
  void end(const Status& status) {
    for (const auto& done : std::exchange(held, {})) done(status);
  }

  std::map<std::string, std::string> values;
  std::vector<std::function<void(Status)>> held;
};

class JournalTest : public ::testing::Test {
 protected:
  std::uint64_t begin() {
    Journal::Entry entry;
    entry.said.id = "line-4";
    entry.document = "{}";
    const std::uint64_t n = journal_.begin(std::move(entry), [](const Status&) {});
    map_.end({});
    return n;
  }
  std::string state() const { return journal_.history().at(0).state; }

  HeldMap map_;
  std::vector<std::string> damage_;
  Journal journal_ = Journal::open(map_, damage_).value();
};

// Who waits for a deployment by reading the history believes what it says.
TEST_F(JournalTest, SaysThatADeploymentHoldsOnceItDoes) {
  const std::uint64_t n = begin();
  bool held = false;
  journal_.commit(n, [&](const Status& status) { held = status.has_value(); });
  EXPECT_EQ(state(), Journal::kApplying);
  map_.end({});
  EXPECT_TRUE(held);
  EXPECT_EQ(state(), Journal::kCommitted);
}

TEST_F(JournalTest, NeverSaysThatOneHeldWhoseCommitFailed) {
  const std::uint64_t n = begin();
  journal_.commit(n, [&](const Status& status) {
    EXPECT_FALSE(status.has_value());
    EXPECT_EQ(state(), Journal::kApplying);
    journal_.fail(n, "the disk fails", Journal::Again::kMay);
  });
  map_.end(fail(Errc::kIo, "the disk fails"));
  EXPECT_EQ(state(), Journal::kRolledBack);
  EXPECT_EQ(journal_.current(), nullptr);
}

// As builds before changes of several documents wrote it.
TEST_F(JournalTest, ReadsOneDocumentAndOneLayerAsTheyWereWrittenBefore) {
  map_.values["current"] = "1";
  map_.values["entry/00000001"] =
      R"({"n":1,"id":"line-4","version":3,"who":"ann","when_wall_ns":5,"state":"committed","reason":"",)"
      R"("changed":[],"origin":1,"digests":[],"document":"{}","layer":"munich",)"
      R"("mark":{"series":"ann\nlayer\nmunich","counter":7,"digest":"sha256:aa"}})";
  const Journal read = Journal::open(map_, damage_).value();
  ASSERT_NE(read.current(), nullptr);
  ASSERT_EQ(read.current()->marks.size(), 1u);
  EXPECT_EQ(read.current()->marks[0].series, "ann\nlayer\nmunich");
  EXPECT_EQ(read.current()->marks[0].counter, 7u);
  EXPECT_EQ(read.current()->said.layers, std::vector<std::string>{"munich"});
  EXPECT_TRUE(damage_.empty());
}

TEST_F(JournalTest, WritesSeveralSoThatBuildsWhichKnowOneFindTheFirst) {
  Journal::Entry entry;
  entry.document = "{}";
  entry.said.layers = {"a", "b"};
  entry.marks = {{"ann\ndeployment\n", 7, "sha256:aa"}, {"ann\nlayer\na", 8, "sha256:bb"}};
  const std::uint64_t n = journal_.begin(entry, [](const Status&) {});
  map_.end({});
  const auto record = boost::json::parse(map_.values.at("entry/00000001"));
  EXPECT_EQ(record.at("layer"), "a");
  EXPECT_EQ(record.at("mark").at("digest"), "sha256:aa");
  journal_.commit(n, [](const Status&) {});
  map_.end({});
  const Journal read = Journal::open(map_, damage_).value();
  ASSERT_EQ(read.current()->marks.size(), 2u);
  EXPECT_EQ(read.current()->marks[1].series, "ann\nlayer\na");
  EXPECT_EQ(read.current()->marks[1].counter, 8u);
  EXPECT_EQ(read.current()->said.layers, entry.said.layers);
  EXPECT_FALSE(read.current()->isApart());
}

TEST_F(JournalTest, SeveralThatWereCutOffAreApartWhateverEndedTheHost) {
  for (const char* end : {"", "module x brought it down"}) {
    map_.values.clear();
    Journal before = Journal::open(map_, damage_).value();
    Journal::Entry entry;
    entry.document = "{}";
    entry.marks = {{"a", 7, "sha256:aa"}, {"b", 8, "sha256:bb"}};
    before.begin(entry, [](const Status&) {});
    entry.marks.pop_back();
    before.begin(entry, [](const Status&) {});
    const Journal after = Journal::open(map_, damage_, end).value();
    EXPECT_TRUE(after.find(1)->isApart());
    EXPECT_FALSE(after.find(2)->isApart());
    EXPECT_EQ(after.find(2)->cut_off, *end == '\0');
  }
}

}  // namespace
}  // namespace kante
