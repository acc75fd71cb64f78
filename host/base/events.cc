#include "host/base/events.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "host/base/clock.h"

namespace kante {

const char* name(EventLevel level) {
  static constexpr const char* kNames[] = {"info", "warn", "error"};
  return kNames[static_cast<int>(level)];
}

struct EventLog::State {
  const Clock& clock;
  std::deque<Event> kept;
  std::uint64_t last = 0;
  std::map<std::uint64_t, std::shared_ptr<const Follower>> followers;
  std::uint64_t next_follower = 1;
};

EventLog::EventLog(const Clock& clock) : state_(new State{clock, {}, 0, {}, 1}) {}
EventLog::~EventLog() = default;

void EventLog::add(Event event) {
  event.id = ++state_->last;
  if (event.wall_ns == 0) event.wall_ns = state_->clock.wallNs();
  state_->kept.push_back(event);
  if (state_->kept.size() > kKeptMax) state_->kept.pop_front();
  const auto followers = state_->followers;  // A follower may end itself or others.
  for (const auto& [id, follower] : followers) {
    if (state_->followers.contains(id)) (*follower)(event);
  }
}

std::vector<Event> EventLog::since(std::uint64_t after) const {
  std::vector<Event> out;
  for (const Event& event : state_->kept) {
    if (event.id > after) out.push_back(event);
  }
  return out;
}

std::uint64_t EventLog::count() const { return state_->last; }

std::shared_ptr<void> EventLog::follow(Follower follower) {
  const std::uint64_t id = state_->next_follower++;
  state_->followers.emplace(id, std::make_shared<const Follower>(std::move(follower)));
  return std::shared_ptr<void>(nullptr, [weak = std::weak_ptr<State>(state_), id](void*) {
    if (const auto state = weak.lock()) state->followers.erase(id);
  });
}

std::string formatJson(const Event& event) {
  boost::json::object fields;
  for (const auto& [key, value] : event.fields) fields[key] = value;
  return boost::json::serialize(boost::json::object{{"id", event.id},
                                                    {"time", formatUtc(event.wall_ns)},
                                                    {"level", name(event.level)},
                                                    {"kind", event.kind},
                                                    {"subject", event.subject},
                                                    {"text", event.text},
                                                    {"fields", std::move(fields)}});
}

}  // namespace kante
