#include "host/runtime/event_name.h"

#include <kante/module.h>

#include <iterator>

namespace kante {
namespace {

const char* nameOf(std::int32_t status) {
  switch (status) {
    case KANTE_E_INVALID: return "KANTE_E_INVALID";
    case KANTE_E_UNSUPPORTED: return "KANTE_E_UNSUPPORTED";
    case KANTE_E_AGAIN: return "KANTE_E_AGAIN";
    case KANTE_E_NOT_FOUND: return "KANTE_E_NOT_FOUND";
    case KANTE_E_DENIED: return "KANTE_E_DENIED";
    case KANTE_E_LIMIT: return "KANTE_E_LIMIT";
    case KANTE_E_STATE: return "KANTE_E_STATE";
    case KANTE_E_CORRUPT: return "KANTE_E_CORRUPT";
    case KANTE_E_CANCELED: return "KANTE_E_CANCELED";
    case KANTE_E_INTERNAL: return "KANTE_E_INTERNAL";
    default: return "an unknown error";
  }
}

}  // namespace

std::string eventName(std::uint32_t event) {
  static constexpr const char* kNames[] = {"",       "INPUT", "METHOD",   "DESIRED",
                                           "TIMER",  "DONE",  "WRITABLE", "DRAIN",
                                           "HEALTH", "SAVE",  "RESTORE"};
  if (event == 0) return "create or destroy";
  return "event " + (event < std::size(kNames) ? kNames[event] : std::to_string(event));
}

std::string statusName(std::int32_t status) {
  return std::string(nameOf(status)) + " (" + std::to_string(status) + ")";
}

}  // namespace kante
