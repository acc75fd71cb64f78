// Messages of QoS 1 and 2 that went to a client and are not done, by packet identifier.
//
// An identifier follows from the message's place in its session, so it is the same after a crash,
// and the window is a ring: an acknowledgement finds its message by subtraction, and what is sent
// again after a reconnect comes in its first order [MQTT-4.6.0-1].
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "host/hub/mqtt/publication.h"
#include "host/shard/fifo.h"

namespace kante::hub {

// One message for one session.
struct Outgoing {
  PublicationRef publication;
  std::uint64_t place = 0;  // Of QoS 1 and 2: of all that its session ever had.
  std::uint64_t at = 0;     // In the journal, if it waits there.
  std::uint32_t id = 0;     // Subscription identifier; 0: none.
  mqtt::Qos qos = mqtt::Qos::k0;
  bool retain = false;
  bool again = false;  // It may have been sent before, by a process that is no more.
  std::unique_ptr<std::vector<std::uint32_t>> more_ids = {};  // Of further subscriptions.
};

class Inflight {
 public:
  static constexpr std::size_t kSpanMax = 60'000;  // From the oldest to the next: below 65,535.

  enum class State : std::uint8_t { kSent, kReceived, kDone };  // kReceived: PUBREL is owed.
  struct Entry {
    Outgoing message;
    State state = State::kDone;
  };

  std::size_t size() const { return open_; }
  bool hasRoom(std::uint64_t place) const { return ring_.empty() || place - first_ < kSpanMax; }
  // Behind all others.  The identifier that it has from now on.
  std::uint16_t add(Outgoing&& message, State state = State::kSent);
  // Null: nothing of this identifier is under way.
  Entry* find(std::uint16_t id);
  void done(std::uint16_t id);  // It is there.
  // In order of sending: (identifier, entry).
  template <typename Call>
  void forEach(Call&& call) {
    for (std::size_t i = 0; i < ring_.size(); ++i)
      if (ring_.at(i)->state != State::kDone) call(idAt(i), *ring_.at(i));
  }
  // The first at or after the place `from`; null: none.
  Entry* next(std::uint64_t& from, std::uint16_t& id);
  std::uint64_t added() const { return first_ + ring_.size(); }

 private:
  static constexpr std::uint64_t kIds = 65'535;
  std::uint16_t idAt(std::size_t i) const {
    return static_cast<std::uint16_t>((first_ + i) % kIds + 1);
  }

  Fifo<Entry> ring_;
  std::uint64_t first_ = 0;  // The place of the oldest.
  std::size_t open_ = 0;
};

// Packet identifiers of QoS 2 that a client has not released.
class ReceivedIds {
 public:
  std::size_t size() const { return count_; }
  bool contains(std::uint16_t id) const { return bits_ && (word(id) & bit(id)) != 0; }
  void add(std::uint16_t id);
  bool remove(std::uint16_t id);  // False: it was not there.
  void clear();

 private:
  static constexpr std::size_t kWords = 1024;
  static std::uint64_t bit(std::uint16_t id) { return std::uint64_t{1} << (id % 64); }
  std::uint64_t& word(std::uint16_t id) const { return bits_[id / 64]; }
  std::unique_ptr<std::uint64_t[]> bits_;  // None before the first.
  std::size_t count_ = 0;
};

}  // namespace kante::hub
