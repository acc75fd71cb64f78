// The routes that listen to one source, arranged so that a message asks as few of them as possible.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "host/route/condition.h"
#include "host/route/evaluation.h"
#include "host/route/route_set.h"

namespace kante::route_detail {

struct CompiledSet {
  std::vector<Route> routes;
  std::vector<Condition> conditions;  // Of each route.
  OperandTable operands;
  ProgramPool programs;
  std::size_t sinks = 0;
};

// Of texts that routes compare with: those are few and known, so a sender cannot make them collide.
inline std::uint64_t hashText(std::string_view text) {
  constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15u;
  const char* at = text.data();
  std::size_t left = text.size();
  std::uint64_t hash = left * kFactor;
  std::uint64_t word = 0;
  for (; left > 8; left -= 8, at += 8) {
    std::memcpy(&word, at, 8);
    hash = (hash ^ word) * kFactor;
    hash ^= hash >> 32;
  }
  word = 0;
  if (left >= 4) {
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + left - 4, 4);
    word = low | (std::uint64_t{high} << 32);
  } else if (left > 0) {
    word = static_cast<unsigned char>(at[0]) |
           (std::uint64_t{static_cast<unsigned char>(at[left / 2])} << 8) |
           (std::uint64_t{static_cast<unsigned char>(at[left - 1])} << 16);
  }
  // Two rounds, because the places of a table are the low bits and texts often differ in their last
  // character.
  hash = (hash ^ word) * kFactor;
  hash = (hash ^ (hash >> 32)) * kFactor;
  return hash ^ (hash >> 32);
}

// From a text to the routes that ask for it.
class ValueIndex {
 public:
  struct Hit {
    std::uint32_t route;
    Program rest;
  };

  explicit ValueIndex(std::uint32_t operand) : operand_(operand) {}
  // text outlives the index.
  void add(std::string_view text, const Hit& hit);
  void freeze();

  std::uint32_t operand() const { return operand_; }
  std::span<const Hit> find(std::string_view text) const;

 private:
  struct Entry {
    std::uint64_t hash = 0;
    const char* text = nullptr;
    std::uint32_t size = 0;
    std::uint32_t first = 0;
    std::uint32_t count = 0;  // 0: a free place.
  };
  static constexpr std::size_t kScanMax = 4;  // So few are compared faster than hashed.

  std::uint32_t operand_;
  std::vector<Entry> entries_;
  std::uint64_t mask_ = 0;  // 0: entries_ is scanned, else a hash table of mask_ + 1 places.
  std::vector<Hit> hits_;
  std::vector<std::pair<std::string_view, Hit>> added_;
};

struct SourceIndex {
  std::shared_ptr<const CompiledSet> set;
  std::vector<std::uint32_t> always;
  std::vector<ValueIndex> by_value;
  std::vector<ValueIndex::Hit> others;  // Evaluated one by one.
  std::vector<std::uint32_t> all;

  void match(Evaluation& evaluation) const;  // Into evaluation.matched().
};

}  // namespace kante::route_detail
