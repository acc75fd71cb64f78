// The memory that matching reuses from message to message.
#pragma once

#include <cstddef>
#include <memory>

namespace kante {

// Texts that functions and || build while one condition is evaluated: so much without allocating,
// and so much at all (beyond it the value is undefined).  Any single text is at most
// kEvaluationTextMax bytes.
inline constexpr std::size_t kEvaluationBytesInline = 2'048;
inline constexpr std::size_t kEvaluationBytesMax = 1u << 20;
inline constexpr std::size_t kEvaluationTextMax = 1u << 16;

namespace route_detail {
class Evaluation;
}

// One for each thread that matches (a shard keeps one); grows with the largest route set it met,
// and serves any number of sets.  Not for several threads at once.
class MatchScratch {
 public:
  MatchScratch();
  ~MatchScratch();
  MatchScratch(MatchScratch&&) noexcept;
  MatchScratch& operator=(MatchScratch&&) noexcept;

  route_detail::Evaluation& evaluation() { return *evaluation_; }  // For this room alone.

 private:
  std::unique_ptr<route_detail::Evaluation> evaluation_;
};

}  // namespace kante
