// What a rule of the filters is, and how the rules become programs for seccomp.
//
// The rules of one call are asked in their order; the first whose conditions all hold decides.  A
// call without a rule, or with none that holds, traps.  Conditions compare the low 32 bits of an
// argument, because that is what the kernel looks at where the argument is an int: whoever compares
// 64 lets a call through whose upper bits are set.  Pointers alone are compared whole.
//
// Programs are assembled by the compiler (constexpr), for every architecture on any of them.  They
// are a chain, one block a call in the order of the table, which begins with the most frequent
// ones: the kernel remembers the calls that a program always allows and does not run it for them.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sandbox/confine/syscalls.h"

namespace kante {

enum class Action : std::uint8_t { kAllow, kErrno, kTrap, kKill };

// Which of the two filters: the first while the module loads, the second is put on top of it.
enum class Stage : std::uint8_t { kLoading = 1, kRunning = 2, kBoth = 3 };

// Whether the deployment gave the module files or directories.
enum class Files : std::uint8_t { kNone = 1, kGranted = 2, kAny = 3 };

enum class Comparison : std::uint8_t {
  kAlways,
  kIs,      // (low 32 bits & mask) == value
  kIsNull,  // All 64 bits are 0.
  kOwnPid,  // The low 32 bits are the process id, which is put in before the program is used.
};

struct When {
  Comparison test = Comparison::kAlways;
  std::uint8_t argument = 0;
  std::uint32_t mask = 0;
  std::uint32_t value = 0;
};

constexpr When bits(int argument, std::uint32_t mask, std::uint32_t value) {
  return {Comparison::kIs, static_cast<std::uint8_t>(argument), mask, value};
}
constexpr When equals(int argument, std::uint32_t value) {
  return bits(argument, 0xffffffff, value);
}
constexpr When isNull(int argument) {
  return {Comparison::kIsNull, static_cast<std::uint8_t>(argument), 0, 0};
}
constexpr When ownPid(int argument) {
  return {Comparison::kOwnPid, static_cast<std::uint8_t>(argument), 0, 0};
}

struct Rule {
  InlineText<31> call;
  Stage stage;
  Action action;
  int error;  // Of kErrno, else 0.
  std::array<When, 2> when;
  InlineText<119> reason;
  Files files = Files::kAny;

  constexpr bool in(Stage of, Files with) const {
    return (static_cast<int>(stage) & static_cast<int>(of)) != 0 &&
           (static_cast<int>(files) & static_cast<int>(with)) != 0;
  }
};

// One program.  `own_pid` lists the instructions whose constant is the process id.
struct Program {
  static constexpr std::size_t kInstructionsMax = 512;
  static constexpr std::size_t kPidsMax = 8;

  std::array<sock_filter, kInstructionsMax> code{};
  std::uint16_t size = 0;
  std::array<std::uint16_t, kPidsMax> own_pid{};
  std::uint16_t own_pids = 0;
};

inline constexpr std::uint32_t kX32Bit = 0x40000000;

constexpr std::uint32_t verdict(Action action, int error) {
  switch (action) {
    case Action::kAllow: return SECCOMP_RET_ALLOW;
    case Action::kErrno: return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error);
    case Action::kTrap: return SECCOMP_RET_TRAP;
    case Action::kKill: break;
  }
  return SECCOMP_RET_KILL_PROCESS;
}

