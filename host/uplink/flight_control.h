// How many bytes may be on the way to the broker, so that what comes next does not wait behind
// them.
//
// Sockets, modems and brokers take far more than a thin link carries in a second, and whatever they
// took goes before a live message.  So the window follows the time to the acknowledgement: it grows
// while that stays near the shortest one seen and shrinks when the way there begins to queue.  The
// delay that it allows is kQueueNs, or one and a half times the shortest time if that is longer: a
// lost packet on a long way delays what is behind it by about as much, and is no queue.
//
// Plain arithmetic on times that are given to it; lives on the client's thread.
#pragma once

#include <cstdint>

namespace kante {

class FlightControl {
 public:
  static constexpr std::uint64_t kWindowFirst = 4096;
  static constexpr std::uint64_t kWindowMin = 512;
  static constexpr std::uint64_t kWindowMax = 4u << 20;  // The library keeps a copy of each.
  static constexpr std::int64_t kQueueNs = 250'000'000;
  // The shortest time is measured anew this often: the way may have become longer.
  static constexpr std::int64_t kProbeNs = 30'000'000'000;

  // What is to be kept of a message on its way, for acknowledged().
  struct Sent {
    std::int64_t at_ns = 0;  // 0: repeated by the client since; it says nothing about time.
    std::uint64_t bytes = 0;
    bool alone = false;  // Nothing else was on the way.
    std::uint64_t round = 0;
  };

  // A new connection: nothing is known of the way.  What is on the way stays counted.
  void linkUp();
  // Whether a message of so many bytes may follow.  One always may.
  bool mayFollow(std::uint64_t bytes) const;
  // The window had room and there was nothing to send.
  void idle() { filled_ = false; }
  Sent sent(std::uint64_t bytes, std::int64_t now_ns);
  void acknowledged(const Sent& sent, std::int64_t now_ns);
  // It will not be acknowledged: refused, or never handed over.
  void gone(const Sent& sent);

  std::uint64_t window() const { return probing_ ? 0 : window_; }
  std::uint64_t inFlight() const { return in_flight_; }
  // Bytes that may be sent now.
  std::uint64_t room() const { return window() > in_flight_ ? window() - in_flight_ : 0; }
  std::int64_t shortestNs() const { return shortest_ns_; }

 private:
  void endRound(std::int64_t now_ns);

  std::uint64_t window_ = kWindowFirst;
  std::uint64_t in_flight_ = 0;
  std::uint64_t peak_ = 0;  // Of in_flight_, in this round.
  std::int64_t shortest_ns_ = 0;
  std::int64_t shortest_at_ns_ = 0;
  bool starting_ = true;  // Until the way queued for the first time.
  bool probing_ = false;  // Draining, so that the next message meets an empty way.
  bool filled_ = false;   // The window was what held sending back.
  std::uint64_t round_ = 1;
  std::int64_t times_ns_ = 0;  // Sum of this round's times, of so many messages.
  std::uint64_t times_ = 0;
};

}  // namespace kante
