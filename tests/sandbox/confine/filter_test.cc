// The filters of every architecture, evaluated without a kernel.
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "sandbox/confine/confine.h"
#include "sandbox/confine/programs.h"
#include "sandbox/confine/rules.h"
#include "tests/sandbox/confine/bpf.h"
#include "tests/sandbox/confine/filter_cases.h"

namespace kante {
namespace {

using namespace cases;

// Those of all architectures; the runner has only its own.
template <Arch arch, Stage stage, Files files>
constexpr Program kProgram = Assembler().assemble(kRules, kRuleCount, arch, stage, files);

template <Arch arch>
const Program& programOf(Stage stage, Files files) {
  if (stage == Stage::kLoading) {
    return files == Files::kGranted ? kProgram<arch, Stage::kLoading, Files::kGranted>
                                    : kProgram<arch, Stage::kLoading, Files::kNone>;
  }
  return files == Files::kGranted ? kProgram<arch, Stage::kRunning, Files::kGranted>
                                  : kProgram<arch, Stage::kRunning, Files::kNone>;
}

const Program& programOf(Arch arch, Stage stage, Files files) {
  switch (arch) {
    case Arch::kAmd64: return programOf<Arch::kAmd64>(stage, files);
    case Arch::kArm64: return programOf<Arch::kArm64>(stage, files);
    case Arch::kArmhf: return programOf<Arch::kArmhf>(stage, files);
    case Arch::kRiscv64: break;
  }
  return programOf<Arch::kRiscv64>(stage, files);
}

std::uint32_t ask(Arch arch, Stage stage, Files files, std::uint32_t number,
                  const std::vector<std::uint64_t>& args, std::uint32_t audit) {
  seccomp_data data{};
  data.nr = static_cast<int>(number);
  data.arch = audit;
  for (std::size_t at = 0; at < args.size(); ++at) data.args[at] = args[at];
  const auto answer = testing::evaluate(programOf(arch, stage, files), data, kPid);
  EXPECT_TRUE(answer) << "the program of " << kArchNames[static_cast<int>(arch)] << " is broken";
  return answer.value_or(0xffffffff);
}

class Filters : public ::testing::TestWithParam<Arch> {
 protected:
  std::uint32_t ask(Stage stage, Files files, std::uint32_t number,
                    const std::vector<std::uint64_t>& args = {}) const {
    return kante::ask(GetParam(), stage, files, number, args, auditArch(GetParam()));
  }
};

TEST_P(Filters, AnswerAsTheTableOfCasesSays) {
  int asked = 0;
  for (const Case& each : kCases) {
    const int number = systemCallNumber(each.call, GetParam());
    ASSERT_NE(number, kNoSuchName) << each.call;
    if (number < 0) continue;
    ++asked;
    std::string what = each.call;
    for (const std::uint64_t arg : each.args) what += " " + std::to_string(arg);
    const auto nr = static_cast<std::uint32_t>(number);
    EXPECT_EQ(ask(Stage::kLoading, Files::kNone, nr, each.args), each.loading) << what;
    EXPECT_EQ(ask(Stage::kRunning, Files::kNone, nr, each.args), each.running) << what;
    EXPECT_EQ(ask(Stage::kLoading, Files::kGranted, nr, each.args),
              each.loading_files.value_or(each.loading))
        << what;
    EXPECT_EQ(ask(Stage::kRunning, Files::kGranted, nr, each.args),
              each.running_files.value_or(each.running))
        << what;
  }
  EXPECT_GT(asked, 100);
}

TEST_P(Filters, TrapEveryCallThatNoRuleNames) {
  std::set<std::uint32_t> ruled;
  for (const Rule& rule : kRules) {
    const int number = systemCallNumber(rule.call, GetParam());
    if (number >= 0) ruled.insert(static_cast<std::uint32_t>(number));
  }
  EXPECT_GT(ruled.size(), 60u);
  std::mt19937 random(1);
  for (std::uint32_t number = 0; number < 2000; ++number) {
    if (ruled.count(number) != 0) continue;
    for (const Files files : {Files::kNone, Files::kGranted})
      for (const Stage stage : {Stage::kLoading, Stage::kRunning})
        EXPECT_EQ(ask(stage, files, number, {random(), random(), random(), random()}), kTrap)
            << number;
  }
  EXPECT_EQ(ask(Stage::kRunning, Files::kNone, 0xffffffff), kTrap);
}

TEST_P(Filters, KillEveryOtherArchitecture) {
  for (const Stage stage : {Stage::kLoading, Stage::kRunning}) {
    for (const Arch other : kArchs) {
      if (other == GetParam()) continue;
      EXPECT_EQ(kante::ask(GetParam(), stage, Files::kNone, 1, {}, auditArch(other)), kKill);
    }
    EXPECT_EQ(kante::ask(GetParam(), stage, Files::kNone, 1, {}, AUDIT_ARCH_I386), kKill);
    EXPECT_EQ(kante::ask(GetParam(), stage, Files::kNone, 1, {}, 0), kKill);
  }
}

// What is stacked on the first filter cannot give back what that one takes: whatever runs after
// loading must pass it too, but for the calls that a report about would be wrong.
TEST_P(Filters, LetTheSecondAllowOnlyWhatTheFirstAllows) {
  std::mt19937_64 random(2);
  const std::uint64_t interesting[] = {0, 1, 2, 3, 4, 5, 7, 8, 31, 0x22, 0x3d0f00, kHigh, kPid};
  for (std::uint32_t number = 0; number < 512; ++number) {
    for (int round = 0; round < 200; ++round) {
      std::vector<std::uint64_t> args;
      for (int at = 0; at < 6; ++at)
        args.push_back(random() % 4 == 0 ? random()
                                         : interesting[random() % std::size(interesting)]);
      for (const Files files : {Files::kNone, Files::kGranted}) {
        if (ask(Stage::kRunning, files, number, args) != kAllow) continue;
        EXPECT_EQ(ask(Stage::kLoading, files, number, args), kAllow) << number;
      }
    }
  }
}

TEST_P(Filters, FitTheKernel) {
  for (const Files files : {Files::kNone, Files::kGranted})
    for (const Stage stage : {Stage::kLoading, Stage::kRunning})
      EXPECT_LT(programOf(GetParam(), stage, files).size, BPF_MAXINSNS / 4);
}

TEST_P(Filters, CanBeRead) {
  const std::string text =
      disassemble(programOf(GetParam(), Stage::kRunning, Files::kNone), GetParam());
  EXPECT_NE(text.find("is futex? "), std::string::npos) << text;
  EXPECT_NE(text.find("errno ENOTTY"), std::string::npos);
  EXPECT_EQ(text.find("is socket"), std::string::npos);
  EXPECT_EQ(text.find("? code"), std::string::npos) << text;
}

INSTANTIATE_TEST_SUITE_P(Every, Filters, ::testing::ValuesIn(kArchs), [](const auto& arch) {
  return std::string(kArchNames[static_cast<int>(arch.param)]);
});

TEST(Rules, HaveAReasonEach) {
  for (const Rule& rule : kRules) {
    EXPECT_GE(std::string_view(rule.reason).size(), 5u) << rule.call.c_str();
    EXPECT_NE(systemCallNumber(rule.call, kThisArch), kNoSuchName) << rule.call.c_str();
    EXPECT_EQ(rule.action == Action::kErrno, rule.error != 0) << rule.call.c_str();
    // Nothing kills but a foreign architecture: a module's bug shall be reported, not guessed.
    EXPECT_NE(rule.action, Action::kKill) << rule.call.c_str();
  }
}

// A reason that says "as X" leads to another rule.
TEST(Rules, ReferToRulesThatAreThere) {
  for (const Rule& rule : kRules) {
    std::string_view other = rule.reason;
    if (other.substr(0, 3) != "as ") continue;
    other = other.substr(3);
    other = other.substr(0, other.find_first_of(" ;:,"));
    bool found = other == "PR_SET_NAME";
    for (const Rule& each : kRules)
      found = found || (std::string_view(each.call) == other && &each != &rule);
    EXPECT_TRUE(found) << rule.call.c_str() << ": " << rule.reason.c_str();
  }
}

TEST(Rules, ReachNoRuleBehindOneThatAlwaysHolds) {
  for (const Rule& rule : kRules) {
    for (const Rule* later = &rule + 1; later < kRules + kRuleCount; ++later) {
      const bool always =
          rule.when[0].test == Comparison::kAlways && rule.when[1].test == Comparison::kAlways;
      if (std::string_view(later->call) != std::string_view(rule.call) || !always) continue;
      bool reached = false;
      for (const Stage stage : {Stage::kLoading, Stage::kRunning})
        for (const Files files : {Files::kNone, Files::kGranted})
          reached = reached || (later->in(stage, files) && !rule.in(stage, files));
      EXPECT_TRUE(reached) << rule.call.c_str()
                           << " has a rule that is never asked: " << later->reason.c_str();
    }
  }
}

TEST(SystemCalls, HaveTheNumbersThatLibseccompKnows) {
  constexpr std::uint32_t kTheirs[] = {SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64, SCMP_ARCH_ARM,
                                       SCMP_ARCH_RISCV64};
  int compared = 0;
  for (const SystemCall& call : kSystemCalls) {
    for (const Arch arch : kArchs) {
      const int ours = call.numbers[static_cast<int>(arch)];
      const int theirs =
          seccomp_syscall_resolve_name_arch(kTheirs[static_cast<int>(arch)], call.name.c_str());
      if (theirs == __NR_SCMP_ERROR) continue;  // Younger than that library.
      EXPECT_EQ(ours, theirs < 0 ? -1 : theirs)
          << call.name.c_str() << " on " << kArchNames[static_cast<int>(arch)];
      ++compared;
    }
  }
  EXPECT_GT(compared, 1600);
}

TEST(SystemCalls, HaveTheNumbersOfThisMachine) {
  const auto number = [](const char* name) { return systemCallNumber(name, kThisArch); };
  EXPECT_EQ(number("read"), SYS_read);
  EXPECT_EQ(number("futex"), SYS_futex);
  EXPECT_EQ(number("clone3"), SYS_clone3);
  EXPECT_EQ(number("seccomp"), SYS_seccomp);
  EXPECT_EQ(number("openat"), SYS_openat);
  EXPECT_STREQ(systemCallName(auditArch(kThisArch), SYS_socket), "socket");
  EXPECT_EQ(systemCallName(auditArch(kThisArch), 99999), nullptr);
  EXPECT_EQ(systemCallName(AUDIT_ARCH_S390X, 1), nullptr);
}

TEST(PrintFilters, SaysRuleStageAndReason) {
  const std::string text = printFilters();
  EXPECT_NE(text.find("1+2       errno ENOSYS   clone3: its flags are behind a pointer"),
            std::string::npos)
      << text.substr(0, 4000);
  EXPECT_NE(text.find("filter 1, with granted files"), std::string::npos);
  EXPECT_NE(text.find("everything else: trap"), std::string::npos);
}

// Numbers of the other ABI of the same machine.
TEST(Runner, HasTheProgramsOfItsOwnMachine) {
  for (const Files files : {Files::kNone, Files::kGranted})
    for (const Stage stage : {Stage::kLoading, Stage::kRunning})
      EXPECT_EQ(disassemble(filterProgram(stage, files), kThisArch),
                disassemble(programOf(kThisArch, stage, files), kThisArch));
}

TEST(X32, IsKilled) {
  for (const std::uint32_t number : {0u, 1u, 59u, 512u, 520u})
    EXPECT_EQ(ask(Arch::kAmd64, Stage::kLoading, Files::kNone, kX32Bit | number, {},
                  auditArch(Arch::kAmd64)),
              kKill);
}

}  // namespace
}  // namespace kante
