// The rig: life after life of a gateway under load, each cut at a random instant, and after every
// few of them a full account by an independent receiver.
#pragma once

#include <cstdint>
#include <string>

#include "tests/durability/gateway.h"
#include "tests/durability/report.h"

namespace kante::durability {

// Breaks that the rig must find.
enum class Lie {
  kNone,
  kAckBeforeCommit,  // The ledger calls acknowledged what was only emitted.
  kForgetSyncs,      // Power: syncs return and nothing is durable.
};

struct RigOptions {
  Programs programs;
  Form form = Form::kKill;
  std::uint64_t cuts = 100;
  std::uint64_t seed = 1;
  Lie lie = Lie::kNone;
  std::string placement = "sandbox";  // Of the modules.
  bool into_module = false;  // A durable route into a module, too; its deliveries are judged.
  bool really_sync = false;  // Power: call fdatasync(), too.
  std::uint64_t stop_after_violation = 1;  // Segments with one until the run ends; 0: never.
};

// Each of `jobs` rigs of its own (broker, gateway, receiver) makes its share of the cuts, with
// seeds from options.seed upwards.
Report runRigs(const RigOptions& options, std::uint32_t jobs);

// All rigs end after the life that they are in, with what they know.  From a signal handler.
void endRigs();

}  // namespace kante::durability
