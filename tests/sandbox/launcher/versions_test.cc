// What a keeper makes of the files that name versions of the host.
#include "sandbox/launcher/versions.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace kante::launcher {
namespace {

namespace fs = std::filesystem;

class VersionsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/kante-versions-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    root_ = name;
    fs::create_directory(root_ / "host");
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const char* name, const std::string& text) {
    std::ofstream(root_ / "host" / name) << text;
  }
  std::string read(const char* name) {
    std::ifstream file(root_ / "host" / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  Versions versions() { return Versions(root_); }

  fs::path root_;
};

TEST_F(VersionsTest, ATrialHasAFolderBelowTheDataAndATime) {
  EXPECT_FALSE(versions().trial());
  write("trial", "bundles/sha256-00/data/bin/amd64 90\n");
  const auto trial = versions().trial();
  ASSERT_TRUE(trial);
  EXPECT_EQ(trial->folder, "bundles/sha256-00/data/bin/amd64");
  EXPECT_EQ(trial->seconds, 90);
  EXPECT_FALSE(Versions().trial()) << "a keeper without data";
  for (const char* text :
       {"", "x", "/bin 90", "a/../../bin 90", " 90", "x 0", "x -1", "x 3601", "x y"}) {
    write("trial", text);
    EXPECT_FALSE(versions().trial()) << text;
  }
}

TEST_F(VersionsTest, OnlyTheWholeNameIsCommitted) {
  write("current", "bundles/a\n");
  EXPECT_TRUE(versions().isCommitted("bundles/a"));
  EXPECT_FALSE(versions().isCommitted("bundles/"));
  EXPECT_FALSE(versions().isCommitted("bundles/ab"));
}

TEST_F(VersionsTest, ThisProgramIsOnTrialWhereItLiesInItsFolderAndIsNotCommitted) {
  const std::string here = fs::canonical("/proc/self/exe").parent_path();
  fs::create_directory_symlink(here, root_ / "mine");
  write("trial", "other 90\n");
  EXPECT_FALSE(versions().isOnTrial());
  write("trial", "mine 90\n");
  EXPECT_TRUE(versions().isOnTrial());
  write("current", "mine\n");
  EXPECT_FALSE(versions().isOnTrial());
}

TEST_F(VersionsTest, AFailureEndsTheTrialWithWhatTheHostSaidOfIt) {
  write("trial", "x 90\n");
  std::string reason = "it ended with exit code 76";
  EXPECT_EQ(versions().fail("x", reason), "");
  EXPECT_EQ(read("failed"), "x it ended with exit code 76\n");
  EXPECT_FALSE(fs::exists(root_ / "host/trial"));

  write("trial", "y 90\n");
  versions().giveUp("module filter does not run");
  versions().giveUp("the host ended with exit code 76");
  EXPECT_EQ(versions().fail("y", reason), "");
  EXPECT_EQ(reason, "module filter does not run");
  EXPECT_EQ(read("failed"), "y module filter does not run\n");
  EXPECT_FALSE(fs::exists(root_ / "host/reason"));
}

}  // namespace
}  // namespace kante::launcher
