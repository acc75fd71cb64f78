#include "host/store/key_value.h"

#include <gmock/gmock.h>

#include "tests/host/store/store_fixture.h"

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

using KeyValueTest = StoreTest;

TEST_F(KeyValueTest, KeepsValuesOverARestart) {
  open();
  ASSERT_FALSE(store_->keyValue().put("twins", "module/a", R"({"x":1})").has_error());
  ASSERT_FALSE(store_->keyValue().put("twins", "module/a", R"({"x":2})").has_error());
  ASSERT_FALSE(store_->keyValue().put("module/a", "k", std::string("\0\1", 2)).has_error());
  open();
  EXPECT_EQ(**store_->keyValue().get("twins", "module/a"), R"({"x":2})");
  EXPECT_EQ(**store_->keyValue().get("module/a", "k"), std::string("\0\1", 2));
  EXPECT_FALSE(store_->keyValue().get("twins", "module/b")->has_value());
}

TEST_F(KeyValueTest, ScansOneAreaInOrderOfKeys) {
  open();
  store_->keyValue().put("a", "2", "two");
  store_->keyValue().put("a", "1", "one");
  store_->keyValue().put("ab", "3", "of another area");
  EXPECT_THAT(*store_->keyValue().scan("a"), ElementsAre(Pair("1", "one"), Pair("2", "two")));
  store_->keyValue().erase("a", "1");
  EXPECT_THAT(*store_->keyValue().scan("a"), ElementsAre(Pair("2", "two")));
  EXPECT_THAT(*store_->keyValue().scan("none"), IsEmpty());
}

TEST_F(KeyValueTest, AppliesSeveralWritesTogether) {
  open();
  store_->keyValue().put("a", "old", "x");
  ASSERT_FALSE(
      store_->keyValue().apply({{"a", "old", std::nullopt}, {"a", "new", "y"}}).has_error());
  EXPECT_THAT(*store_->keyValue().scan("a"), ElementsAre(Pair("new", "y")));
  const Status refused = store_->keyValue().apply(
      {{"a", "new", "z"}, {"a", std::string(KeyValue::kKeyBytesMax + 1, 'k'), "z"}});
  EXPECT_EQ(refused.error().code, Errc::kLimit);
  EXPECT_THAT(*store_->keyValue().scan("a"), ElementsAre(Pair("new", "y")));
}

TEST_F(KeyValueTest, RefusesWhatIsOverABound) {
  open();
  KeyValue& values = store_->keyValue();
  EXPECT_EQ(values.put("", "k", "v").error().code, Errc::kInvalid);
  EXPECT_EQ(values.put("a", "k", std::string((16u << 20) + 1, 'v')).error().code, Errc::kLimit);
  EXPECT_THAT(values.put("a", "k", std::string(5u << 20, 'v')).error().text,
              HasSubstr("max_bytes"));
  EXPECT_FALSE(values.put("a", "k", std::string(2u << 20, 'v')).has_error());
  EXPECT_EQ(values.get("a", "k")->value().size(), 2u << 20);
}

TEST_F(KeyValueTest, AMapIsReadBackAndSyncSaysWhenItIsOnDisk) {
  open();
  std::promise<Status> synced;
  {
    StoreMap map(store_->keyValue(), "twins", [](const std::function<void()>& work) { work(); });
    ASSERT_FALSE(map.put("a", "1").has_error());
    ASSERT_FALSE(map.put("b", "2").has_error());
    ASSERT_FALSE(map.erase("a").has_error());
    map.sync([&](Status status) { synced.set_value(status); });
    EXPECT_FALSE(synced.get_future().get().has_error());
  }
  open();
  StoreMap map(store_->keyValue(), "twins", [](const std::function<void()>& work) { work(); });
  EXPECT_THAT(*map.readAll(), ElementsAre(Pair("b", "2")));
}

}  // namespace
}  // namespace kante
