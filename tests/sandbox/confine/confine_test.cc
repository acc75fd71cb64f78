// Filters, Landlock and the rest on the real kernel, in children that confine themselves.
#include "sandbox/confine/confine.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "sandbox/confine/landlock.h"
#include "sandbox/confine/privileges.h"
#include "sandbox/confine/syscalls.h"
#include "tests/sandbox/confine/child.h"
#include "tests/sandbox/confine/twin.h"
#include "tests/support/eventually.h"

#if !defined(KANTE_SANITIZED)

namespace kante {
namespace {

using testing::As;
using testing::ConfinedChild;
using testing::Ended;
using testing::Notebook;
using testing::Preparation;

// Says whether what the work finds is so.
void check(Notebook& notes, bool holds, const char* what) {
  if (!holds) notes.note(std::string("not so: ") + what + ", errno " + std::to_string(errno));
}

Start startOf(std::uint32_t tier) {
  Start start;
  start.tier = tier;
  return start;
}

std::string lineOf(pid_t pid, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind(name + ":", 0) == 0) return line.substr(name.size() + 1);
  return {};
}

class Confine : public ::testing::TestWithParam<std::tuple<std::uint32_t, As>> {
 protected:
  void SetUp() override {
    how_.tier = std::get<0>(GetParam());
    how_.as = std::get<1>(GetParam());
    if (how_.as == As::kNobody && ::geteuid() != 0)
      GTEST_SKIP() << "only root becomes somebody else";
    const char* must = std::getenv("KANTE_SANDBOX_MUST_WORK");
    if (must != nullptr && std::string(must) == "1") return;
    if (how_.tier != 1 && probeLandlock() == 0) GTEST_SKIP() << "this kernel has no Landlock";
    if (ConfinedChild().run(how_, [](Notebook&) {}).exit_code == testing::kNoNamespaces)
      GTEST_SKIP() << "no namespaces here";
  }
  const char* modulePath() const { return how_.tier == 2 ? "/proc/self/fd/7" : "/mod/module.so"; }

