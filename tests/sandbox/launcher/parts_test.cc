// The launcher's parts that need no runner.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "sandbox/launcher/cgroups.h"
#include "sandbox/launcher/child.h"
#include "sandbox/launcher/clone.h"
#include "sandbox/launcher/keeper.h"
#include "sandbox/launcher/libraries.h"
#include "sandbox/launcher/service.h"
#include "tests/sandbox/launcher/rig.h"
#include "tests/support/eventually.h"

namespace kante::launcher {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

TEST(Backoff, StartsAtOnceThenAfterPausesThatDoubleToAMaximum) {
  Backoff backoff;
  EXPECT_EQ(backoff.after(50), 0);
  for (const int pause : {100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000})
    EXPECT_EQ(backoff.after(50), pause);
}

TEST(Backoff, ALongLifeForgivesTheShortOnes) {
  Backoff backoff;
  for (int n = 0; n < 5; ++n) backoff.after(0);
  EXPECT_EQ(backoff.after(Backoff::kLongLifeMs), 0);
  EXPECT_EQ(backoff.after(Backoff::kLongLifeMs - 1), 100);
  EXPECT_EQ(backoff.after(0), 200);
}

TEST(Libraries, AreThoseOfTheLoaderWithoutLinksAndWhatModulesMayHave) {
  const Fd runner(::open(KANTE_PROBE_RUNNER, O_RDONLY | O_CLOEXEC));
  Libraries found;
  ASSERT_EQ(findLibraries(runner.get(), found), "");
  bool has_loader = false;
  bool has_math = false;
  for (const Libraries::File& file : found.files) {
    EXPECT_FALSE(fs::is_symlink(file.from)) << file.from;
    EXPECT_EQ(fs::canonical(file.from), file.from);
    has_loader |= file.to.find("/ld-") != std::string::npos;
    has_math |= file.to == "/lib/libm.so.6";
  }
  EXPECT_TRUE(has_loader);
  EXPECT_TRUE(has_math) << "a module may want it even if the runner does not";
  EXPECT_TRUE(areThere(found));
  EXPECT_NE(findLibraries(-1, found), "");
  EXPECT_FALSE(areThere(found)) << "none of those of before is left";
}

// A hierarchy of plain files: what is written where.
class FakeGroups : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/kante-groups-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    root_ = name;
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& name, const std::string& text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  std::string read(const std::string& name) {
    std::ifstream file(root_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  Cgroups open(Cgroups::Role role, const std::string& mount, const std::string& own) {
    write("mountinfo", mount);
    write("own", own);
    return Cgroups(role, {root_ / "mountinfo", root_ / "own"});
  }
  // The kernel makes these with the folder; here they are there before.
  void makeGroup(const std::string& folder, const std::vector<const char*>& files) {
    for (const char* file : files) write(folder + "/" + file, "");
  }
  std::string version2(const std::string& at = "/") {
    return "30 20 0:26 " + at + " " + root_.string() + " rw shared:4 - cgroup2 cgroup2 rw\n";
  }
  std::string trial() { return "kante." + Cgroups::launcher() + ".0.trial"; }

  fs::path root_;
};

TEST_F(FakeGroups, AKeeperMovesItselfAsideToShareOutItsControllers) {
  write("service/cgroup.controllers", "cpuset cpu io memory pids\n");
  write("service/cgroup.type", "domain\n");
  write("service/cgroup.subtree_control", "");
  write("service/kante.launcher/cgroup.procs", "");
  const std::vector<const char*> files = {"memory.max",    "memory.swap.max", "memory.oom.group",
                                          "cpu.max",       "pids.max",        "cgroup.kill",
                                          "memory.events", "memory.peak",     "pids.events"};
  makeGroup("service/" + trial(), files);
  const Cgroups groups = open(Cgroups::Role::kKeeper, version2(), "0::/service\n");
  EXPECT_EQ(groups.kind(), LimitKind::kCgroup2) << groups.missing();
  EXPECT_EQ(groups.missing(), "");
  EXPECT_EQ(read("service/kante.launcher/cgroup.procs"), "0");
  EXPECT_EQ(read("service/cgroup.subtree_control"), "+memory +pids +cpu");

  const std::string name = "service/kante." + Cgroups::launcher() + ".7.filter";
  makeGroup(name, files);
  Group group;
  ASSERT_EQ(groups.make(7, "filter", {32, 50, 24}, group), "");
  EXPECT_GE(group.cloneInto(), 0);
  EXPECT_EQ(read(name + "/memory.max"), "33554432");
  EXPECT_EQ(read(name + "/memory.swap.max"), "0");
  EXPECT_EQ(read(name + "/memory.oom.group"), "1");
  EXPECT_EQ(read(name + "/cpu.max"), "50000 100000");
  EXPECT_EQ(read(name + "/pids.max"), "24");
  group.kill();
  EXPECT_EQ(read(name + "/cgroup.kill"), "1");
  write(name + "/memory.events", "low 0\noom 3\noom_kill 2\n");
  write(name + "/memory.peak", "4096\n");
  write(name + "/pids.events", "max 5\n");
  const Group::Counts counts = group.counts();
  EXPECT_EQ(counts.out_of_memory, 2U);
  EXPECT_EQ(counts.memory_peak, 4096U);
  EXPECT_EQ(counts.pids_refused, 5U);
}

TEST_F(FakeGroups, AKeeperThatIsTheLastLeavesItsGroupAsItWas) {
  write("service/cgroup.controllers", "cpu memory pids\n");
  write("service/cgroup.type", "domain\n");
  write("service/cgroup.procs", "");
  write("service/cgroup.subtree_control", "");
  write("service/kante.launcher/cgroup.procs", "");
  makeGroup("service/" + trial(), {"memory.max", "cpu.max", "pids.max"});
  Cgroups outer = open(Cgroups::Role::kKeeper, version2(), "0::/service/kante.launcher\n");
  ASSERT_EQ(outer.kind(), LimitKind::kCgroup2) << outer.missing();
  const std::string self = std::to_string(::getpid());
  write("service/kante.launcher/cgroup.procs", "1\n" + self + "\n");
  outer.leave();
  EXPECT_EQ(read("service/cgroup.subtree_control"), "+memory +pids +cpu") << "another is there";

  Cgroups last = open(Cgroups::Role::kKeeper, version2(), "0::/service\n");
  write("service/kante.launcher/cgroup.procs", self + "\n");
  last.leave();
  EXPECT_EQ(read("service/cgroup.subtree_control"), "-memory -pids -cpu");
  EXPECT_EQ(read("service/cgroup.procs"), "0");
}

TEST_F(FakeGroups, OfAKernelWithoutAFileForThatEachProcessIsKilled) {
  write("service/cgroup.controllers", "cpu memory pids\n");
  write("service/cgroup.subtree_control", "");
  makeGroup("service/" + trial(), {"memory.max", "cpu.max", "pids.max"});
  const Cgroups groups = open(Cgroups::Role::kHelper, version2(), "0::/service\n");
  ASSERT_EQ(groups.kind(), LimitKind::kCgroup2) << groups.missing();
  const pid_t child = ::fork();
  if (child == 0)
    for (;;) ::pause();
  const std::string name = "service/kante." + Cgroups::launcher() + ".7.old";
  makeGroup(name, {"memory.max", "cpu.max", "pids.max"});
  write(name + "/cgroup.procs", std::to_string(child) + "\n");
  Group group;
  ASSERT_EQ(groups.make(7, "old", {32, 50, 24}, group), "");
  group.kill();
  int status = 0;
  EXPECT_TRUE(eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; }));
  EXPECT_TRUE(WIFSIGNALED(status));
  ::kill(child, SIGKILL);
}

