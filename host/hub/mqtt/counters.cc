#include "host/hub/mqtt/counters.h"

namespace kante::hub {

const char* name(Refusal refusal) {
  switch (refusal) {
    case Refusal::kOverflow: return "overflow";
    case Refusal::kTtl: return "ttl";
    case Refusal::kOffline: return "offline";
    case Refusal::kTooLarge: return "too_large";
    case Refusal::kDenied: return "denied";
    case Refusal::kRetainedFull: return "retained_full";
    case Refusal::kMalformed: return "malformed";
    case Refusal::kAuthentication: return "authentication";
    case Refusal::kTimeout: return "timeout";
    case Refusal::kTakenOver: return "taken_over";
    case Refusal::kLimit: return "limit";
    case Refusal::kStore: return "store";
    case Refusal::kStalled: return "stalled";
  }
  return "?";
}

}  // namespace kante::hub
