// Runs a filter without a kernel: what seccomp would answer to one call.
//
// Knows the few instructions that the kernel lets a filter have, and refuses what its checker
// would: jumps out of the program, loads beside the data, an end without an answer.
#pragma once

#include <linux/seccomp.h>

#include <cstring>
#include <optional>

#include "sandbox/confine/filter.h"

namespace kante::testing {

inline std::optional<std::uint32_t> evaluate(const Program& program, const seccomp_data& data,
                                             std::uint32_t own_pid) {
  std::uint32_t accumulator = 0;
  for (std::size_t at = 0; at < program.size; ++at) {
    const sock_filter& code = program.code[at];
    std::uint32_t k = code.k;
    for (std::uint16_t pid = 0; pid < program.own_pids; ++pid)
      if (program.own_pid[pid] == at) k = own_pid;
    bool taken = false;
    switch (code.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (k % 4 != 0 || k + 4 > sizeof data) return std::nullopt;
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + k, 4);
        continue;
      case BPF_ALU | BPF_AND | BPF_K: accumulator &= k; continue;
      case BPF_JMP | BPF_JEQ | BPF_K: taken = accumulator == k; break;
      case BPF_JMP | BPF_JSET | BPF_K: taken = (accumulator & k) != 0; break;
      case BPF_RET | BPF_K: return k;
      default: return std::nullopt;
    }
    at += taken ? code.jt : code.jf;
  }
  return std::nullopt;
}

}  // namespace kante::testing
