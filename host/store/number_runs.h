// The numbers of one sender that were taken, as runs: what tells a repetition from a message.
//
// Numbers come nearly in order, so there is one run, and another for each hole: a number that was
// refused and comes again, or was given up.  Bounded by kRunsMax: beyond it a hole far behind is
// closed, as one that nobody will fill any more.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kante {

class NumberRuns {
 public:
  static constexpr std::size_t kRunsMax = 4096;        // As many as a sender has on the way.
  static constexpr std::uint64_t kBehind = 1'000'000;  // So far back nobody repeats anything.

  // "1-17,19": what text() gave.  Anything else, or a number beyond 2^56 - 1: none.
  static NumberRuns parse(std::string_view text);
  std::string text() const;

  bool contains(std::uint64_t number) const;
  // False: there are too many holes.
  bool add(std::uint64_t number);
  std::uint64_t highest() const { return runs_.empty() ? 0 : runs_.back().last; }

 private:
  struct Run {
    std::uint64_t first = 0, last = 0;
  };
  std::vector<Run> runs_;  // By their numbers; never adjacent.
};

}  // namespace kante
