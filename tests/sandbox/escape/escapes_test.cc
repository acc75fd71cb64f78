// The escapes: every attempt of sandbox/escape/attempts.inc, in real runners, in each tier.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <fstream>
#include <map>
#include <set>
#include <span>
#include <sstream>

#include "sandbox/confine/confine.h"
#include "tests/sandbox/escape/escape_rig.h"

namespace kante {
namespace {

using testing::EscapeOrder;
using testing::EscapeRig;
using testing::EscapeRunner;

struct Expected {
  const char* id;
  std::string loading, running;
};

const Expected kAttempts[] = {
#define ATTEMPT(id, group, what, loading, running) {#id, loading, running},
#define GRANTED(id, group, what, loading, running)
#define DEADLY(id, group, what, how)
#define LOAD(id, group, what, says)
#define LIMIT(id, group, what, comes)
#define OUTSIDE(id, group, what, seen)
#define ELSEWHERE(id, group, what, test)
#include "sandbox/escape/attempts.inc"
#undef ATTEMPT
#undef GRANTED
#undef DEADLY
#undef LOAD
#undef LIMIT
#undef OUTSIDE
#undef ELSEWHERE
};

const Expected kGranted[] = {
#define ATTEMPT(id, group, what, loading, running)
#define GRANTED(id, group, what, loading, running) {#id, loading, running},
#define DEADLY(id, group, what, how)
#define LOAD(id, group, what, says)
#define LIMIT(id, group, what, comes)
#define OUTSIDE(id, group, what, seen)
#define ELSEWHERE(id, group, what, test)
#include "sandbox/escape/attempts.inc"
#undef ATTEMPT
#undef GRANTED
#undef DEADLY
#undef LOAD
#undef LIMIT
#undef OUTSIDE
#undef ELSEWHERE
};

// What the table says for one tier: "3=A 2=B|C 1=D", or the same for all.
std::string ofTier(const std::string& expected, std::uint32_t tier) {
  if (expected.size() < 2 || expected[1] != '=') return expected;
  std::istringstream parts(expected);
  for (std::string part; parts >> part;)
    if (part[0] == static_cast<char>('0' + tier)) return part.substr(2);
  return "nothing for tier " + std::to_string(tier);
}

bool isReported(const std::string& expected) { return expected.back() == '!'; }

bool matches(std::string expected, const std::string& found) {
  if (isReported(expected)) expected.pop_back();
  std::istringstream choices(expected);
  for (std::string choice; std::getline(choices, choice, '|');)
    if (choice == found) return true;
  return false;
}

std::string fileOf(int pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/" + name);
  std::ostringstream bytes;
  bytes << file.rdbuf();  // Of a process that ends meanwhile it can be opened and not be read.
  return bytes.str();
}

std::string lineOf(const std::string& text, const std::string& begin) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.compare(0, begin.size(), begin) == 0) return line.substr(begin.size());
  return "(no line " + begin + ")";
}

// In a container that has no user but root there is nobody else to be.
bool hasOnlyRoot() {
  std::ifstream map("/proc/self/uid_map");
  unsigned long inside = 0, outside = 0, count = 0;
  map >> inside >> outside >> count;
  return inside == 0 && count == 1;
}

class Escapes : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override {
    if (rig_.has(GetParam())) return;
    if (testing::mustWork())
      GTEST_FAIL() << "tier " << GetParam() << " is missing here: " << rig_.can().better;
    GTEST_SKIP() << "tier " << GetParam() << " is missing here: " << rig_.can().better;
  }
  EscapeOrder order(const std::string& module) const {
    EscapeOrder made;
    made.module = module;
    made.tier = GetParam();
    return made;
  }
  std::unique_ptr<EscapeRunner> created(const EscapeOrder& what) {
    auto runner = std::make_unique<EscapeRunner>(rig_, what);
    EXPECT_TRUE(runner->create()) << runner->text();
    return runner;
  }

  EscapeRig rig_;
};