TEST_F(FakeGroups, WithoutDelegationItSaysHowToGetIt) {
  write("service/cgroup.controllers", "pids\n");
  const Cgroups groups = open(Cgroups::Role::kHelper, version2(), "0::/service\n");
  EXPECT_EQ(groups.kind(), LimitKind::kRlimit);
  EXPECT_EQ(groups.missing(),
            root_.string() + "/service has no memory, cpu; run under systemd with Delegate=yes");
  Group group;
  EXPECT_EQ(groups.make(1, "x", {32, 50, 24}, group), "");
  EXPECT_FALSE(group.made());
}

TEST_F(FakeGroups, APartOfTheHierarchyIsFoundAsInAContainer) {
  write("cgroup.controllers", "\n");
  const Cgroups groups = open(Cgroups::Role::kHelper, version2("/docker/abc"), "0::/docker/abc\n");
  EXPECT_THAT(groups.missing(), HasSubstr(root_.string() + " has no memory, pids, cpu"));
}

TEST_F(FakeGroups, NoMountIsSaidToo) {
  const Cgroups groups = open(Cgroups::Role::kHelper, "", "");
  EXPECT_EQ(groups.kind(), LimitKind::kRlimit);
  EXPECT_EQ(groups.missing(), "control groups of version 2 are not mounted");
}

