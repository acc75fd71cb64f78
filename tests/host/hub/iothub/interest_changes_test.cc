#include "host/hub/iothub/interest_changes.h"

#include <gmock/gmock.h>

namespace kante::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> textsOf(const std::vector<InterestChanges::Change>& changes) {
  std::vector<std::string> out;
  for (const auto& one : changes)
    out.push_back(one.session.key + " " + one.who + " " + std::to_string(one.interests));
  return out;
}

TEST(InterestChangesTest, OfEachSessionTheLastCountsInTheOrderOfTheLast) {
  InterestChanges changes;
  EXPECT_TRUE(changes.put({0, 1, "a"}, "device/a", 1));
  EXPECT_FALSE(changes.put({0, 2, "b"}, "device/b", 2));
  EXPECT_FALSE(changes.put({0, 1, "a"}, "device/a", 0));
  EXPECT_THAT(textsOf(changes.takeAll()), ElementsAre("b device/b 2", "a device/a 0"));
  EXPECT_THAT(changes.takeAll(), IsEmpty());
  EXPECT_TRUE(changes.put({0, 1, "a"}, "device/a", 1)) << "the first again";
}

}  // namespace
}  // namespace kante::hub
