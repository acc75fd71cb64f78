// What becomes of a batch that the store does not take.
#include "host/hub/mqtt/session_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <future>

#include "host/base/fd.h"
#include "tests/host/store/store_fixture.h"

namespace kante::hub {
namespace {

class SessionStoreTest : public StoreTest {
 protected:
  SessionStoreTest() {
    open();
    kept_ = std::make_shared<SessionStore>(store_->keyValue(), log_, SessionStore::Options());
    EXPECT_TRUE(kept_->load(0).has_value());
  }
  static PublicationRef publication(const std::string& payload) {
    Publication::Parts parts;
    parts.topic = "t";
    parts.payload = payload;
    parts.qos = mqtt::Qos::k1;
    return Publication::make(parts);
  }
  static std::unique_ptr<SessionStore::Batch> batch(Change::Kind kind, std::uint64_t place,
                                                    const PublicationRef& publication) {
    auto out = std::make_unique<SessionStore::Batch>();
    Change& change = out->changes.emplace_back();
    change.kind = kind;
    change.session = 1;
    change.place = place;
    change.publication = publication;
    return out;
  }
  using Written = std::shared_ptr<std::promise<std::unique_ptr<SessionStore::Batch>>>;
  Written write(std::unique_ptr<SessionStore::Batch> batch) {
    auto written = std::make_shared<std::promise<std::unique_ptr<SessionStore::Batch>>>();
    kept_->write(std::move(batch), [written](std::unique_ptr<SessionStore::Batch> back) {
      written->set_value(std::move(back));
    });
    return written;
  }

  // From now on no write to the store's file is taken.
  void breakDisk() {
    const FileDescriptor unwritable(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code ignored;
      const auto file = std::filesystem::read_symlink(entry.path(), ignored);
      if (file.string().starts_with(directory()) && file.filename() == "data.mdb")
        ::dup3(unwritable.get(), std::stoi(entry.path().filename().string()), O_CLOEXEC);
    }
  }

  std::shared_ptr<SessionStore> kept_;
};

TEST_F(SessionStoreTest, ABatchThatIsRefusedAtOnceLeavesOthersAlone) {
  const PublicationRef first = publication("first");
  const PublicationRef second = publication("second");
  std::promise<void> inside, go;
  // One transaction: something that holds the store's thread, and then the first batch.
  std::promise<void> busy;
  store_->keyValue().transact(
      0, [&](AreaWriter&) { busy.get_future().wait(); }, [](const Status&) {});
  const Written kept = write(batch(Change::Kind::kEntry, 1, first));
  store_->keyValue().transact(
      Store::kKeyValueBytesWaiting - (1u << 16),
      [&](AreaWriter&) {
        inside.set_value();
        go.get_future().wait();
      },
      [](const Status&) {});
  busy.set_value();
  inside.get_future().wait();
  store_->keyValue().transact(
      Store::kKeyValueBytesWaiting - (1u << 16), [](AreaWriter&) {}, [](const Status&) {});
  auto refused = write(batch(Change::Kind::kEntry, 2, publication(std::string(1u << 20, 'x'))));
  EXPECT_EQ(refused->get_future().get()->kept, Kept::kNoRoom);
  go.set_value();
  EXPECT_EQ(kept->get_future().get()->kept, Kept::kYes);
  EXPECT_EQ(first->stored().uses, 1u) << "it is on disk, whatever became of the other";
}

TEST_F(SessionStoreTest, WhatNeverCameToTheDiskIsNotTakenFromItAgainAndAgain) {
  const PublicationRef one = publication("one");
  EXPECT_EQ(write(batch(Change::Kind::kEntry, 1, one))->get_future().get()->kept, Kept::kYes);
  const PublicationRef never = publication("never");
  auto both = batch(Change::Kind::kDone, 2, never);
  both->changes.push_back(std::move(batch(Change::Kind::kDone, 1, one)->changes.front()));
  breakDisk();
  const auto back = write(std::move(both))->get_future().get();
  ASSERT_FALSE(back->written);
  EXPECT_EQ(back->changes[0].kind, Change::Kind::kNothing);
  EXPECT_EQ(back->changes[1].kind, Change::Kind::kDone);
}

}  // namespace
}  // namespace kante::hub