TEST_F(FakeGroups, OfALauncherThatHadThisNumberIsALeftoverAndNotOurs) {
  write("service/cgroup.controllers", "cpu memory pids\n");
  write("service/cgroup.type", "domain\n");
  write("service/cgroup.subtree_control", "");
  const std::vector<const char*> files = {"memory.max", "cpu.max", "pids.max"};
  makeGroup("service/" + trial(), files);
  const Cgroups groups = open(Cgroups::Role::kHelper, version2(), "0::/service\n");
  ASSERT_EQ(groups.kind(), LimitKind::kCgroup2) << groups.missing();
  const std::string pid = std::to_string(::getpid());
  const fs::path service = root_ / "service";
  for (const std::string& name :
       {pid + "-1.3.left", Cgroups::launcher() + ".4.own", std::string("x")})
    fs::create_directories(service / ("kante." + name));
  groups.removeLeftovers();
  EXPECT_FALSE(fs::exists(service / ("kante." + pid + "-1.3.left")));
  EXPECT_TRUE(fs::exists(service / ("kante." + Cgroups::launcher() + ".4.own")));
  EXPECT_TRUE(fs::exists(service / "kante.x"));
}

// Without controllers too, which this machine may have given to version 1.
TEST(RealGroups, AProcessCanBeBornInAGroupOfVersion2AndEndWithIt) {
  const fs::path mount =
      fs::exists("/sys/fs/cgroup/unified") ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";
  const fs::path folder = mount / ("kante-test." + std::to_string(::getpid()));
  if (!kLaunchPrivateRoot || !fs::exists(mount / "cgroup.procs") ||
      ::mkdir(folder.c_str(), 0755) != 0)
    return;  // An ordinary user has none.
  {
    const Fd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int group = directory.get();
    Fd pidfd;
    const pid_t child = cloneProcess(0, group, pidfd);
    if (child == 0)
      for (;;) ::pause();
    ASSERT_GT(child, 0);
    EXPECT_EQ(group, directory.get());
    EXPECT_EQ(readSmallFile(directory.get(), "cgroup.procs"), std::to_string(child) + "\n");
    EXPECT_TRUE(writeSmallFile(directory.get(), "cgroup.kill", "1"));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
  }
  EXPECT_EQ(::rmdir(folder.c_str()), 0);
}