// Compares what a phase's lines say with the table; how many calls must have been reported.
std::uint32_t compare(const EscapeRunner& runner, std::span<const Expected> table,
                      const std::string& when, std::uint32_t tier) {
  std::map<std::string, std::string> found;
  const std::string begin = "escape " + when + " tried ";
  for (const std::string& line : runner.lines()) {
    if (line.compare(0, begin.size(), begin) != 0) continue;
    std::istringstream words(line.substr(begin.size()));
    for (std::string word; words >> word;)
      found[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
  }
  EXPECT_EQ(found.size(), table.size()) << runner.text();
  std::uint32_t reported = 0;
  for (const Expected& each : table) {
    if (each.id == std::string_view("not_root") && hasOnlyRoot()) continue;
    const std::string expected = ofTier(when == "loading" ? each.loading : each.running, tier);
    EXPECT_TRUE(matches(expected, found[each.id]))
        << when << ", tier " << tier << ": " << each.id << " is " << found[each.id] << ", not "
        << expected;
    reported += isReported(expected) ? 1 : 0;
  }
  return reported;
}

// While the module loads, and again at a message.
void tryAll(EscapeRunner& runner, std::span<const Expected> table, std::uint32_t tier) {
  ASSERT_TRUE(runner.line("escape loading all")) << runner.text();
  const std::uint32_t loading = compare(runner, table, "loading", tier);
  EXPECT_EQ(runner.page().violations.load(), loading);
  runner.send("{}");
  ASSERT_TRUE(runner.line("escape running all")) << runner.text();
  const std::uint32_t running = compare(runner, table, "running", tier);
  EXPECT_EQ(runner.page().violations.load(), loading + running);
  EXPECT_FALSE(runner.ended()) << runner.text();
}

TEST_P(Escapes, EveryAttemptIsAnsweredAsTheTableSays) {
  tryAll(*created(order("escape-attempts")), kAttempts, GetParam());
}

TEST_P(Escapes, EveryAttemptWithGrantedFilesIsAnsweredAsTheTableSays) {
  EscapeOrder with_data = order("escape-granted");
  with_data.data_mb = 1;
  if (!hasNamespaces(GetParam())) {
    EscapeRunner none(rig_, with_data);
    EXPECT_FALSE(none.create());
    EXPECT_EQ(none.why(), "tier 2 has no /data");
    return;
  }
  tryAll(*created(with_data), kGranted, GetParam());
}

TEST_P(Escapes, EveryDeadlyAttemptKills) {
#define ATTEMPT(id, group, what, loading, running)
#define GRANTED(id, group, what, loading, running)
#define DEADLY(id, group, what, how) #id,
#define LOAD(id, group, what, says)
#define LIMIT(id, group, what, comes)
#define OUTSIDE(id, group, what, seen)
#define ELSEWHERE(id, group, what, test)
  for (const std::string gate : {
#include "sandbox/escape/attempts.inc"
       }) {
#undef ATTEMPT
#undef GRANTED
#undef DEADLY
#undef LOAD
#undef LIMIT
#undef OUTSIDE
#undef ELSEWHERE
#if !defined(__x86_64__)
    if (gate == "int80" || gate == "x32") continue;  // No such gates.
#endif
    EscapeRunner loading(rig_, order("escape-" + gate + "-loading"));
    EXPECT_FALSE(loading.create()) << gate;
    ASSERT_TRUE(loading.waitForEnd());
    EXPECT_EQ(loading.exited().signal, SIGSYS) << gate << "\n" << loading.text();
    auto running = created(order("escape-" + gate + "-running"));
    running->send("{}");
    ASSERT_TRUE(running->waitForEnd());
    EXPECT_EQ(running->exited().signal, SIGSYS) << gate << "\n" << running->text();
    EXPECT_FALSE(running->line("escape running")) << gate;
  }
}

TEST_P(Escapes, LibrariesThatChangeTheirTextOrExecuteTheirStackDoNotLoad) {
#define ATTEMPT(id, group, what, loading, running)
#define GRANTED(id, group, what, loading, running)
#define DEADLY(id, group, what, how)
#define LOAD(id, group, what, says) {#id, says},
#define LIMIT(id, group, what, comes)
#define OUTSIDE(id, group, what, seen)
#define ELSEWHERE(id, group, what, test)
  const std::pair<std::string, std::string> libraries[] = {
#include "sandbox/escape/attempts.inc"
#undef ATTEMPT
#undef GRANTED
#undef DEADLY
#undef LOAD
#undef LIMIT
#undef OUTSIDE
#undef ELSEWHERE
  };
  for (auto [id, says] : libraries) {
    std::replace(id.begin(), id.end(), '_', '-');
    EscapeRunner runner(rig_, order("escape-" + id));
    EXPECT_FALSE(runner.create());
    ASSERT_TRUE(runner.waitForEnd());
    EXPECT_NE(runner.why().find(says), std::string::npos) << id << "\n" << runner.text();
  }
}

TEST_P(Escapes, AnOrdinaryModuleLives) {
  auto runner = created(order("escape-twin"));
  EXPECT_EQ(runner->line("escape loading twin "), "lives") << runner->text();
  runner->send("{}");
  EXPECT_EQ(runner->line("escape running twin "), "lives") << runner->text();
  const RunnerPage& page = runner->page();
  EXPECT_EQ(page.violations.load(), 0u) << systemCallName(page.architecture, page.syscall);
}

// ---- from outside ----

TEST_P(Escapes, StatusShowsNothingLeft) {
  auto runner = created(order("escape-glutton"));
  const std::string status = fileOf(runner->pid(), "status");
  EXPECT_EQ(lineOf(status, "NoNewPrivs:"), "\t1");
  EXPECT_EQ(lineOf(status, "Seccomp:"), "\t2");
  EXPECT_EQ(lineOf(status, "Seccomp_filters:"), "\t2");
  for (const char* set : {"CapInh:", "CapPrm:", "CapEff:", "CapAmb:"})
    EXPECT_EQ(lineOf(status, set), "\t0000000000000000") << set;
  if (GetParam() != 2 || ::geteuid() == 0) {
    EXPECT_EQ(lineOf(status, "CapBnd:"), "\t0000000000000000");
  }
  if (::geteuid() == 0) {
    EXPECT_EQ(lineOf(status, "Groups:"), "\t ");
    std::istringstream uids(lineOf(status, "Uid:"));
    for (unsigned uid = 0; uids >> uid;) EXPECT_EQ(uid == 0, hasOnlyRoot());
  }
}

TEST_P(Escapes, SpeculationIsForcedOff) {
  auto runner = created(order("escape-glutton"));
  const std::string own = fileOf(::getpid(), "status");
  const std::string its = fileOf(runner->pid(), "status");
  if (lineOf(own, "Speculation_Store_Bypass:") == "\tthread vulnerable") {
    EXPECT_EQ(lineOf(its, "Speculation_Store_Bypass:"), "\tthread force mitigated");
  }
  if (lineOf(own, "SpeculationIndirectBranch:") == "\tconditional enabled") {
    EXPECT_EQ(lineOf(its, "SpeculationIndirectBranch:"), "\tconditional force disabled");
  }
}

TEST_P(Escapes, NamespacesAreItsOwn) {
  auto runner = created(order("escape-glutton"));
  const auto own = ownNamespaces();
  ASSERT_TRUE(own.has_value());
  for (std::size_t at = 0; at < own->size(); ++at) {
    const std::uint64_t its = runner->seen().namespaces[at];
    EXPECT_EQ(its != 0 && its != (*own)[at], hasNamespaces(GetParam())) << at;
  }
}

TEST_P(Escapes, LimitsAreSet) {
  auto runner = created(order("escape-glutton"));
  const std::string limits = fileOf(runner->pid(), "limits");
  const auto soft = [&](const std::string& name) {
    std::istringstream words(lineOf(limits, name));
    std::string value;
    words >> value;
    return value;
  };
  EXPECT_EQ(soft("Max core file size"), "0");
  EXPECT_EQ(soft("Max file size"), "0");
  EXPECT_LE(std::stoul(soft("Max locked memory")), 65536u);
  EXPECT_NE(soft("Max open files"), "unlimited");
  EXPECT_LE(std::stoul(soft("Max open files")), 1024u);
}

TEST_P(Escapes, IsAnExecutableOfItsOwn) {
  auto runner = created(order("escape-glutton"));
  if (::geteuid() != 0) GTEST_SKIP() << "only root may look at a process that is not dumpable";
  char path[PATH_MAX] = {};
  const std::string link = "/proc/" + std::to_string(runner->pid()) + "/exe";
  ASSERT_GT(::readlink(link.c_str(), path, sizeof path - 1), 0);
  EXPECT_NE(std::string(path).find("kante-runner"), std::string::npos) << path;
  EXPECT_EQ(fileOf(runner->pid(), "maps").find("/test_escape"), std::string::npos);
}

TEST_P(Escapes, HoldsNoFolder) {
  auto runner = created(order("escape-glutton"));
  if (::geteuid() != 0) GTEST_SKIP() << "only root may look at a process that is not dumpable";
  char path[PATH_MAX] = {};
  const std::string folder = "/proc/" + std::to_string(runner->pid());
  ASSERT_GT(::readlink((folder + "/cwd").c_str(), path, sizeof path - 1), 0);
  EXPECT_STREQ(path, "/");
}

TEST_P(Escapes, CannotBeDumped) {
  auto runner = created(order("escape-glutton"));
  EXPECT_EQ(lineOf(fileOf(runner->pid(), "status"), "CoreDumping:"), "\t0");
  // Not dumpable: not even who it runs as may read its memory.  Root may, and so may who made the
  // namespace of users that it lives in.
  if (::geteuid() == 0 || hasNamespaces(GetParam())) return;
  EXPECT_EQ(fileOf(runner->pid(), "environ"), "");
  EXPECT_EQ(fileOf(runner->pid(), "maps"), "");
}

TEST_P(Escapes, AnAbortIsReported) {
  auto runner = created(order("escape-glutton"));
  runner->send("abort");
  ASSERT_TRUE(runner->waitForEnd());
  EXPECT_EQ(runner->page().signal.load(), static_cast<std::uint32_t>(SIGABRT)) << runner->text();
  EXPECT_NE(runner->exited().signal, 0);
}

TEST_P(Escapes, AViolationIsNamed) {
  auto runner = created(order("escape-glutton"));
  runner->send("violation");
  EXPECT_EQ(runner->line("escape took violation "), "refused") << runner->text();
  EXPECT_STREQ(systemCallName(runner->page().architecture, runner->page().syscall), "socket");
  EXPECT_NE(runner->page().address.load(), 0u);
  EXPECT_EQ(runner->page().violations.load(), 1u);
}

TEST_P(Escapes, SpeakingOutOfTurnEndsIt) {
  auto runner = created(order("escape-glutton"));
  runner->send("speak");
  ASSERT_TRUE(runner->waitForEnd());
  EXPECT_EQ(runner->why().find("spoke out of turn"), 0u) << runner->text();
}

TEST_P(Escapes, HangingUpEndsIt) {
  auto runner = created(order("escape-glutton"));
  runner->send("hang-up");
  ASSERT_TRUE(runner->waitForEnd());
  EXPECT_EQ(runner->why(), "closed its control socket") << runner->text();
}

// ---- limits ----

TEST_P(Escapes, MemoryEndsAtItsLimit) {
  EscapeOrder little = order("escape-glutton");
  little.memory_mb = 32;
  auto runner = created(little);
  runner->send("memory");
  if (const auto took = runner->line("escape took memory ENOMEM ")) {
    EXPECT_LE(std::stoul(*took), 32u + 16u) << "refused, and late";
    return;
  }
  ASSERT_TRUE(runner->waitForEnd());
  EXPECT_EQ(runner->exited().signal, SIGKILL) << runner->text();
  EXPECT_GT(runner->exited().out_of_memory, 0u) << runner->text();
}

TEST_P(Escapes, ThreadsEndAtTheirLimit) {
  EscapeOrder few = order("escape-glutton");
  few.pids_max = 16;
  auto runner = created(few);
  runner->send("threads");
  const auto took = runner->line("escape took threads EAGAIN ");
  ASSERT_TRUE(took) << runner->text();
  // As an ordinary user without namespaces and groups the limit counts what else that user runs.
  const bool loose =
      ::geteuid() != 0 && !hasNamespaces(GetParam()) && runner->limits() == LimitKind::kRlimit;
  EXPECT_LE(std::stoul(*took), loose ? 16u + 4096u : 16u);
  EXPECT_GE(std::stoul(*took), 1u);
}

TEST_P(Escapes, DescriptorsEndAtTheirLimit) {
  auto runner = created(order("escape-glutton"));
  runner->send("descriptors");
  const auto took = runner->line("escape took descriptors EMFILE ");
  ASSERT_TRUE(took) << runner->text();
  EXPECT_LE(std::stoul(*took), 1024u);
}

TEST_P(Escapes, DataEndsAtItsLimit) {
  if (!hasNamespaces(GetParam())) GTEST_SKIP() << "tier 2 has no /data";
  EscapeOrder little = order("escape-glutton");
  little.data_mb = 2;
  auto runner = created(little);
  runner->send("data");
  const auto one = runner->line("escape took data ");
  ASSERT_TRUE(one) << runner->text();
  EXPECT_TRUE(*one == "EFBIG 2048" || one->starts_with("ENOSPC ")) << *one;
  const unsigned long kib = std::stoul(one->substr(one->find(' ')));
  EXPECT_LE(kib, 2048u);
  EXPECT_GE(kib, 1024u);
  EXPECT_EQ(runner->line("escape took more "), "ENOSPC 0") << "of all files together";
  EXPECT_FALSE(runner->ended()) << "it is told, and lives on";
}

TEST_P(Escapes, ABusyLoopIsKilled) {
  auto runner = created(order("escape-glutton"));
  runner->send("loop");
  ASSERT_TRUE(runner->line("escape took loop")) << runner->text();
  runner->kill("it does not answer");
  ASSERT_TRUE(runner->waitForEnd());
  EXPECT_EQ(runner->exited().signal, SIGKILL);
  EXPECT_EQ(runner->why(), "it does not answer");
}

TEST_P(Escapes, AStoppedRunnerIsKilled) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs the right to stop it";
  auto runner = created(order("escape-glutton"));
  ASSERT_EQ(::kill(runner->pid(), SIGSTOP), 0);
  runner->kill("it stands still");
  ASSERT_TRUE(runner->waitForEnd());
  EXPECT_EQ(runner->exited().signal, SIGKILL);
}