// Writes one program.  What it throws ends the compilation, as it is only used in constant
// expressions.
class Assembler {
 public:
  constexpr Program assemble(const Rule* rules, std::size_t count, Arch arch, Stage stage,
                             Files files) {
    loadWord(offsetof(seccomp_data, arch));
    jumpEqual(auditArch(arch), 1, 0);
    answer(SECCOMP_RET_KILL_PROCESS);
    loadWord(offsetof(seccomp_data, nr));
    if (arch == Arch::kAmd64) {
      // Number -1 is nobody's; of the others the x32 bit marks another ABI of the same
      // architecture.
      jumpEqual(0xffffffff, 0, 1);
      answer(SECCOMP_RET_TRAP);
      add(BPF_JMP | BPF_JSET | BPF_K, kX32Bit, 0, 1);
      answer(SECCOMP_RET_KILL_PROCESS);
    }
    for (std::size_t at = 0; at < count; ++at) {
      if (isRepeated(rules, at)) continue;
      const int number = systemCallNumber(rules[at].call, arch);
      if (number == kNoSuchName) throw "a rule names a system call that no architecture has";
      if (number >= 0) block(rules, at, count, number, stage, files);
    }
    answer(SECCOMP_RET_TRAP);
    return program_;
  }

 private:
  static constexpr bool sameCall(const Rule& a, const Rule& b) {
    return std::string_view(a.call) == std::string_view(b.call);
  }
  static constexpr bool isRepeated(const Rule* rules, std::size_t at) {
    for (std::size_t earlier = 0; earlier < at; ++earlier)
      if (sameCall(rules[earlier], rules[at])) return true;
    return false;
  }

  // All rules of one call; falls through to the next block when the number is another.
  constexpr void block(const Rule* rules, std::size_t first, std::size_t count, int number,
                       Stage stage, Files files) {
    const std::size_t head = program_.size;
    jumpEqual(static_cast<std::uint32_t>(number), 0, 0);
    bool open = true;  // Something may still come after the last rule.
    for (std::size_t at = first; at < count && open; ++at)
      if (sameCall(rules[at], rules[first]) && rules[at].in(stage, files)) open = rule(rules[at]);
    if (program_.size == head + 1) {  // No rule in this stage.
      --program_.size;
      return;
    }
    if (open) answer(SECCOMP_RET_TRAP);
    program_.code[head].jf = distance(head);
  }

  // False when nothing can get past it.
  constexpr bool rule(const Rule& rule) {
    std::array<std::size_t, 8> misses{};
    std::size_t missed = 0;
    for (const When& when : rule.when) {
      if (when.test == Comparison::kAlways) continue;
      const std::uint32_t low =
          static_cast<std::uint32_t>(offsetof(seccomp_data, args)) + 8u * when.argument;
      if (when.test == Comparison::kIsNull) {
        loadWord(low + 4);
        misses[missed++] = program_.size;
        jumpEqual(0, 0, 0);
      }
      loadWord(low);
      if (when.test == Comparison::kIs && when.mask != 0xffffffff)
        add(BPF_ALU | BPF_AND | BPF_K, when.mask, 0, 0);
      if (when.test == Comparison::kOwnPid) {
        if (program_.own_pids == Program::kPidsMax) throw "too many rules about the own process";
        program_.own_pid[program_.own_pids++] = program_.size;
      }
      misses[missed++] = program_.size;
      jumpEqual(when.value, 0, 0);
    }
    answer(verdict(rule.action, rule.error));
    for (std::size_t at = 0; at < missed; ++at) program_.code[misses[at]].jf = distance(misses[at]);
    return missed != 0;
  }

  constexpr std::uint8_t distance(std::size_t from) const {
    const std::size_t jump = program_.size - from - 1;
    if (jump > 255) throw "a call has more rules than a jump reaches over";
    return static_cast<std::uint8_t>(jump);
  }
  constexpr void loadWord(std::size_t offset) {
    add(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset), 0, 0);
  }
  constexpr void jumpEqual(std::uint32_t value, std::uint8_t yes, std::uint8_t no) {
    add(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no);
  }
  constexpr void answer(std::uint32_t value) { add(BPF_RET | BPF_K, value, 0, 0); }
  constexpr void add(int code, std::uint32_t k, std::uint8_t yes, std::uint8_t no) {
    if (program_.size == Program::kInstructionsMax) throw "the program is too long";
    program_.code[program_.size++] = {static_cast<std::uint16_t>(code), yes, no, k};
  }

  Program program_;
};

}  // namespace kante
