// What one life of the process leaves for the next: a deployment under way and the states of
// modules.
#include <boost/json.hpp>

#include "host/agent/journal.h"
#include "host/base/json.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr char kHandoverKey[] = "handover";
constexpr char kStatePrefix[] = "state/";
constexpr JsonBounds kHandoverBounds{1 << 20, 8};

std::string encode(const Journal::Handover& handover) {
  json::object states;
  for (const auto& [module, state] : handover.states) {
    states[module] = json::object{{"format", state->format}, {"bytes", state->bytes.size()}};
  }
  return writeJson(json::object{{"n", handover.n},
                                {"lives", handover.lives},
                                {"began_boot_ns", handover.began_boot_ns},
                                {"update", handover.is_update},
                                {"window_s", handover.window_s},
                                {"uplink_was_up", handover.uplink_was_up},
                                {"tried", handover.tried},
                                {"reason", handover.reason},
                                {"states", std::move(states)},
                                {"down", json::array(handover.down.begin(), handover.down.end())}});
}

}  // namespace

// States come before the record that names them, so that whoever finds it finds them; one by one,
// because the store lets only so much wait.
void Journal::handOver(Handover handover, Done done) {
  handover_ = std::move(handover);
  for (const auto& [module, state] : handover_->states) state_keys_.insert(kStatePrefix + module);
  writeStates(handover_->states.begin(), std::move(done));
}

void Journal::writeStates(SavedStates::const_iterator next, Done done) {
  const bool last = next == handover_->states.end();
  const Status written =
      last ? writeHandover(*handover_) : map_->put(kStatePrefix + next->first, next->second->bytes);
  if (!written) return done(within("saved states", written.error()));
  if (!last) ++next;
  map_->sync([this, alive = std::weak_ptr(alive_), last, next,
              done = std::move(done)](const Status& synced) {
    if (alive.expired()) return;
    if (!synced) return done(within("saved states", synced.error()));
    if (last) return done({});
    writeStates(next, done);
  });
}

Status Journal::writeHandover(const Handover& handover) {
  return map_->put(kHandoverKey, encode(handover));
}

void Journal::countLife(Done done) {
  ++handover_->lives;
  if (Status written = writeHandover(*handover_); !written) return done(written);
  map_->sync(std::move(done));
}

void Journal::noteGoingBack(const std::string& reason, Done done) {
  handover_->tried = true;
  handover_->reason = reason;
  if (Status written = writeHandover(*handover_); !written) return done(written);
  map_->sync(std::move(done));
}

void Journal::takenOver() {
  handover_.reset();
  (void)map_->erase(kHandoverKey);  // First: without it the states are nobody's.
  for (const std::string& key : std::exchange(state_keys_, {})) (void)map_->erase(key);
  map_->sync([](const Status&) {});
}

Result<Journal::Handover> Journal::readHandover(
    const std::map<std::string, std::string>& all) const {
  KANTE_TRY(object, parseJsonObject(all.at(kHandoverKey), kHandoverBounds));
  Handover read;
  try {
    read.n = object.at("n").to_number<std::uint64_t>();
    read.lives = object.at("lives").to_number<std::uint32_t>();
    read.began_boot_ns = object.at("began_boot_ns").to_number<std::int64_t>();
    const json::value* update = object.if_contains("update");
    read.is_update = update != nullptr && update->as_bool();
    // An older version of the host does not say them.
    if (const json::value* window = object.if_contains("window_s"))
      read.window_s = window->to_number<std::uint32_t>();
    const json::value* up = object.if_contains("uplink_was_up");
    read.uplink_was_up = up != nullptr && up->as_bool();
    const json::value* tried = object.if_contains("tried");
    read.tried = tried != nullptr && tried->as_bool();
    if (const json::value* reason = object.if_contains("reason")) read.reason = reason->as_string();
    for (const auto& name : object.at("down").as_array()) read.down.emplace(name.as_string());
    for (const auto& [module, said] : object.at("states").as_object()) {
      auto state = std::make_shared<SavedState>();
      state->format = said.at("format").to_number<std::uint64_t>();
      const auto bytes = all.find(kStatePrefix + std::string(module));
      if (bytes == all.end() || bytes->second.size() != said.at("bytes").to_number<std::size_t>())
        return kante::fail(Errc::kCorrupt, "the state of module " + std::string(module));
      state->bytes = bytes->second;
      read.states[std::string(module)] = std::move(state);
    }
  } catch (const std::exception&) {
    return kante::fail(Errc::kCorrupt, "it is not as this build writes it");
  }
  return read;
}

// Of a beginning that was never written whole, or is over, nothing stays.
void Journal::openHandover(const std::map<std::string, std::string>& all,
                           std::vector<std::string>& damage) {
  const bool written = all.contains(kHandoverKey);
  if (!written && state_keys_.empty()) return;
  auto found = written ? readHandover(all) : Result<Handover>(Handover());
  if (!found) {
    damage.push_back("what the last life handed over cannot be read: " + found.error().text);
  } else if (found->lives < 2 && (found->is_update || (found->n != 0 && found->n != current_ &&
                                                       entries_.contains(found->n)))) {
    handover_ = std::move(*found);
    return;
  }
  takenOver();
}

}  // namespace kante
