// Runners as the launcher starts and ends them.
#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "tests/sandbox/launcher/rig.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

// "/a/kante.…": of the controller pids.
std::string groupOf(int pid) {
  const std::string all = *readFile("/proc/" + std::to_string(pid) + "/cgroup", 65536);
  const auto begin = all.find(":pids:");
  if (begin == std::string::npos) return {};
  return all.substr(begin + 6, all.find('\n', begin) - begin - 6);
}

// Tiers that this machine has not are left out, unless they must be there.
class TierTest : public LauncherTest, public ::testing::WithParamInterface<std::uint32_t> {
 protected:
  bool isThere() const { return has(GetParam()); }
  bool hasSpaces() const { return moduleIsFile(GetParam()); }
  SpawnOrder order() const { return LauncherTest::order(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Tier, TierTest, ::testing::Values(3U, 2U, 1U),
                         [](const auto& each) { return std::to_string(each.param); });

TEST_P(TierTest, ARunnerStartsWithExactlyWhatIsDocumented) {
  if (!isThere()) GTEST_SKIP() << client->can().better;
  ProbeRunner runner(control);
  SpawnOrder wanted = order();
  runner.spawn(*client, wanted);
  ASSERT_TRUE(runner.runs());
  EXPECT_EQ(runner.ask("descriptors"), hasSpaces() ? "0 1 2 3 4 5 6 " : "0 1 2 3 4 5 6 7 ");
  EXPECT_EQ(runner.ask("read-fd 0"), "-") << "nothing comes from /dev/null";
  EXPECT_EQ(runner.ask("read-fd 4"), "of the host");
  EXPECT_EQ(runner.ask("read-fd 5"), "of the runner");
  EXPECT_EQ(runner.ask("read-fd 6"), "doorbell");
  EXPECT_EQ(runner.ask(hasSpaces() ? "read /mod/0a1b.so" : "read-fd 7"), "bytes of the module");
  EXPECT_EQ(runner.ask("write-fd 2"), "0");
  EXPECT_EQ(runner.log(), "x");
}

TEST_P(TierTest, NothingOfWhoStartedItIsLeft) {
  if (!isThere()) GTEST_SKIP() << client->can().better;
  ::setenv("KANTE_SECRET", "of the host", 1);
  ProbeRunner runner(control);
  runner.spawn(*client, order());
  ASSERT_TRUE(runner.runs());
  const std::string facts = runner.ask("facts");
  EXPECT_THAT(facts, HasSubstr("arguments=kante-runner probe\n"));
  EXPECT_THAT(facts, Not(HasSubstr("KANTE_SECRET")));
  EXPECT_THAT(facts, HasSubstr("umask=77\npdeathsig=9\nblocked=0\nhangup=0\n"));
  EXPECT_THAT(facts, HasSubstr("no_new_privs=1\n"));
  EXPECT_THAT(facts, HasSubstr("core=0\nfiles=72\n"));
  EXPECT_THAT(facts, HasSubstr("file_size=0\n"));
  EXPECT_THAT(facts, Not(HasSubstr("uid=0\n")));
  EXPECT_THAT(facts, Not(HasSubstr("gid=0\n")));
  if (hasSpaces() || ::geteuid() == 0) {
    EXPECT_THAT(facts, HasSubstr("bounding=0\n"));
  }
  if (::geteuid() == 0 || ::getgroups(0, nullptr) == 0) {
    EXPECT_THAT(facts, HasSubstr("groups=0\n"));
  }
  if (!hasSpaces()) return;
  EXPECT_THAT(facts, HasSubstr("uid=1000\ngid=1000\npid=1\n"));
  EXPECT_THAT(facts, HasSubstr("environment=LD_LIBRARY_PATH=/lib\ncore"));
  const bool alone = client->can().limits == LimitKind::kRlimit;
  EXPECT_THAT(facts, HasSubstr(alone ? "processes=16\n" : "processes=17\n"));
}

TEST_P(TierTest, AnEndSaysHowItCame) {
  if (!isThere()) GTEST_SKIP() << client->can().better;
  ProbeRunner by_itself(control);
  by_itself.spawn(*client, order());
  ASSERT_TRUE(by_itself.runs());
  by_itself.ask("spin 20");
  by_itself.tell("exit 7");
  EXPECT_EQ(by_itself.exited().exit_code, 7);
  EXPECT_EQ(by_itself.exited().signal, 0);
  EXPECT_EQ(by_itself.exited().asked, 0U);
  EXPECT_GE(by_itself.exited().cpu_us, 20'000U);
  EXPECT_GT(by_itself.exited().memory_peak, 50'000U);
  EXPECT_STREQ(by_itself.exited().text, "");

  ProbeRunner by_order(control);
  by_order.spawn(*client, order());
  ASSERT_TRUE(by_order.runs());
  client->kill(by_order.id());
  client->kill(by_order.id());
  EXPECT_EQ(by_order.exited().signal, SIGKILL);
  EXPECT_EQ(by_order.exited().asked, 1U);
}

TEST_P(TierTest, ADeadlySignalIsNamed) {
  if (!kLaunchPrivateRoot) GTEST_SKIP() << "a sanitizer makes an exit code of it";
  if (!isThere()) GTEST_SKIP() << client->can().better;
  ProbeRunner runner(control);
  runner.spawn(*client, order());
  ASSERT_TRUE(runner.runs());
  runner.tell("fault");
  EXPECT_EQ(runner.exited().signal, SIGSEGV);
  EXPECT_EQ(runner.exited().exit_code, 0);
}

TEST_P(TierTest, AKillThatOvertakesTheStartEndsIt) {
  if (!isThere()) GTEST_SKIP() << client->can().better;
  ProbeRunner runner(control);
  runner.spawn(*client, order());
  client->kill(runner.id());
  const Exited& exited = runner.exited();
  EXPECT_EQ(exited.asked, 1U);
  EXPECT_TRUE(exited.signal == SIGKILL || std::strlen(exited.text) > 0) << exited.text;
}

TEST_P(TierTest, MemoryEndsAtItsLimit) {
  if (!kLaunchPrivateRoot) GTEST_SKIP() << "a sanitizer needs more than any limit";
  if (!isThere()) GTEST_SKIP() << client->can().better;
  ProbeRunner runner(control);
  runner.spawn(*client, order());
  ASSERT_TRUE(runner.runs());
  EXPECT_EQ(runner.ask("eat 8"), "0");
  if (client->can().limits == LimitKind::kRlimit) {
    EXPECT_EQ(runner.ask("eat 80"), std::to_string(ENOMEM));
    return;
  }
  runner.tell("eat 80");
  EXPECT_EQ(runner.exited().signal, SIGKILL);
  EXPECT_GE(runner.exited().out_of_memory, 1U);
  EXPECT_GT(runner.exited().memory_peak, 40U << 20);
}

TEST_P(TierTest, ProcessesEndAtTheirLimit) {
  if (!isThere()) GTEST_SKIP() << client->can().better;
  const bool counted = client->can().limits != LimitKind::kRlimit;
  // Alone with rlimits and others of the same user, only the filters hold it.
  if (!counted && !hasSpaces()) return;
  ProbeRunner runner(control);
  runner.spawn(*client, order());
  ASSERT_TRUE(runner.runs());
  EXPECT_EQ(runner.ask("children 30"), "15");
  const std::string processes = "/sys/fs/cgroup/pids" + groupOf(runner.spawned().pid);
  runner.tell("exit 0");  // They stay behind, but for those of a namespace.
  EXPECT_EQ(runner.exited().pids_refused > 0, counted);
  if (client->can().limits != LimitKind::kCgroup1) return;
  EXPECT_TRUE(eventually([&] { return ::access(processes.c_str(), F_OK) != 0; }))
      << "nothing of it is left, and neither is its group " << processes;
}

TEST_P(TierTest, WhatAHostAsksForButHasNotIsSaidWithTheStep) {
  if (!isThere()) GTEST_SKIP() << client->can().better;
  ProbeRunner runner(control);
  SpawnOrder wanted = order();
  wanted.module_file = "../etc/passwd";
  runner.spawn(*client, wanted);
  EXPECT_STREQ(runner.exited().text, "the module's file has no plain name");
  EXPECT_EQ(runner.exited().exit_code, 0);
  EXPECT_EQ(runner.exited().signal, 0);
  if (!hasSpaces()) return;
  ProbeRunner unreadable(control);
  const auto folder = openDirectory("/");
  ASSERT_TRUE(folder);
  wanted = order();
  wanted.module_fd = folder->get();
  unreadable.spawn(*client, wanted);
  EXPECT_STREQ(unreadable.exited().text, "writing the module, reading it: Is a directory");
}

class Tier3Test : public LauncherTest {
 protected:
  void SetUp() override {
    LauncherTest::SetUp();
    if (!kLaunchPrivateRoot) GTEST_SKIP() << "a sanitizer needs the files of this machine";
    if (!has(3)) GTEST_SKIP() << client->can().better;
  }
};

TEST_F(Tier3Test, ItsRootHasNothingButLibrariesAndTheModule) {
  ProbeRunner runner(control);
  runner.spawn(*client, order(3));
  ASSERT_TRUE(runner.runs());
  EXPECT_THAT(runner.ask("list /"), Not(HasSubstr("old")));
  for (const char* folder : {"/proc", "/sys", "/dev", "/data", "/etc", "/home", "/usr", "/tmp"})
    EXPECT_EQ(runner.ask(std::string("list ") + folder), "errno 2") << folder;
  EXPECT_EQ(runner.ask("list /mod"), "0a1b.so\n");
  for (const char* place : {"/x", "/mod/x", "/lib/x", "/lib/libc.so.6", "/mod/0a1b.so"})
    EXPECT_NE(runner.ask(std::string("create ") + place), "0") << place;
  EXPECT_EQ(runner.ask("map /mod/0a1b.so"), "0");
  EXPECT_EQ(runner.ask("map /lib/libc.so.6"), "0");
}

TEST_F(Tier3Test, ItCannotMakeNamespacesNorMountsNorReachAnybody) {
  ProbeRunner runner(control);
  runner.spawn(*client, order(3));
  ASSERT_TRUE(runner.runs());
  EXPECT_EQ(runner.ask("unshare"), std::to_string(ENOSPC));
  EXPECT_EQ(runner.ask("mount /mod"), std::to_string(EPERM));
  EXPECT_EQ(runner.ask("remount /"), std::to_string(EPERM));
  EXPECT_EQ(runner.ask("remount /mod"), std::to_string(EPERM));
  EXPECT_EQ(runner.ask("kill " + std::to_string(::getpid())), std::to_string(ESRCH));
}

TEST_F(Tier3Test, TheHostIsToldWhichNamespacesItIsIn) {
  ProbeRunner one(control);
  ProbeRunner other(control);
  one.spawn(*client, order(3));
  other.spawn(*client, order(3));
  ASSERT_TRUE(one.runs());
  ASSERT_TRUE(other.runs());
  const char* kNames[] = {"user", "mnt", "pid", "net", "ipc", "uts"};
  for (std::size_t n = 0; n < 6; ++n) {
    struct stat own {};
    ASSERT_EQ(::stat((std::string("/proc/self/ns/") + kNames[n]).c_str(), &own), 0);
    EXPECT_NE(one.spawned().namespaces[n], 0U) << kNames[n];
    EXPECT_NE(one.spawned().namespaces[n], own.st_ino) << kNames[n];
    EXPECT_NE(one.spawned().namespaces[n], other.spawned().namespaces[n]) << kNames[n];
  }
}

TEST_P(TierTest, FilesThatItIsHandedMayGrow) {
  if (!isThere()) GTEST_SKIP() << client->can().better;
  ProbeRunner runner(control);
  SpawnOrder wanted = order();
  wanted.writes_files = true;
  runner.spawn(*client, wanted);
  ASSERT_TRUE(runner.runs());
  EXPECT_THAT(runner.ask("facts"), HasSubstr("file_size=-1\n"));
}

TEST_F(Tier3Test, DataHasASizeAndNothingInItCanBeExecuted) {
  ProbeRunner runner(control);
  SpawnOrder wanted = order(3);
  wanted.data_mb = 2;
  runner.spawn(*client, wanted);
  ASSERT_TRUE(runner.runs());
  EXPECT_EQ(runner.ask("fill /data/one"), std::to_string(EFBIG));
  EXPECT_EQ(runner.ask("fill /data/two"), std::to_string(ENOSPC));
  EXPECT_EQ(runner.ask("map /data/one"), std::to_string(EPERM));
}

TEST_F(Tier3Test, ItsProcessorIsShared) {
  if (client->can().limits == LimitKind::kRlimit) return;  // Said in `limits`.
  ProbeRunner runner(control);
  SpawnOrder wanted = order(3);
  wanted.cpu_percent = 10;
  runner.spawn(*client, wanted);
  ASSERT_TRUE(runner.runs());
  EXPECT_GE(std::stoi(runner.ask("spin 100")), 400);
}

// As an update of the system does it.
TEST_F(Tier3Test, ALibraryThatWasReplacedUnderAnotherNameIsFoundAgain) {
  namespace fs = std::filesystem;
  char name[] = "/tmp/kante-update-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  const fs::path folder = name;
  fs::permissions(folder, fs::perms(0755));
  const std::string library = fs::path(KANTE_PROBE_LIBRARY).filename();
  fs::copy_file(KANTE_PROBE_LINKED, folder / "runner");
  fs::copy_file(KANTE_PROBE_LIBRARY, folder / "one");
  fs::create_symlink("one", folder / library);
  open(folder / "runner");
  const auto starts = [this] {
    ProbeRunner runner(control);
    runner.spawn(*client, order(3));
    return runner.runs();
  };
  EXPECT_TRUE(starts());
  fs::copy_file(KANTE_PROBE_LIBRARY, folder / "two");
  fs::remove(folder / library);
  fs::create_symlink("two", folder / library);
  fs::remove(folder / "one");
  EXPECT_TRUE(starts());
  fs::remove_all(folder);
}

TEST_F(LauncherTest, WhatItCannotGiveSaysWhatToChange) {
  const Can& can = client->can();
  const bool all = can.tier == 3 && can.limits != LimitKind::kRlimit;
  EXPECT_EQ(std::strlen(can.better) == 0, all) << can.better;
  if (sandboxMustWork()) {
    EXPECT_EQ(can.tier, 3U) << can.better;
  }
  EXPECT_THAT(std::string(name(can.limits)), MatchesRegex("cgroup2|cgroup1|rlimit"));
  if (::geteuid() == 0 && sandboxMustWork()) {
    EXPECT_NE(can.limits, LimitKind::kRlimit);
  }
}

TEST_F(LauncherTest, MissingTiersAreRefusedAndNeverReplaced) {
  ProbeRunner runner(control);
  runner.spawn(*client, order(4));
  EXPECT_STREQ(runner.exited().text, "there is no tier 4");
  ProbeRunner data(control);
  SpawnOrder wanted = order(2);
  wanted.data_mb = 1;
  data.spawn(*client, wanted);
  EXPECT_STREQ(data.exited().text, "tier 2 has no /data");
}

TEST_F(LauncherTest, AMissingDescriptorIsSaidBeforeAnythingStarts) {
  ProbeRunner runner(control);
  SpawnOrder wanted = order(2);
  wanted.module_fd = 9999;
  runner.spawn(*client, wanted);
  EXPECT_FALSE(runner.hasExited()) << "callbacks come later";
  EXPECT_THAT(runner.exited().text, StartsWith("a descriptor of the runner: Bad file"));
}

TEST_F(LauncherTest, ALostHelperIsReportedOnceForEachRunnerAndReplaced) {
  if (!has(2)) GTEST_SKIP() << client->can().better;
  ProbeRunner runner(control);
  runner.spawn(*client, order(2));
  ASSERT_TRUE(runner.runs());
  const int pid = runner.spawned().pid;
  // Its parent is the helper.
  const std::string stat = *readFile("/proc/" + std::to_string(pid) + "/stat", 4096);
  const int helper = std::stoi(stat.substr(stat.rfind(')') + 4));
  ::kill(helper, SIGKILL);
  EXPECT_EQ(runner.exited().signal, SIGKILL);
  EXPECT_STREQ(runner.exited().text, "kante-launcher ended");
  EXPECT_EQ(lost, "kante-launcher ended");
  EXPECT_TRUE(eventually([pid] { return ::kill(pid, 0) != 0; })) << "it dies with its launcher";
  // A new helper comes with the next order, but not more than one a second.
  EXPECT_TRUE(eventually([this] {
    ProbeRunner again(control);
    again.spawn(*client, order(2));
    client->kill(again.id());
    return again.exited().asked == 1;
  }));
}

TEST_F(LauncherTest, NothingIsLeftOfAClientThatGoes) {
  if (!has(2)) GTEST_SKIP() << client->can().better;
  ProbeRunner one(control);
  ProbeRunner other(control);
  one.spawn(*client, order(2));
  other.spawn(*client, order(2));
  ASSERT_TRUE(one.runs());
  ASSERT_TRUE(other.runs());
  const int pids[] = {one.spawned().pid, other.spawned().pid};
  const std::string groups[] = {groupOf(pids[0]), groupOf(pids[1])};
  client.reset();
  for (const int pid : pids) EXPECT_EQ(::kill(pid, 0), -1);
  for (const std::string& group : groups) {
    if (group.find("/kante.") == std::string::npos) continue;  // None was made.
    EXPECT_NE(::access(("/sys/fs/cgroup/pids" + group).c_str(), F_OK), 0) << group;
  }
}

TEST_F(LauncherTest, NeitherIsAnythingOfWhatItsRunnersLeftBehind) {
  if (client->can().limits == LimitKind::kRlimit || !has(2))
    return;  // Nothing holds them together.
  ProbeRunner runner(control);
  runner.spawn(*client, order(2));
  ASSERT_TRUE(runner.runs());
  EXPECT_EQ(runner.ask("children 12"), "12");
  const std::string group = "/sys/fs/cgroup/pids" + groupOf(runner.spawned().pid);
  client.reset();
  EXPECT_NE(::access(group.c_str(), F_OK), 0) << group;
}

// As the usual profile of a container engine does.
void forbidAsContainersDo() {
  constexpr std::uint32_t kNr = offsetof(seccomp_data, nr);
  constexpr std::uint32_t kFlags = offsetof(seccomp_data, args);
  sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNr),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 2, 0),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mount, 1, 0),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 3),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                          BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFlags),
                          BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 1, 0),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)};
  const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

