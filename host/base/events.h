// What happened to the gateway, for people who ask later: a module failed, a deployment switched,
// the uplink went away.  A bounded ring; not a log: one event a change of state.
//
// Made by the host's wiring and passed down by reference.  Control thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace kante {

class Clock;

enum class EventLevel { kInfo, kWarn, kError };
const char* name(EventLevel level);

struct Event {
  std::uint64_t id = 0;  // From 1, rises by one.
  std::int64_t wall_ns = 0;
  EventLevel level = EventLevel::kInfo;
  std::string kind;     // "module.failed", "deployment.committed", "uplink.down", …
  std::string subject;  // Principal or name that it is about: "module/filter", "uplink".
  std::string text;     // One sentence for people.
  std::vector<std::pair<std::string, std::string>> fields;
};

class EventLog {
 public:
  static constexpr std::size_t kKeptMax = 1000;

  explicit EventLog(const Clock& clock);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // Numbers it, dates it and tells the followers.
  void add(Event event);
  // Kept ones with an id above `after`, oldest first.
  std::vector<Event> since(std::uint64_t after = 0) const;
  std::uint64_t count() const;  // Since start.

  using Follower = std::function<void(const Event&)>;
  // Called for each event after this; dropping the handle ends it, also from within a call.
  [[nodiscard]] std::shared_ptr<void> follow(Follower follower);

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared weakly with the handles.
};

// {"id":1,"time":"…","level":"info","kind":"…","subject":"…","text":"…","fields":{…}}
std::string formatJson(const Event& event);

}  // namespace kante
