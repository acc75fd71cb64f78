#include "host/runtime/event_name.h"

#include <iterator>

namespace kante {

std::string eventName(std::uint32_t event) {
  static constexpr const char* kNames[] = {"",       "INPUT", "METHOD",   "DESIRED",
                                           "TIMER",  "DONE",  "WRITABLE", "DRAIN",
                                           "HEALTH", "SAVE",  "RESTORE"};
  if (event == 0) return "create or destroy";
  return "event " + (event < std::size(kNames) ? kNames[event] : std::to_string(event));
}

}  // namespace kante