class ContainerTest : public LauncherTest {
 protected:
  // The launcher inherits it, and so do the tests after this one if they share the process.
  void SetUp() override {}
  void inContainer(const std::function<void()>& body) {
    const pid_t child = ::fork();
    if (child == 0) {
      forbidAsContainersDo();
      LauncherTest::SetUp();
      if (!HasFatalFailure()) body();
      client.reset();
      ::_exit(HasFailure() ? 1 : 0);
    }
    int status = 1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << "see above";
  }
};

TEST_F(ContainerTest, HasTier2AndSaysWhatItTakesForMore) {
  if (!kLaunchPrivateRoot) GTEST_SKIP() << "a sanitizer needs other calls";
  inContainer([this] {
    const Can& can = client->can();
    if (can.landlock_abi == 0 && !sandboxMustWork()) return;
    EXPECT_EQ(can.tier, 2U);
    EXPECT_THAT(can.better, HasSubstr("no namespaces (clone: Operation not permitted): "));
    EXPECT_THAT(can.better, HasSubstr("let the container's seccomp profile allow namespaces"));
    ProbeRunner runner(control);
    runner.spawn(*client, order(2));
    ASSERT_TRUE(runner.runs());
    EXPECT_EQ(runner.ask("read-fd 7"), "bytes of the module");
    ProbeRunner refused(control);
    refused.spawn(*client, order(3));
    EXPECT_THAT(refused.exited().text, StartsWith("tier 3 is not to be had here: no namespaces"));
  });
}

