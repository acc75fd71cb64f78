// A store that is being made when the power is cut: there is none, or a whole one.
#include "tests/durability/disk/disk_fixture.h"

namespace kante::durability {
namespace {

class StoreMaking : public DiskFixture {
 protected:
  // Boundaries that the making of a store has.
  std::uint64_t boundaries(Disk& disk, Random& random) {
    disk.arm({});
    EXPECT_EQ(run(disk, KANTE_STORE_MAKER, {}), 0);
    return disk.settle(random).boundaries;
  }
};

TEST_F(StoreMaking, LeavesNoBrokenStoreWhereverItIsCut) {
  Disk disk(root(), folder_, kNothingSpecial);
  Random random(1);
  const std::uint64_t count = boundaries(disk, random);
  ASSERT_GT(count, 3u);
  for (std::uint64_t boundary = 1; boundary <= count; ++boundary) {
    for (int i = 0; i < 12; ++i) {
      fs::remove_all(root());
      fs::create_directories(root());
      disk.arm({.boundary = boundary, .after = i % 2 == 1});
      EXPECT_TRUE(WIFSIGNALED(run(disk, KANTE_STORE_MAKER, {})));
      disk.settle(random);
      disk.arm({});
      const int status = run(disk, KANTE_STORE_MAKER, {});
      ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
          << "cut at boundary " << boundary << (i % 2 == 1 ? ", after" : ", before");
      disk.settle(random);
    }
  }
}

}  // namespace
}  // namespace kante::durability
