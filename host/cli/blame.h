// What follows at a start from how the last life of the host ended: who brought it down is named,
// what it was handling is set aside, and from then on it runs where it can bring down only itself.
#pragma once

namespace kante {
class Agent;
class Clock;
class CrashPage;
class EventLog;
class Log;
class Store;
}  // namespace kante

namespace kante::cli {

struct BlameParts {
  const CrashPage& page;
  Store& store;
  Log& log;
  EventLog& events;
  Clock& clock;
};

// Before modules start; also counts a failed attempt for what others were handling.
void reportBlame(const BlameParts& parts);
// Where there is a sandbox, before the agent starts.  Without one the module stays failed.
void demoteBlamed(const BlameParts& parts, Agent& agent);

}  // namespace kante::cli