TEST(LauncherOpening, AMissingLauncherIsNamed) {
  boost::asio::io_context control;
  LauncherClient::Options options;
  options.launcher = "/nowhere/kante-launcher";
  const auto opened = LauncherClient::open(control, std::move(options));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().text, "/nowhere/kante-launcher: No such file or directory");
}

// This test plays the keeper of another release.
TEST(LauncherOpening, AnotherVersionOfItIsSaidWithBothVersionsAndWhatToDo) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  const FileDescriptor keeper(ends[0]);
  const FileDescriptor host(ends[1]);
  NotUnderstood said;
  said.version = 77;
  said.of = static_cast<std::uint32_t>(LaunchKind::kProbe);
  ASSERT_EQ(::send(keeper.get(), &said, sizeof said, 0), ssize_t{sizeof said});
  ::setenv("KANTE_KEEPER", std::to_string(::getppid()).c_str(), 1);
  ::setenv("KANTE_LAUNCHER_FD", std::to_string(host.get()).c_str(), 1);
  boost::asio::io_context control;
  const auto opened = LauncherClient::open(control, {});
  ::unsetenv("KANTE_KEEPER");
  ::unsetenv("KANTE_LAUNCHER_FD");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().text,
            "kante-launcher: it speaks version 77 of its protocol and this host version " +
                std::to_string(kLaunchVersion) +
                ": install kante, kante-launcher and kante-runner of one release and restart the "
                "service");
}

TEST(LauncherOpening, AMissingRunnerIsSaidWithWhereItBelongs) {
  boost::asio::io_context control;
  LauncherClient::Options options;
  options.launcher = KANTE_LAUNCHER;
  options.runner = "/nowhere/kante-runner";
  const auto opened = LauncherClient::open(control, std::move(options));
  ASSERT_TRUE(opened) << opened.error().text;
  EXPECT_EQ((*opened)->can().tier, 0U);
  EXPECT_THAT((*opened)->can().better, StartsWith("kante-runner does not lie beside"));
}

}  // namespace
}  // namespace kante
