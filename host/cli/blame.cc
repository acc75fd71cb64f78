#include "host/cli/blame.h"

#include <algorithm>

#include "host/agent/agent.h"
#include "host/base/clock.h"
#include "host/base/events.h"
#include "host/base/log.h"
#include "host/placement/crash_page.h"
#include "host/placement/intake.h"
#include "host/store/store.h"

namespace kante::cli {
namespace {

void add(EventLog& events, EventLevel level, const char* kind, const Blame& blame,
         std::string text) {
  Event event;
  event.level = level;
  event.kind = kind;
  event.subject = "module/" + blame.module;
  event.text = std::move(text);
  event.fields = {{"digest", blame.digest}, {"reason", blame.reason}};
  events.add(std::move(event));
}

// What a module was handling from a durable queue when the last life ended: to quarantine, if it
// ended the host with it, else one failed attempt.
void failInterrupted(const BlameParts& parts) {
  const auto& blame = parts.page.blame();
  for (const InterruptedDelivery& delivery : parts.page.interrupted()) {
    const bool blamed = delivery.by == InterruptedDelivery::By::kModule;
    const std::string why =
        blamed && blame
            ? "module/" + delivery.module + " brought the host down with it: " + blame->reason
            : "the host ended while module/" + delivery.module + " handled it";
    const StoredMessage message{delivery.queue,
                                {delivery.priority, delivery.position},
                                {delivery.id_high, delivery.id_low}};
    const auto found = parts.store.failStored(message, blamed ? 1 : Intake::kAttemptsMax, why);
    if (found.has_error()) parts.log.error("store", found.error().text);
  }
}

// The message that the module was handling: whoever mends it wants to see that.
void quarantine(const BlameParts& parts, const Blame& blame) {
  if (blame.message.empty()) return;
  const auto message =
      messageFromWords(blame.message.data(), static_cast<std::uint32_t>(blame.message.size()));
  if (!message) return;
  Source source;
  source.principal = source.telemetry_name = "module/" + blame.module;
  const Status kept =
      parts.store.quarantine(Entry{*message, Hop{&source, parts.clock.wallNs(), 1}},
                             "module " + blame.module + " crashed: " + blame.reason, "");
  if (kept.has_error()) {
    parts.log.warn("host", "the message that the module was handling is not in quarantine",
                   {{"why", kept.error().text}});
  }
}

}  // namespace

void reportBlame(const BlameParts& parts) {
  failInterrupted(parts);
  const auto& blame = parts.page.blame();
  if (!blame) return;
  parts.log.error("host",
                  "the last life was ended by module " + blame->module + ": " + blame->reason,
                  {{"module", blame->module}, {"digest", blame->digest}});
  add(parts.events, EventLevel::kError, "crash.attributed", *blame,
      "Module " + blame->module + " brought the host down: " + blame->reason);
  const auto& interrupted = parts.page.interrupted();
  const bool is_set_aside =
      std::any_of(interrupted.begin(), interrupted.end(), [](const InterruptedDelivery& delivery) {
        return delivery.by == InterruptedDelivery::By::kModule;
      });
  if (!is_set_aside) quarantine(parts, *blame);
}

void demoteBlamed(const BlameParts& parts, Agent& agent) {
  const auto& blame = parts.page.blame();
  if (!blame) return;
  const std::string why = "it brought the host down: " + blame->reason;
  if (!agent.demote(blame->module, blame->digest, why)) return;
  parts.log.warn("host",
                 "module " + blame->module + " runs in the sandbox from now on, because " + why);
  add(parts.events, EventLevel::kWarn, "module.demoted", *blame,
      "Module " + blame->module + " runs in the sandbox from now on, because " + why +
          "; kante module move " + blame->module + " --reset takes it back");
}

}  // namespace kante::cli
