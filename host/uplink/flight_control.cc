#include "host/uplink/flight_control.h"

#include <algorithm>

namespace kante {

void FlightControl::linkUp() {
  const std::uint64_t in_flight = in_flight_;
  *this = FlightControl();
  in_flight_ = in_flight;
}

bool FlightControl::mayFollow(std::uint64_t bytes) const {
  return in_flight_ == 0 || in_flight_ + bytes <= window();
}

FlightControl::Sent FlightControl::sent(std::uint64_t bytes, std::int64_t now_ns) {
  const Sent sent{now_ns, bytes, in_flight_ == 0, round_};
  in_flight_ += bytes;
  peak_ = std::max(peak_, in_flight_);
  // Another of its kind would not have found room.
  if (in_flight_ + bytes > window()) filled_ = true;
  return sent;
}

void FlightControl::gone(const Sent& sent) { in_flight_ -= std::min(in_flight_, sent.bytes); }

void FlightControl::acknowledged(const Sent& sent, std::int64_t now_ns) {
  gone(sent);
  if (sent.at_ns == 0) return;
  const std::int64_t took_ns = std::max<std::int64_t>(1, now_ns - sent.at_ns);
  if (shortest_ns_ == 0 || took_ns <= shortest_ns_ || (probing_ && sent.alone)) {
    shortest_ns_ = took_ns;
    shortest_at_ns_ = now_ns;
    if (sent.alone) probing_ = false;
  }
  times_ns_ += took_ns;
  ++times_;
  if (sent.round == round_) endRound(now_ns);
}

// A round ends with the answer to a message that was sent in it: it has met what the window made of
// the way.
void FlightControl::endRound(std::int64_t now_ns) {
  const std::int64_t mean_ns = times_ns_ / static_cast<std::int64_t>(times_);
  const std::int64_t queued_ns = mean_ns - shortest_ns_;
  const std::int64_t allowed_ns = std::max(kQueueNs, shortest_ns_ + shortest_ns_ / 2);
  if (queued_ns > allowed_ns) {
    starting_ = false;
    // What was on the way took `mean`; in proportion, this much takes what is allowed.
    const double share =
        static_cast<double>(shortest_ns_ + allowed_ns) / static_cast<double>(mean_ns);
    const auto used = static_cast<double>(std::min(window_, std::max(peak_, kWindowMin)));
    window_ = static_cast<std::uint64_t>(used * std::max(share, 0.25));
  } else if (filled_ && queued_ns < allowed_ns / 2) {
    window_ = starting_ ? window_ * 2 : window_ + window_ / 4;
  } else if (filled_) {
    starting_ = false;
  }
  window_ = std::clamp(window_, kWindowMin, kWindowMax);
  if (now_ns - shortest_at_ns_ > kProbeNs) probing_ = true;
  filled_ = false;
  peak_ = in_flight_;
  times_ns_ = 0;
  times_ = 0;
  ++round_;
}

}  // namespace kante
