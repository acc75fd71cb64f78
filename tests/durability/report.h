// What a run of the rig found, as numbers and as JSON.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/durability/checker.h"

namespace kante::durability {

enum class Form { kKill, kPower };

struct Report {
  Verdict verdict;
  std::uint64_t cuts = 0;
  std::uint64_t lives_acknowledging = 0;  // In which at least one message was acknowledged.
  std::uint64_t link_cuts = 0;
  std::uint64_t broker_pauses = 0;
  std::uint64_t broker_restarts = 0;
  std::uint64_t switches = 0;
  std::uint64_t set_aside = 0;
  std::uint64_t ended_by_itself = 0;  // Lives that no cut ended.
  std::uint64_t not_drained = 0;      // Segments whose backlog did not leave.
  std::uint64_t boundaries = 0;       // Power: writes and syncs seen.
  std::uint64_t cuts_at_boundary = 0;
  std::uint64_t sectors_undurable = 0;
  std::uint64_t sectors_lost = 0;
  std::uint64_t renames_undone = 0;
  std::uint64_t unresolved = 0;
  double seconds = 0;
  bool interrupted = false;       // The lives since the last account were not looked at.
  std::vector<std::string> kept;  // Folders of rigs that found something.
  std::vector<std::string> notes;

  bool clean() const {
    // A run in which nothing was acknowledged proves nothing.
    return verdict.clean() && verdict.acknowledged > 0 && set_aside == 0 && ended_by_itself == 0 &&
           not_drained == 0;
  }
};

// Adds what another rig of the same run found.
void merge(Report& into, const Report& more);
boost::json::object jsonOf(const Report& report, Form form, std::uint64_t seed);

}  // namespace kante::durability
