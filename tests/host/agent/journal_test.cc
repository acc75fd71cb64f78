#include "host/agent/journal.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace kante
