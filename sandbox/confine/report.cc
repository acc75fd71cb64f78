// The handlers that write into the runner's page what the module was about to do.
#include "sandbox/confine/report.h"

#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>

#include "sandbox/confine/confine.h"
#include "sandbox/confine/syscalls.h"

namespace kante {

namespace {

constexpr int kFromFilter = 1;  // SYS_SECCOMP, which libc does not name everywhere.
[[maybe_unused]] constexpr int kDeadly[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
constexpr std::size_t kStackBytes = 64u << 10;

// Process-wide as signal handlers are; set once, before any module code.
RunnerPage* s_page = nullptr;
[[maybe_unused]] alignas(64) char s_stack[kStackBytes];

void answer(void* context, long value) {
  auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  machine.gregs[REG_RAX] = value;
#elif defined(__aarch64__)
  machine.regs[0] = static_cast<unsigned long long>(value);
#elif defined(__arm__)
  machine.arm_r0 = static_cast<unsigned long>(value);
#elif defined(__riscv)
  machine.__gregs[REG_A0] = static_cast<unsigned long>(value);
#endif
}

// On the thread that made the call, in whatever it was doing: plain stores only.
void onRefusedCall(int, siginfo_t* info, void* context) {
  if (info->si_code != kFromFilter) return;
  s_page->syscall.store(static_cast<std::uint32_t>(info->si_syscall), std::memory_order_relaxed);
  s_page->architecture.store(info->si_arch, std::memory_order_relaxed);
  s_page->address.store(reinterpret_cast<std::uint64_t>(info->si_call_addr),
                        std::memory_order_relaxed);
  s_page->violations.fetch_add(1, std::memory_order_release);
  answer(context, -EPERM);
}

// Only the first signal is noted: what follows (libc's abort() ends in a fault where SIGABRT does
// not kill) is its consequence.
[[maybe_unused]] void onDeadlySignal(int number, siginfo_t* info, void*) {
  const bool fault = info->si_code > 0;  // By an instruction; else somebody sent it.
  std::uint32_t none = 0;
  if (s_page->signal.load(std::memory_order_relaxed) == 0) {
    s_page->fault_address.store(fault ? reinterpret_cast<std::uint64_t>(info->si_addr) : 0,
                                std::memory_order_relaxed);
    s_page->signal.compare_exchange_strong(none, static_cast<std::uint32_t>(number));
  }
  for (const int each : kDeadly) ::signal(each, SIG_DFL);
  if (fault) return;  // The instruction is run again, and now it kills.
  ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), number);
  sigset_t pending;
  ::sigemptyset(&pending);
  ::sigaddset(&pending, number);
  ::pthread_sigmask(SIG_UNBLOCK, &pending, nullptr);
  // Still here: the first process of a namespace ignores what it sends to itself.  Not a fault.
  __builtin_trap();
}

}  // namespace

std::uint32_t reportedViolations() { return s_page == nullptr ? 0 : s_page->violations.load(); }

void forgetViolations() {
  if (s_page == nullptr) return;
  s_page->violations.store(0);
  s_page->syscall.store(0);
  s_page->architecture.store(0);
  s_page->address.store(0);
}

void installReports(RunnerPage& page) {
  s_page = &page;
  struct sigaction refused {};
  refused.sa_sigaction = onRefusedCall;
  // Not deferred: the handler makes no call, and with SIGSYS blocked a trap would kill.
  refused.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART;
  ::sigemptyset(&refused.sa_mask);
  ::sigaction(SIGSYS, &refused, nullptr);
#if !defined(KANTE_SANITIZED)  // A sanitizer has its own.
  stack_t stack{};
  stack.ss_sp = s_stack;
  stack.ss_size = sizeof s_stack;
  ::sigaltstack(&stack, nullptr);
  struct sigaction deadly {};
  deadly.sa_sigaction = onDeadlySignal;
  deadly.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&deadly.sa_mask);
  for (const int number : kDeadly) ::sigaction(number, &deadly, nullptr);
#endif
}

}  // namespace kante
