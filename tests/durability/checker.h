// Judges what an independent receiver saw against what the gateway had acknowledged.
//
// Of every epoch: no number missing, first arrivals in rising order, the same number always the
// same message, no message under two numbers, repetitions within reach of the window.  Of every
// acknowledged message: it arrived.  One thread calls arrived() and lost(), another the rest: a
// mutex inside.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tests/durability/load.h"

namespace kante::durability {

struct Arrival {
  std::string_view epoch;
  std::uint64_t seq = 0;
  std::uint64_t dropped = 0;
  std::string_view id;
  std::string_view body;
};

struct Verdict {
  std::uint64_t epochs = 0;
  std::uint64_t numbers = 0;  // Distinct (epoch, seq) that arrived.
  std::uint64_t arrivals = 0;
  std::uint64_t missing = 0;     // Numbers below an epoch's highest that never arrived.
  std::uint64_t duplicates = 0;  // Arrivals of a number that was there: allowed, within reach.
  std::uint64_t duplicates_max_per_cut = 0;
  std::uint64_t duplicates_reach_max = 0;  // How far back a repetition began.
  std::uint64_t duplicates_beyond_window = 0;
  std::uint64_t out_of_order = 0;         // First arrivals below an earlier number.
  std::uint64_t source_out_of_order = 0;  // With fifo: messages of one source that changed places.
  std::uint64_t changed = 0;  // Same number, another message; or a body that is not the author's.
  std::uint64_t renumbered = 0;  // Same message, another number.
  std::uint64_t lost = 0;        // Reported by the gateway itself.
  std::uint64_t foreign = 0;     // Arrivals that are not of the load.
  std::uint64_t acknowledged = 0;
  std::uint64_t acknowledged_missing = 0;  // Acknowledged and not arrived.
  std::uint64_t dropped_by_policy = 0;     // As the gateway says (kante-dropped), all epochs.
  std::uint64_t delivered = 0;             // By a durable route into a module, distinct.
  std::uint64_t redelivered = 0;           // Allowed: what was not settled before a cut.
  std::uint64_t delivered_out_of_order = 0;
  std::uint64_t delivery_lost = 0;  // Acknowledged, and the module never got it.
  // Acknowledged, not arrived, and not explained by what a full store was told to drop.
  std::uint64_t acknowledged_lost = 0;
  std::vector<std::string> samples;  // The first few violations in words.

  bool clean() const {
    return missing == 0 && duplicates_beyond_window == 0 && out_of_order == 0 &&
           source_out_of_order == 0 && changed == 0 && renumbered == 0 && lost == 0 &&
           foreign == 0 && acknowledged_lost == 0 && delivered_out_of_order == 0 &&
           delivery_lost == 0;
  }
};

inline constexpr std::uint32_t kNoSource = ~std::uint32_t{0};

enum class SourceOrder { kFifo, kAny };

class Checker {
 public:
  void arrived(const Arrival& arrival);
  void lost(std::string_view epoch, std::uint64_t seq, std::string_view reason);

  void acknowledged(const LedgerRecord& record);
  // The module had it.
  void delivered(const LedgerRecord& record);
  // From here on what is acknowledged of this source must come to the module, too.
  void expectDelivery(std::uint32_t source);
  // From here on: a repetition begins at most `reach` numbers before the highest.
  void expect(std::uint64_t reach, SourceOrder order);
  void cut();  // One life of the gateway ended.
  std::uint64_t highest(const std::string& epoch) const;
  std::uint64_t acknowledgedMissing() const;  // So far.
  // Everything acknowledged has had its chance to arrive: what did not is lost, but for what a full
  // store dropped meanwhile by its policy.
  void drained();
  // What drained() would count as lost now.
  std::uint64_t unexplained() const;
  // Up to `count` acknowledged messages that are missing, in words.
  std::string missingInWords(std::size_t count) const;
  std::uint64_t arrivals() const;
  Verdict verdict() const;

 private:
  struct Epoch {
    std::vector<std::uint64_t> digests;  // By seq; 0: not there.
    std::uint64_t there = 0;
    std::uint64_t highest = 0;
    std::uint64_t dropped = 0;
  };
  struct Source {                      // Of one run.
    std::vector<std::uint64_t> place;  // By number: digest of (epoch, seq); 0: not arrived.
    std::vector<bool> acknowledged;
    std::uint64_t highest = 0;
    std::vector<bool> delivered;
    std::vector<bool> awaited;  // At the module.
    std::uint64_t delivered_highest = 0;
  };
  void violation(std::string text);
  std::uint64_t droppedSoFar() const;
  void arrivedFirst(const Arrival& arrival, std::uint64_t place);
  Source& source(std::uint64_t run, std::uint32_t number) {
    return sources_[run * 64 + number % 64];
  }

  mutable std::mutex mutex_;
  std::map<std::string, Epoch, std::less<>> epochs_;
  std::unordered_map<std::uint64_t, Source> sources_;  // By run * 64 + source.
  Verdict verdict_;
  std::uint64_t acknowledged_missing_ = 0;
  std::uint64_t missing_before_ = 0;  // At the last drained(), as is the next.
  std::uint64_t dropped_before_ = 0;
  std::uint64_t duplicates_of_cut_ = 0;
  std::uint64_t reach_max_ = ~std::uint64_t{0};
  SourceOrder order_ = SourceOrder::kAny;
  std::uint32_t delivered_source_ = kNoSource;
  std::uint64_t delivery_missing_ = 0;
  std::uint64_t delivery_missing_before_ = 0;
};

}  // namespace kante::durability
