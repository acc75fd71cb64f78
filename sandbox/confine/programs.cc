#include "sandbox/confine/programs.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "sandbox/confine/confine.h"
#include "sandbox/confine/rules.h"

namespace kante {

namespace {

template <Stage stage, Files files>
constexpr Program kProgram = Assembler().assemble(kRules, kRuleCount, kThisArch, stage, files);

const char* nameOf(Arch arch, std::uint32_t number) {
  for (const SystemCall& call : kSystemCalls)
    if (call.numbers[static_cast<int>(arch)] == static_cast<int>(number)) return call.name.c_str();
  return nullptr;
}

std::string format(const char* pattern, std::uint32_t a, std::uint32_t b = 0, std::uint32_t c = 0) {
  char text[128];
  std::snprintf(text, sizeof text, pattern, a, b, c);
  return text;
}

std::string answerText(std::uint32_t value) {
  switch (value & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW: return "allow";
    case SECCOMP_RET_TRAP: return "trap";
    case SECCOMP_RET_KILL_PROCESS: return "kill";
    case SECCOMP_RET_ERRNO:
      return std::string("errno ") + ::strerrorname_np(static_cast<int>(value & SECCOMP_RET_DATA));
    default: return format("answer 0x%x", value);
  }
}

std::string loadText(std::uint32_t offset) {
  if (offset == offsetof(seccomp_data, nr)) return "load call";
  if (offset == offsetof(seccomp_data, arch)) return "load architecture";
  const std::uint32_t at = offset - static_cast<std::uint32_t>(offsetof(seccomp_data, args));
  return format(at % 8 == 0 ? "load argument %u" : "load upper half of argument %u", at / 8);
}

}  // namespace

const Program& filterProgram(Stage stage, Files files) {
  if (stage == Stage::kLoading) {
    return files == Files::kGranted ? kProgram<Stage::kLoading, Files::kGranted>
                                    : kProgram<Stage::kLoading, Files::kNone>;
  }
  return files == Files::kGranted ? kProgram<Stage::kRunning, Files::kGranted>
                                  : kProgram<Stage::kRunning, Files::kNone>;
}

std::string installFilter(Stage stage, Files files) {
  Program program = filterProgram(stage, files);
  for (std::uint16_t at = 0; at < program.own_pids; ++at)
    program.code[program.own_pid[at]].k = static_cast<std::uint32_t>(::getpid());
  const sock_fprog filter{program.size, program.code.data()};
  const long answer =
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
  if (answer == 0) return {};
  const std::string which = stage == Stage::kLoading ? "the first filter" : "the second filter";
  if (answer > 0) return which + " cannot be put on thread " + std::to_string(answer);
  return which + " is refused by the kernel: " + std::strerror(errno);
}

std::string disassemble(const Program& program, Arch arch) {
  std::string text;
  bool call_loaded = false;
  for (std::uint32_t at = 0; at < program.size; ++at) {
    const sock_filter& code = program.code[at];
    text += format("%4u  ", at);
    switch (code.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        text += loadText(code.k);
        call_loaded = code.k == offsetof(seccomp_data, nr);
        break;
      case BPF_ALU | BPF_AND | BPF_K: text += format("and 0x%x", code.k); break;
      case BPF_JMP | BPF_JEQ | BPF_K: {
        const char* name = call_loaded ? nameOf(arch, code.k) : nullptr;
        text += name != nullptr ? std::string("is ") + name : format("is 0x%x", code.k);
        // A block about one call ends before the next one is asked about.
        text += format("? %u : %u", at + 1 + code.jt, at + 1 + code.jf);
        break;
      }
      case BPF_JMP | BPF_JSET | BPF_K:
        text += format("has any of 0x%x? %u : %u", code.k, at + 1 + code.jt, at + 1 + code.jf);
        break;
      case BPF_RET | BPF_K:
        text += answerText(code.k);
        call_loaded = true;  // Whatever comes next was jumped to with the call still loaded.
        break;
      default: text += format("? code 0x%x", code.code);
    }
    text += '\n';
  }
  return text;
}

const char* systemCallName(unsigned architecture, unsigned number) {
  for (const Arch arch : kArchs)
    if (auditArch(arch) == architecture) return nameOf(arch, number);
  return nullptr;
}

std::string printFilters() {
  std::string text = "rules\n";
  for (const Rule& rule : kRules) {
    const char* stage = rule.stage == Stage::kBoth      ? "1+2"
                        : rule.stage == Stage::kLoading ? "1  "
                                                        : "  2";
    text += std::string("  ") + stage + (rule.files == Files::kGranted ? " files " : "       ");
    std::string what = answerText(verdict(rule.action, rule.error));
    what.resize(std::max<std::size_t>(what.size(), 14), ' ');
    text += what + ' ' + std::string(std::string_view(rule.call));
    for (const When& when : rule.when) {
      if (when.test == Comparison::kIs)
        text += format(" [arg %u & 0x%x == 0x%x]", when.argument, when.mask, when.value);
      if (when.test == Comparison::kIsNull) text += format(" [arg %u is null]", when.argument);
      if (when.test == Comparison::kOwnPid)
        text += format(" [arg %u is the own pid]", when.argument);
    }
    text += ": " + std::string(std::string_view(rule.reason)) + '\n';
  }
  text += "  everything else: trap\n";
  for (const Stage stage : {Stage::kLoading, Stage::kRunning}) {
    for (const Files files : {Files::kNone, Files::kGranted}) {
      text += std::string("\nfilter ") + (stage == Stage::kLoading ? "1" : "2") +
              (files == Files::kGranted ? ", with granted files" : "") + ", " +
              kArchNames[static_cast<int>(kThisArch)] + '\n';
      text += disassemble(filterProgram(stage, files), kThisArch);
    }
  }
  return text;
}

}  // namespace kante