#if !defined(KANTE_SANITIZED)
// A filter that answers as Linux before 5.7 does, which knows shorter arguments.
bool refuseLongClone() {
  const auto size = static_cast<std::uint32_t>(offsetof(seccomp_data, args[1]));
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, size),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 64, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | E2BIG),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {std::size(program), program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST(RealGroups, AKernelThatCannotBearAChildInAGroupLeavesItToEnterByItself) {
  const pid_t one = ::fork();
  if (one == 0) {
    if (!refuseLongClone()) ::_exit(2);
    int group = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    Fd pidfd;
    const pid_t child = cloneProcess(0, group, pidfd);
    if (child == 0) ::_exit(group == -1 ? 7 : 3);
    int status = 0;
    const bool ended = child > 0 && ::waitpid(child, &status, 0) == child;
    ::_exit(ended && group == -1 && WIFEXITED(status) ? WEXITSTATUS(status) : 4);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(one, &status, 0), one);
  EXPECT_EQ(WEXITSTATUS(status), 7);
}
#endif

TEST(RealGroups, WhatAKilledLauncherLeftIsRemovedAndOthersAreNot) {
  const Cgroups groups(Cgroups::Role::kHelper);
  if (groups.kind() == LimitKind::kRlimit) {
    EXPECT_FALSE(sandboxMustWork() && ::geteuid() == 0) << groups.missing();
    EXPECT_NE(groups.missing(), "");  // An ordinary user is told what it would take.
    return;
  }
  Group own;
  ASSERT_EQ(groups.make(1, "own", {16, 10, 8}, own), "");
  const pid_t child = ::fork();
  if (child == 0) {
    Group left;
    ::_exit(groups.make(2, "left", {16, 10, 8}, left).empty() ? 0 : 1);
  }
  int status = 1;
  ::waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  groups.removeLeftovers();
  Group again;
  EXPECT_EQ(own.counts().out_of_memory, 0U);
  EXPECT_EQ(::access(("/proc/" + std::to_string(child)).c_str(), F_OK), -1);
  std::size_t of_child = 0;
  std::size_t of_own = 0;
  for (const char* controller : {"memory", "pids", "cpu", ""}) {
    std::error_code none;
    for (fs::recursive_directory_iterator at(std::string("/sys/fs/cgroup/") + controller,
                                             fs::directory_options::skip_permission_denied, none),
         end;
         at != end; at.increment(none)) {
      const std::string name = at->path().filename();
      of_child += name.rfind("kante." + std::to_string(child) + "-", 0) == 0 ? 1 : 0;
      of_own += name.rfind("kante." + Cgroups::launcher() + ".1.own", 0) == 0 ? 1 : 0;
    }
  }
  EXPECT_EQ(of_child, 0U);
  EXPECT_GT(of_own, 0U);
  EXPECT_TRUE(own.remove());
}

struct Sockets {
  Sockets() {
    int ends[2];
    KANTE_ASSERT(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    one = Fd(ends[0]);
    other = Fd(ends[1]);
  }
  Fd one, other;
};

TEST(RealGroups, WhatIsInOneThatCouldNotBeRemovedCanStillBeKilled) {
  const Cgroups groups(Cgroups::Role::kHelper);
  if (groups.kind() == LimitKind::kRlimit) return;  // See above.
  Group group;
  ASSERT_EQ(groups.make(1, "stray", {16, 10, 8}, group), "");
  Sockets entered;
  const pid_t child = ::fork();
  if (child == 0) {
    const bool is_in = group.enter().empty();
    (void)::send(entered.one.get(), &is_in, sizeof is_in, 0);
    for (;;) ::pause();
  }
  bool is_in = false;
  ASSERT_EQ(::recv(entered.other.get(), &is_in, sizeof is_in, 0), ssize_t{sizeof is_in});
  EXPECT_TRUE(is_in);
  EXPECT_FALSE(group.remove());
  group.kill();
  int status = 0;
  EXPECT_TRUE(eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; }));
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(eventually([&] { return group.remove(); }));
  ::kill(child, SIGKILL);
}

// Numbers that no closing of a few leaves out: a launcher of many runners has such.
constexpr int kLowest = 3;
constexpr int kHigh = 240;

class ChildTest : public ::testing::TestWithParam<int> {
 protected:
  // A launcher that dies before it told its child to go on.  Returns the child.
  pid_t startAndLose(int service) {
    Sockets told;
    const pid_t launcher = ::fork();
    if (launcher == 0) {
      Sockets sync;
      const int ours = ::fcntl(sync.one.get(), F_DUPFD_CLOEXEC, GetParam());
      const int host = ::fcntl(service, F_DUPFD_CLOEXEC, GetParam());
      sync.one.reset();
      ::close(service);
      ChildPlan plan;
      plan.order.tier = 2;
      plan.sync_fd = sync.other.get();
      int group = -1;
      Fd pidfd;
      const pid_t child = cloneProcess(0, group, pidfd);
      if (child == 0) becomeRunner(plan);
      const bool is_there = child > 0 && ours > 0 && host > 0;
      ::_exit(is_there && ::send(told.one.get(), &child, sizeof child, 0) > 0 ? 0 : 1);
    }
    int status = 1;
    EXPECT_EQ(::waitpid(launcher, &status, 0), launcher);
    EXPECT_EQ(status, 0);
    pid_t child = -1;
    EXPECT_EQ(::recv(told.other.get(), &child, sizeof child, MSG_DONTWAIT), ssize_t{sizeof child});
    return child;
  }
};
INSTANTIATE_TEST_SUITE_P(Number, ChildTest, ::testing::Values(kLowest, kHigh));