TEST_P(Escapes, ARunnerThatIgnoresSignalsIsKilled) {
  auto runner = created(order("escape-glutton"));
  runner->send("signals");
  ASSERT_TRUE(runner->line("escape took signals")) << runner->text();
  if (::geteuid() == 0) {
    EXPECT_EQ(::kill(runner->pid(), SIGTERM), 0);
  }
  runner->kill("it does not end");
  ASSERT_TRUE(runner->waitForEnd());
  EXPECT_EQ(runner->exited().signal, SIGKILL);
}

// In a process of its own, because the launcher is this one's child.
TEST_P(Escapes, DiesWithItsLauncher) {
  auto runner = created(order("escape-glutton"));
  const int pid = runner->pid();
  const int launcher = std::stoi(lineOf(fileOf(pid, "status"), "PPid:"));
  ASSERT_NE(launcher, ::getpid());
  ASSERT_GT(launcher, 1);
  ASSERT_EQ(::kill(launcher, SIGKILL), 0);
  EXPECT_TRUE(runner->waitForEnd());
  EXPECT_TRUE(rig_.until([&] {
    const std::string state = lineOf(fileOf(pid, "status"), "State:");
    return state.find("no line") != std::string::npos || state.find('Z') != std::string::npos;
  })) << "the runner outlived its launcher";
}

INSTANTIATE_TEST_SUITE_P(Tier, Escapes, ::testing::Values(3u, 2u, 1u),
                         [](const auto& each) { return std::to_string(each.param); });

// The table itself.
TEST(EscapeTable, HasEachAttemptOnce) {
  std::set<std::string> seen;
  for (const Expected& each : kAttempts) {
    EXPECT_TRUE(seen.insert(each.id).second) << each.id;
    for (const std::uint32_t tier : {3u, 2u, 1u}) {
      EXPECT_EQ(ofTier(each.loading, tier).find(' '), std::string::npos) << each.id;
      EXPECT_EQ(ofTier(each.running, tier).find(' '), std::string::npos) << each.id;
    }
  }
  EXPECT_GT(seen.size(), 180u);
}

}  // namespace
}  // namespace kante
