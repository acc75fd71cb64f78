// Why a runner ended, in the words that people read in status, events and logs.
#pragma once

#include <cstdint>
#include <string>

#include "host/runtime/module_life.h"
#include "sandbox/wire/launch.h"
#include "sandbox/wire/shared_pages.h"

namespace kante {

// A copy of what the runner's page says at the end.  Hearsay: for people, never for a decision.
struct RunnerReport {
  bool in_callback = false;
  std::uint32_t event = 0;  // KANTE_EVENT_*, 0: create or destroy; of the callback that it was in.
  std::uint32_t violations = 0;
  std::uint32_t syscall = 0;
  std::uint32_t architecture = 0;
  std::uint32_t signal = 0;
  std::uint64_t fault_address = 0;
};
RunnerReport reportOf(const RunnerPage& page);

// "called `socket`"
std::string violationText(const RunnerReport& report);

// killed_for: why the host killed it, empty: it did not.
LifeEnd endOf(const Exited& exited, const RunnerReport& report, std::uint32_t memory_mb,
              const std::string& killed_for);

}  // namespace kante