  Preparation how_;
  ConfinedChild child_;
};

TEST_P(Confine, LeavesNothingAndKnowsIt) {
  const Ended ended = child_.run(how_, [](Notebook&) {});
  ASSERT_EQ(ended.exit_code, 0) << child_.text();
  const Facts& facts = child_.notes().facts;
  EXPECT_EQ(facts.capabilities, 0u);
  EXPECT_EQ(facts.no_new_privs, 1u);
  EXPECT_EQ(facts.seccomp_mode, 2u);
  EXPECT_EQ(facts.dumpable, 0u);
  EXPECT_GE(facts.tried, 10u);
  EXPECT_EQ(facts.refused, facts.tried);
  EXPECT_EQ(facts.landlock_abi > 0, how_.tier != 1);
  EXPECT_EQ(child_.notes().page.violations.load(), 0u) << "the self-test is no fault of the module";
}

TEST_P(Confine, CanBeSeenFromOutside) {
  int gate[2];
  ASSERT_EQ(::pipe2(gate, O_CLOEXEC), 0);
  how_.before = [&gate] { ::dup2(gate[0], 0); };
  const pid_t pid = child_.start(how_, [](Notebook& notes) {
    notes.note("confined");
    char byte;
    check(notes, ::read(0, &byte, 1) == 1, "the gate opens");
  });
  EXPECT_TRUE(eventually([&] { return child_.notes().entries > 0; }));
  EXPECT_EQ(lineOf(pid, "Seccomp"), "\t2");
  EXPECT_EQ(lineOf(pid, "NoNewPrivs"), "\t1");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"})
    EXPECT_EQ(lineOf(pid, set), "\t0000000000000000") << set;
  if (::geteuid() == 0) {
    EXPECT_EQ(lineOf(pid, "Uid"), "\t65534\t65534\t65534\t65534");
    EXPECT_EQ(lineOf(pid, "Gid"), "\t65534\t65534\t65534\t65534");
    EXPECT_EQ(lineOf(pid, "Groups"), "\t ");
  }
  if (::geteuid() == 0 && how_.as == As::kSame) {
    EXPECT_EQ(lineOf(pid, "CapBnd"), "\t0000000000000000");
  }
  ASSERT_EQ(::write(gate[1], "x", 1), 1);
  EXPECT_EQ(child_.wait().exit_code, 0);
  EXPECT_EQ(child_.text(), "confined\n");
  ::close(gate[0]);
  ::close(gate[1]);
}

TEST_P(Confine, ReportsACallThatNoRuleAllows) {
  const Ended ended = child_.run(how_, [](Notebook& notes) {
    errno = 0;
    check(notes, ::syscall(SYS_socket, 2, 1, 0) == -1 && errno == EPERM, "no socket");
    check(notes, notes.page.violations.load() == 1, "counted once");
  });
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(child_.text(), "");
  const RunnerPage& page = child_.notes().page;
  EXPECT_STREQ(systemCallName(page.architecture, page.syscall), "socket");
  EXPECT_EQ(page.architecture.load(), auditArch(kThisArch));
  EXPECT_NE(page.address.load(), 0u);
}

TEST_P(Confine, KeepsTheHandlerThatReports) {
  const Ended ended = child_.run(how_, [](Notebook& notes) {
    check(notes, std::signal(SIGSYS, SIG_DFL) == SIG_ERR && errno == EPERM, "no other handler");
    check(notes, std::signal(SIGUSR1, SIG_IGN) != SIG_ERR, "others are free");
    check(notes, ::syscall(SYS_socket, 2, 1, 0) == -1, "no socket");
  });
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(ended.signal, 0);
  EXPECT_EQ(child_.text(), "");
  EXPECT_EQ(child_.notes().page.violations.load(), 2u);
}

TEST_P(Confine, TakesFilesAndTheSecondFilterAfterLoading) {
  const Ended ended = child_.run(how_, [this](Notebook& notes) {
    const std::string error = afterLoad(startOf(how_.tier));
    if (!error.empty()) notes.note(error);
    check(notes, ::open("/", O_RDONLY | O_CLOEXEC) == -1 && errno == ENOENT, "no file");
    check(notes, ::access("/", F_OK) == -1 && errno == ENOENT, "no look at files");
    check(notes, notes.page.violations.load() == 0, "without a report");
    const std::string again = afterLoad(startOf(how_.tier));
    check(notes, again.find("the second filter is refused") == 0, again.c_str());
  });
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(child_.text(), "");
}

TEST_P(Confine, LoadsAModuleFromItsSealedBytes) {
  how_.module_file = KANTE_CONFINE_LIBRARY;
  const Ended ended = child_.run(how_, [this](Notebook& notes) {
    void* library = ::dlopen(modulePath(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == nullptr) return notes.note(::dlerror());
    const std::string error = afterLoad(startOf(how_.tier));
    if (!error.empty()) notes.note(error);
    auto* answer = reinterpret_cast<int (*)()>(::dlsym(library, "answer"));
    check(notes, answer != nullptr && answer() == 42, "its constructor ran");
    check(notes,
          ::dlopen(modulePath(), RTLD_NOW | RTLD_NOLOAD) == nullptr ||
              notes.page.violations.load() == 0,
          "nothing was reported");
  });
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(child_.text(), "");
  EXPECT_EQ(child_.notes().page.violations.load(), 0u);
}

TEST_P(Confine, LetsAnOrdinaryProgramLive) {
  const Ended ended = child_.run(how_, [this](Notebook& notes) {
    notes.note("loading: " + testing::liveNormally(testing::Where::kAnywhere));
    notes.note(afterLoad(startOf(how_.tier)));
    notes.note("running: " + testing::liveNormally(testing::Where::kAnywhere));
  });
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(child_.text(), "loading: \n\nrunning: \n");
  const RunnerPage& page = child_.notes().page;
  EXPECT_EQ(page.violations.load(), 0u) << systemCallName(page.architecture, page.syscall);
}

// A thread that a constructor left behind.
TEST_P(Confine, BindsEarlierThreadsWithTheSecondFilter) {
  const Ended ended = child_.run(how_, [this](Notebook& notes) {
    std::promise<void> loaded;
    std::thread earlier([&notes, future = loaded.get_future()] {
      check(notes, ::open("/", O_RDONLY | O_CLOEXEC) >= -1, "before");
      future.wait();
      check(notes, ::open("/", O_RDONLY | O_CLOEXEC) == -1 && errno == ENOENT, "no file");
    });
    check(notes, afterLoad(startOf(how_.tier)).empty(), "the second filter");
    loaded.set_value();
    earlier.join();
  });
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(child_.text(), "");
}

TEST_P(Confine, LoadsNoLibraryThatWantsAnExecutableStack) {
  how_.module_file = KANTE_CONFINE_LIBRARY_EXECSTACK;
  const Ended ended = child_.run(how_, [this](Notebook& notes) {
    notes.note(::dlopen(modulePath(), RTLD_NOW) == nullptr ? ::dlerror() : "loaded");
  });
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_NE(child_.text().find("executable stack"), std::string::npos) << child_.text();
}

TEST_P(Confine, MapsNothingOfTheRingAsCode) {
  how_.before = [] {
    const int file = ::memfd_create("ring", MFD_CLOEXEC);
    if (::ftruncate(file, 4096) == 0) ::dup2(file, kRunnerRunnerFileFd);
    ::close(file);
  };
  const Ended ended = child_.run(how_, [](Notebook& notes) {
    void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, kRunnerRunnerFileFd, 0);
    check(notes, page == MAP_FAILED && errno == EBADF, "its descriptor is closed");
  });
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(child_.text(), "");
}

TEST_P(Confine, ReportsADeadlySignalAndDiesOfIt) {
  const Ended ended = child_.run(how_, [](Notebook&) {
    auto* volatile nowhere = reinterpret_cast<volatile int*>(0x10);
    *nowhere = 1;
  });
  EXPECT_EQ(ended.signal, SIGSEGV);
  EXPECT_EQ(child_.notes().page.signal.load(), static_cast<std::uint32_t>(SIGSEGV));
  EXPECT_EQ(child_.notes().page.fault_address.load(), 0x10u);
}

TEST_P(Confine, ReportsAnAbortAndDiesOfIt) {
  const Ended ended = child_.run(how_, [](Notebook&) { std::abort(); });
  EXPECT_EQ(ended.signal, SIGABRT);
  EXPECT_EQ(child_.notes().page.signal.load(), static_cast<std::uint32_t>(SIGABRT));
  EXPECT_EQ(child_.notes().page.violations.load(), 0u);
}

[[gnu::noinline]] int overflow(int depth) {
  volatile char room[4096];
  room[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : overflow(depth + 1) + room[0];
}

TEST_P(Confine, ReportsAStackThatOverflowed) {
  const Ended ended = child_.run(how_, [](Notebook&) { overflow(0); });
  EXPECT_EQ(ended.signal, SIGSEGV);
  EXPECT_EQ(child_.notes().page.signal.load(), static_cast<std::uint32_t>(SIGSEGV));
}

// Its own SIGABRT does not kill the first process of a namespace, and the report must not be lost.
TEST_P(Confine, DiesOfAnAbortAlsoAsTheFirstProcessOfItsNamespace) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root for a namespace of pids";
  how_.own_pids = true;
  const Ended ended = child_.run(how_, [](Notebook& notes) {
    check(notes, ::getpid() == 1, "the first process");
    std::abort();
  });
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(child_.text(), "signal " + std::to_string(SIGILL) + "\n");
  EXPECT_EQ(child_.notes().page.signal.load(), static_cast<std::uint32_t>(SIGABRT));
}

#if defined(__x86_64__)
TEST_P(Confine, DiesAtTheGateOfAnotherArchitecture) {
  const Ended ended = child_.run(how_, [](Notebook& notes) {
    long answer = 20;  // getpid of i386
    asm volatile("int $0x80" : "+a"(answer) : : "memory");
    notes.note("answered " + std::to_string(answer));
  });
  EXPECT_EQ(ended.signal, SIGSYS);
  EXPECT_EQ(child_.text(), "");
}

TEST_P(Confine, DiesOfANumberOfX32) {
  const Ended ended = child_.run(how_, [](Notebook& notes) {
    notes.note("answered " + std::to_string(::syscall(0x40000000 | SYS_getpid)));
  });
  EXPECT_EQ(ended.signal, SIGSYS);
}
#endif

INSTANTIATE_TEST_SUITE_P(Every, Confine,
                         ::testing::Combine(::testing::Values(3u, 2u, 1u),
                                            ::testing::Values(As::kSame, As::kNobody)),
                         [](const auto& each) {
                           return "Tier" + std::to_string(std::get<0>(each.param)) +
                                  (std::get<1>(each.param) == As::kNobody ? "AsNobody" : "");
                         });

TEST(ConfineRefuses, ATierThatIsNot) {
  ConfinedChild child;
  Preparation how;
  how.tier = 4;
  EXPECT_EQ(child.run(how, [](Notebook&) {}).exit_code, testing::kNotConfined);
  EXPECT_EQ(child.text(), "there is no tier 4\n");
}

TEST(ConfineRefuses, ModuleBytesThatCanStillChange) {
  ConfinedChild child;
  Preparation how;
  how.module_sealed = false;
  EXPECT_EQ(child.run(how, [](Notebook&) {}).exit_code, testing::kNotConfined);
  EXPECT_EQ(child.text(), "the module's bytes are not sealed\n");
}

TEST(ConfineRefuses, ModuleBytesThatAreInNoMemoryFile) {
  ConfinedChild child;
  Preparation how;
  how.before = [] { ::dup2(0, kRunnerModuleFd); };
  EXPECT_EQ(child.run(how, [](Notebook&) {}).exit_code, testing::kNotConfined);
  EXPECT_EQ(child.text().find("the module's bytes are in no memory file: "), 0u) << child.text();
}

TEST(ConfineRefuses, ASecondTime) {
  ConfinedChild child;
  Preparation how;
  how.tier = 1;
  const Ended ended = child.run(how, [](Notebook& notes) {
    Facts facts;
    notes.note(confine(startOf(1), facts));
  });
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(child.text(), "capget: Operation not permitted\n");
}

// Without any filter beside it: what each layer refuses, it refuses by itself.
TEST(Landlock, HoldsAlone) {
  const int abi = probeLandlock();
  if (abi == 0) GTEST_SKIP() << "this kernel has no Landlock";
  ConfinedChild child;
  const Ended ended = child.runBare([abi](Notebook& notes) {
    check(notes, ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    const std::string error =
        restrictToLandlock(abi, {{KANTE_CONFINE_LIBRARY, LandlockGrant::To::kLoad},
                                 {"/nowhere", LandlockGrant::To::kLoad}});
    if (!error.empty()) notes.note(error);
    check(notes, ::open("/etc/passwd", O_RDONLY | O_CLOEXEC) == -1 && errno == EACCES, "read");
    check(notes,
          ::open("/tmp/escaped", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) == -1 && errno == EACCES,
          "create");
    check(notes, ::open(KANTE_CONFINE_LIBRARY, O_RDONLY | O_CLOEXEC) >= 0, "what is granted");
    check(notes, ::open(KANTE_CONFINE_LIBRARY, O_RDWR | O_CLOEXEC) == -1 && errno == EACCES,
          "to write it");
    const int tcp = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(9);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto* address = reinterpret_cast<const sockaddr*>(&peer);
    if (abi >= 4) {
      check(notes, ::connect(tcp, address, sizeof peer) == -1 && errno == EACCES, "connect");
      check(notes, ::bind(tcp, address, sizeof peer) == -1 && errno == EACCES, "bind");
    }
    if (abi >= 6) check(notes, ::kill(::getppid(), 0) == -1 && errno == EPERM, "signal the parent");
  });
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(child.text(), "");
}

TEST(WriteOrExecute, HoldsAlone) {
  ConfinedChild child;
  const Ended ended = child.runBare([](Notebook& notes) {
    Facts facts;
    const std::string error = dropPrivileges(startOf(2), facts);
    if (!error.empty()) return notes.note(error);
    if (facts.mdwe == 0) return notes.note("no such switch");
    constexpr int kAll = PROT_READ | PROT_WRITE | PROT_EXEC;
    void* page = ::mmap(nullptr, 4096, kAll, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(notes, page == MAP_FAILED && errno == EACCES, "writable and executable");
    page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(notes, ::mprotect(page, 4096, PROT_READ | PROT_EXEC) == -1 && errno == EACCES,
          "executable later");
  });
  if (child.text() == "no such switch\n") GTEST_SKIP() << "needs kernel 6.3";
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(child.text(), "");
}

TEST(Landlock, HandlesMoreWithEachAbi) {
  EXPECT_EQ(landlockRights(0).files, 0u);
  std::uint64_t before = 0;
  for (int abi = 1; abi <= kLandlockKnown; ++abi) {
    const LandlockRights rights = landlockRights(abi);
    EXPECT_EQ(rights.files & before, before) << abi;
    before = rights.files;
    EXPECT_EQ(rights.tcp != 0, abi >= 4) << abi;
    EXPECT_EQ(rights.scopes != 0, abi >= 6) << abi;
  }
}

}  // namespace
}  // namespace kante

#endif
