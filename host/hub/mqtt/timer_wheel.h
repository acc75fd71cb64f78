// Many deadlines, few of which ever come: a wheel of lists that is looked at when one of them is
// due.
//
// A deadline is late by up to kStepNs, never early.  Moving one costs nothing until its old place
// comes round, so a keep-alive may be put off with every packet.  One shard's.
#pragma once

#include <array>
#include <cstdint>

namespace kante::hub {

class TimerWheel;

// A member of whoever has a deadline; leaves its wheel when it dies.
class Deadline {
 public:
  static constexpr std::int64_t kNone = INT64_MAX;
  Deadline() = default;
  virtual ~Deadline() { unlink(); }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  std::int64_t at() const { return at_ns_; }
  bool isSet() const { return at_ns_ != kNone; }
  void cancel() { at_ns_ = kNone; }

 protected:
  // It may set, cancel or destroy any deadline, this one too.
  virtual void due() = 0;

 private:
  friend class TimerWheel;
  void unlink();
  std::int64_t at_ns_ = kNone;
  std::int64_t step_ = 0;  // Whose list it is in.
  Deadline* next_ = nullptr;
  Deadline* before_ = nullptr;
};

class TimerWheel {
 public:
  static constexpr std::int64_t kStepNs = 250'000'000;
  static constexpr std::size_t kSlots = 512;

  explicit TimerWheel(std::int64_t now_ns) : step_(now_ns / kStepNs) {}
  void set(Deadline& deadline, std::int64_t at_ns);
  // Calls those that are due.
  void advance(std::int64_t now_ns);
  // When there is something to look at next, be it only to put it off; Deadline::kNone: never.
  std::int64_t nextNs() const { return next_ == kNoStep ? Deadline::kNone : next_ * kStepNs; }

 private:
  struct List final : Deadline {  // The head of a ring.
    List() = default;
    void due() override {}
  };
  static constexpr std::int64_t kNoStep = INT64_MAX;
  bool isEmpty(std::int64_t step) const;
  static void link(Deadline& head, Deadline& deadline);
  void place(Deadline& deadline);
  void visit(Deadline& head, std::int64_t now_ns);

  std::array<List, kSlots> slots_;
  std::int64_t step_;            // Looked at up to here.
  std::int64_t next_ = kNoStep;  // Before that, nothing is in the lists.
};

}  // namespace kante::hub
