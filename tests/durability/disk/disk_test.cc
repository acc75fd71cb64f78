// The shim and the rig's side of its log, with a program that writes (disk_writer.cc) in between.
#include <signal.h>

#include <set>

#include "tests/durability/disk/disk_fixture.h"

namespace kante::durability {
namespace {

class DiskTest : public DiskFixture {
 protected:
  int write(const Disk& disk, const std::vector<std::string>& words) {
    return run(disk, KANTE_DISK_WRITER, words);
  }
  // What the disk may hold after `words`, of many cuts at `plan`, in words: the letter of each
  // sector of file "a".
  std::set<std::string> outcomes(CutPlan plan, const std::vector<std::string>& words,
                                 std::uint32_t flags = kNothingSpecial) {
    std::set<std::string> seen;
    Random random(1);
    Disk disk(root(), folder_, flags);
    for (int i = 0; i < 100; ++i) {
      fs::remove_all(root());
      fs::create_directories(root());
      std::ofstream(root() + "/a") << std::string(2 * kSectorBytes, 'o');
      disk.arm(plan);
      write(disk, words);
      disk.settle(random);
      std::string letters;
      const std::string bytes = content("a");
      for (std::size_t at = 0; at < bytes.size(); at += kSectorBytes) letters += bytes[at];
      seen.insert(letters);
    }
    return seen;
  }
};

using Set = std::set<std::string>;

TEST_F(DiskTest, EndsTheProcessAtTheBoundaryThatWasAskedFor) {
  Disk disk(root(), folder_, kNothingSpecial);
  Random random(1);
  disk.arm({.boundary = 2, .after = false});
  const int status = write(disk, {"a:x", "a:y", "a:z"});
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  const CutResult result = disk.settle(random);
  EXPECT_TRUE(result.by_shim);
  EXPECT_EQ(result.boundaries, 2u);
  disk.arm({});
  EXPECT_EQ(write(disk, {"a:x", "a:y"}), 0);
  EXPECT_FALSE(disk.settle(random).by_shim);
}

TEST_F(DiskTest, LeavesOfUnsyncedSectorsTheOldOrTheNew) {
  EXPECT_EQ(outcomes({}, {"a:n"}), (Set{"oo", "on", "no", "nn"}));
}

TEST_F(DiskTest, MayLeaveAnythingThatASectorHeldSinceTheLastSync) {
  const Set seen = outcomes({}, {"a:1", "sync:a", "a:2", "a:3"});
  EXPECT_FALSE(seen.contains("oo"));
  EXPECT_TRUE(seen.contains("11") && seen.contains("33") && seen.contains("23"));
}

TEST_F(DiskTest, KeepsWhatWasSynced) {
  EXPECT_EQ(outcomes({}, {"a:n", "sync:a"}), Set{"nn"});
  EXPECT_EQ(outcomes({.boundary = 2, .after = true}, {"a:n", "sync:a"}), Set{"nn"});
}

TEST_F(DiskTest, LosesAtACutBeforeTheSync) {
  EXPECT_EQ(outcomes({.boundary = 2, .after = false}, {"a:n", "sync:a"}).size(), 4u);
}

TEST_F(DiskTest, KeepsAWriteToASynchronousDescriptorOnceItReturned) {
  EXPECT_EQ(outcomes({}, {"dsync:a:n"}), Set{"nn"});
  EXPECT_EQ(outcomes({.boundary = 1, .after = true}, {"dsync:a:n"}).size(), 4u) << "torn inside";
}

TEST_F(DiskTest, ForgetsSyncsWhenItIsToLie) {
  EXPECT_EQ(outcomes({}, {"a:n", "sync:a"}, kForgetSyncs).size(), 4u);
}

TEST_F(DiskTest, MayUndoARenameUntilItsFolderIsSynced) {
  const std::vector<std::string> words{"b:n", "sync:b", "rename:b:a"};
  EXPECT_EQ(outcomes({}, words), (Set{"oo", "nn"}));
  std::vector<std::string> synced = words;
  synced.push_back("sync:.");
  EXPECT_EQ(outcomes({}, synced), Set{"nn"});
}

TEST_F(DiskTest, MayLoseTheLengthThatAFileGained) {
  const Set seen = outcomes({}, {"long:a:n"});
  EXPECT_TRUE(seen.contains("oo") && seen.contains("oon"));
}

}  // namespace
}  // namespace kante::durability
