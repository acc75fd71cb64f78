// Goes into a module's library beside the module, for tests alone: timers and time of the module
// are those that the test's host tells, also in a runner, where they would be the machine's.
//
// What the module sets goes to the host as the request for a storage key of that form; what expires
// comes back as a method of a name that no module has.
#include "tests/plugins/told_time.h"

#include <kante/module.h>

#include <atomic>
#include <charconv>
#include <cstring>
#include <string>
#include <string_view>

extern "C" const kante_entry kante_module_entry_told;  // The module as it is.

namespace {

namespace told_time = kante::told_time;

const kante_host* real_host;
kante_host seen_host;
const kante_storage_v1* storage;
const kante_twin_v1* twin;
std::atomic<std::uint64_t> now_ns{told_time::kBeginNs};

kante_status tell(const std::string& key) {
  return storage->get(real_host, {key.data(), key.size()}, 0);
}

std::uint64_t now(const kante_host*) { return now_ns; }

kante_status set(const kante_host*, std::uint32_t id, std::uint64_t first, std::uint64_t period) {
  if (id >= 64) return KANTE_E_LIMIT;
  return tell(told_time::kSet + std::to_string(id) + " " + std::to_string(first) + " " +
              std::to_string(period));
}

kante_status cancel(const kante_host*, std::uint32_t id) {
  if (id >= 64) return KANTE_E_LIMIT;
  return tell(told_time::kCancel + std::to_string(id));
}

const void* extension(const kante_host*, const char* id) {
  static constexpr kante_timers_v1 kTimers{sizeof(kante_timers_v1), 0, now, set, cancel};
  if (std::strcmp(id, KANTE_EXT_TIMERS) == 0) return &kTimers;
  return real_host->get_extension(real_host, id);
}

kante_status create(const kante_host* host, kante_msg* config, kante_module** out) {
  real_host = host;
  seen_host = *host;
  seen_host.get_extension = extension;
  storage = static_cast<const kante_storage_v1*>(host->get_extension(host, KANTE_EXT_STORAGE));
  twin = static_cast<const kante_twin_v1*>(host->get_extension(host, KANTE_EXT_TWIN));
  return kante_module_entry_told.create(&seen_host, config, out);
}

std::uint64_t number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (!text.empty()) text.remove_prefix(1);
  return value;
}

kante_status onEvent(kante_module* module, const kante_event* event) {
  std::string_view name(event->name.data == nullptr ? "" : event->name.data, event->name.size);
  const bool is_fire = event->type == KANTE_EVENT_METHOD && name.starts_with(told_time::kFire);
  const bool is_now = event->type == KANTE_EVENT_METHOD && name.starts_with(told_time::kNow);
  if (!is_fire && !is_now) return kante_module_entry_told.on_event(module, event);
  name.remove_prefix(std::strlen(told_time::kNow));
  now_ns = number(name);
  kante_status status = KANTE_OK;
  if (is_fire) {
    kante_event timer{};
    timer.struct_size = sizeof timer;
    timer.type = KANTE_EVENT_TIMER;
    timer.id = static_cast<std::uint32_t>(number(name));
    timer.arg = number(name);
    status = kante_module_entry_told.on_event(module, &timer);
  }
  (void)twin->reply(real_host, event->token, 200, nullptr);
  return status;
}

void destroy(kante_module* module) { kante_module_entry_told.destroy(module); }

}  // namespace

extern "C" KANTE_EXPORT const kante_entry kante_module_entry = {sizeof(kante_entry),
                                                                KANTE_MAGIC,
                                                                KANTE_ABI_MAJOR,
                                                                KANTE_ABI_MINOR,
                                                                kante_module_entry_told.id,
                                                                kante_module_entry_told.version,
                                                                kante_module_entry_told.inputs,
                                                                kante_module_entry_told.outputs,
                                                                create,
                                                                onEvent,
                                                                destroy,
                                                                nullptr};