TEST_P(ChildTest, EndsWithItsLauncherWhoseSocketsItHasNot) {
  Sockets service;
  const pid_t child = startAndLose(service.other.get());
  service.other.reset();
  pollfd polled{service.one.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&polled, 1, 20'000), 1) << "the host hears that the launcher is gone";
  ASSERT_GT(child, 0);
  const bool is_gone = eventually([child] { return ::kill(child, 0) != 0; });
  EXPECT_TRUE(is_gone);
  if (!is_gone) ::kill(child, SIGKILL);
}

template <typename Answer>
Answer hears(Service& service, int host, const void* bytes, std::size_t size) {
  EXPECT_EQ(::send(host, bytes, size, 0), static_cast<ssize_t>(size));
  std::vector<pollfd> polled;
  service.addTo(polled);
  EXPECT_EQ(::poll(polled.data(), polled.size(), 20'000), 1);
  service.onPoll(polled);
  Answer answer;
  EXPECT_EQ(::recv(host, &answer, sizeof answer, MSG_DONTWAIT), ssize_t{sizeof answer});
  return answer;
}

Can asks(Service& service, int host) {
  const Probe probe;
  return hears<Can>(service, host, &probe, sizeof probe);
}

TEST(Service, SaysWhatItDoesNotUnderstand) {
  Sockets sockets;
  Service service(Fd(), Cgroups::Role::kHelper);
  service.attach(std::move(sockets.other));
  Probe probe;
  probe.version = kLaunchVersion + 1;
  std::vector<char> longer(sizeof(Spawn) + 8);
  const Spawn spawn;
  std::memcpy(longer.data(), &spawn, sizeof spawn);
  const char few[2] = {1, 0};
  const std::pair<const void*, std::size_t> messages[] = {
      {&probe, sizeof probe}, {longer.data(), longer.size()}, {few, sizeof few}};
  const std::pair<LaunchKind, std::size_t> expected[] = {{LaunchKind::kProbe, sizeof probe},
                                                         {LaunchKind::kSpawn, sizeof spawn + 1},
                                                         {LaunchKind{}, 2}};
  for (std::size_t n = 0; n < std::size(messages); ++n) {
    const auto [bytes, size] = messages[n];
    const auto answer = hears<NotUnderstood>(service, sockets.one.get(), bytes, size);
    EXPECT_EQ(answer.kind, LaunchKind::kNotUnderstood) << n;
    EXPECT_EQ(answer.version, kLaunchVersion) << n;
    EXPECT_EQ(answer.of, static_cast<std::uint32_t>(expected[n].first)) << n;
    EXPECT_EQ(answer.bytes, expected[n].second) << n;
  }
}

// Descriptors are short for the first host, as memory might be: enough are left for the pipe from
// the loader, too few for a trial.
void serveTwoHosts() {
  Sockets sockets;
  Service service(Fd(::open(KANTE_PROBE_RUNNER, O_RDONLY | O_CLOEXEC)), Cgroups::Role::kHelper);
  service.enterGroups();
  service.attach(std::move(sockets.other));
  constexpr int kOpen = 100;
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit all = limit;
  int last = 0;
  while (last < kOpen) last = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  limit.rlim_cur = kOpen + 3;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  const Can first = asks(service, sockets.one.get());
  EXPECT_EQ(first.namespaces, 0U);
  EXPECT_THAT(first.better, HasSubstr("no namespaces (clone: Too many open files)"));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &all), 0);
  const Can second = asks(service, sockets.one.get());
  EXPECT_THAT(second.better, Not(HasSubstr("Too many open files")));
  if (sandboxMustWork()) {
    EXPECT_EQ(second.tier, 3U) << second.better;
  }
}

TEST(Probe, WhatFailedIsTriedAgainForTheNextHost) {
  if (!kLaunchPrivateRoot) GTEST_SKIP() << "a sanitizer forks, which needs no descriptor";
  const pid_t child = ::fork();
  if (child == 0) {
    serveTwoHosts();
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << "see above";
}

}  // namespace
}  // namespace kante::launcher
