#include "host/hub/twins.h"

#include <boost/json.hpp>
#include <deque>

#include "host/base/json.h"
#include "host/base/json_patch.h"
#include "host/hub/twin_rules.h"

namespace kante {
namespace {

namespace json = boost::json;

// Of one twin as it is kept: two sections and a base, escaped at worst.
constexpr JsonBounds kRecordBounds{1 << 20, 8};
constexpr std::size_t kPrincipalBytesMax = 280;  // A key of the store has 320.

struct Twin {
  TwinSection desired;
  TwinSection reported;
  std::string base = "{}";  // What the deployment said when it last said something new.
};

std::string encode(const Twin& twin) {
  // Sections as texts: what a later build may no longer accept is kept as it was.
  return writeJson(json::object{{"desired", twin.desired.json},
                                {"desired_version", twin.desired.version},
                                {"reported", twin.reported.json},
                                {"reported_version", twin.reported.version},
                                {"base", twin.base}});
}

std::optional<Twin> decode(const std::string& text) {
  auto parsed = parseJsonObject(text, kRecordBounds);
  if (!parsed) return {};
  Twin twin;
  const auto section = [&](const char* member, const char* version_member, TwinSection& out) {
    const json::value* value = parsed->if_contains(member);
    const json::value* version = parsed->if_contains(version_member);
    if (value == nullptr || !value->is_string() || version == nullptr) return false;
    json::error_code error;
    out.version = version->to_number<std::uint64_t>(error);
    out.json = value->get_string();
    return !error && parseJsonObject(out.json, kRecordBounds).has_value();
  };
  const json::value* base = parsed->if_contains("base");
  if (!section("desired", "desired_version", twin.desired) ||
      !section("reported", "reported_version", twin.reported) || base == nullptr ||
      !base->is_string())
    return {};
  twin.base = base->get_string();
  return twin;
}

json::object parsedSection(const TwinSection& section) {
  auto parsed = parseJsonObject(section.json, kRecordBounds);
  KANTE_ASSERT(parsed.has_value());  // Our own text, checked when it was read from the store.
  return std::move(*parsed);
}

Status checkPrincipal(const std::string& principal) {
  if (principal.empty() || principal.size() > kPrincipalBytesMax)
    return fail(Errc::kInvalid,
                "a principal's name has 1 to " + std::to_string(kPrincipalBytesMax) + " bytes");
  return {};
}

struct DesiredSubscriber {
  std::string principal;
  Twins::OnDesired on_desired;
};

struct Observer {
  Twins::OnChange on_change;
};

}  // namespace

std::string withVersion(const TwinSection& section) {
  std::string out = section.json;
  out.pop_back();
  if (out.size() > 1) out += ',';
  return out + "\"$version\":" + std::to_string(section.version) + "}";
}

struct Twins::State {
  enum class Side { kDesired, kReported };
  struct Event {
    Side side;
    std::string principal;
    std::string patch;
    TwinSection section;
  };

  explicit State(DurableMap& map) : store(map) {}

  TwinSection& section(const std::string& principal, Side side) {
    Twin& twin = twins[principal];
    return side == Side::kDesired ? twin.desired : twin.reported;
  }
  // Of one that is being tried the store keeps what comes back if that ends here, under a version
  // above all that anybody was told.
  Status save(const std::string& principal) {
    const Twin& twin = twins.at(principal);
    const auto tried = before_trial.find(principal);
    if (tried == before_trial.end()) return store.put(principal, encode(twin));
    tried->second.reported = twin.reported;
    tried->second.desired.version = twin.desired.version + 1;
    return store.put(principal, encode(tried->second));
  }
  Result<std::uint64_t> change(const std::string& principal, Side side, TwinSection next,
                               std::string patch);
  Result<std::uint64_t> changeBoth(const std::string& principal, std::string before,
                                   TwinSection next, std::string patch);
  Result<std::uint64_t> patch(const std::string& principal, Side side, std::string_view text);
  Status putBase(const std::string& principal, const std::string& base);
  Result<std::uint64_t> replace(const std::string& principal, Side side, std::string_view text);
  void tell(Event event);
  void deliver(const Event& event);
  Status room(const std::string& principal) const;

  DurableMap& store;
  std::map<std::string, Twin> twins;
  std::vector<std::string> damaged;
  std::map<std::string, std::string> staged;  // Bases that differ from the ones in force.
  std::map<std::string, Twin> before_trial;   // Of those that are being tried.
  std::vector<std::weak_ptr<DesiredSubscriber>> subscribers;
  std::vector<std::weak_ptr<Observer>> desired_observers;
  std::vector<std::weak_ptr<Observer>> reported_observers;
  std::deque<Event> events;  // A callback that changes a twin adds here, so that all see one order.
  bool telling = false;
};

Status Twins::State::room(const std::string& principal) const {
  KANTE_CHECK(checkPrincipal(principal));
  if (twins.size() >= kPrincipalsMax && !twins.contains(principal))
    return fail(Errc::kLimit, "twin of " + principal + ": there are " +
                                  std::to_string(kPrincipalsMax) + " twins already");
  return {};
}

// Keeps the old section when the store refuses the new one.
Result<std::uint64_t> Twins::State::change(const std::string& principal, Side side,
                                           TwinSection next, std::string patch) {
  TwinSection& current = section(principal, side);
  std::swap(current, next);
  if (Status saved = save(principal); !saved) {
    std::swap(current, next);
    const auto tried = before_trial.find(principal);
    if (side == Side::kReported && tried != before_trial.end()) tried->second.reported = current;
    return within("twin of " + principal, saved.error());
  }
  const std::uint64_t version = current.version;
  tell(Event{side, principal, std::move(patch), current});
  return version;
}

// Of one that is being tried: also what comes back.
Result<std::uint64_t> Twins::State::changeBoth(const std::string& principal, std::string before,
                                               TwinSection next, std::string patch) {
  std::string& kept = before_trial.at(principal).desired.json;
  std::swap(kept, before);
  auto changed = change(principal, Side::kDesired, std::move(next), std::move(patch));
  // Whoever is told may end the trial.
  if (const auto tried = before_trial.find(principal); !changed && tried != before_trial.end())
    tried->second.desired.json = std::move(before);
  return changed;
}

Result<std::uint64_t> Twins::State::patch(const std::string& principal, Side side,
                                          std::string_view text) {
  KANTE_CHECK(room(principal));
  KANTE_TRY(patch_object, parseTwin(text, TwinText::kPatch));
  const auto found = twins.find(principal);
  TwinSection next;
  if (found != twins.end())
    next = side == Side::kDesired ? found->second.desired : found->second.reported;
  json::value merged = parsedSection(next);
  mergePatch(merged, patch_object);
  next.json = writeJson(merged);
  if (next.json.size() > kSectionBytesMax)
    return fail(Errc::kLimit, "the section would have " + std::to_string(next.json.size()) +
                                  " bytes; the limit is " + std::to_string(kSectionBytesMax));
  ++next.version;
  const auto tried = before_trial.find(principal);
  if (side != Side::kDesired || tried == before_trial.end())
    return change(principal, side, std::move(next), writeJson(patch_object));
  json::value kept = parsedSection(tried->second.desired);
  mergePatch(kept, patch_object);
  return changeBoth(principal, writeJson(kept), std::move(next), writeJson(patch_object));
}

void Twins::State::tell(Event event) {
  events.push_back(std::move(event));
  if (telling) return;
  telling = true;
  while (!events.empty()) {
    const Event next = std::move(events.front());
    events.pop_front();
    deliver(next);
  }
  telling = false;
}

void Twins::State::deliver(const Event& event) {
  const Change change{event.principal, event.patch, event.section};
  auto& observers = event.side == Side::kDesired ? desired_observers : reported_observers;
  // Weak until each one's turn: who was dropped by a callback before it is not called any more.
  const auto now = observers;
  if (event.side == Side::kDesired) {
    const auto subscribed = subscribers;
    for (const auto& weak : subscribed)
      if (const auto one = weak.lock(); one && one->principal == event.principal)
        one->on_desired(event.section);
  }
  for (const auto& weak : now)
    if (const auto one = weak.lock()) one->on_change(change);
}

Result<std::unique_ptr<Twins>> Twins::open(DurableMap& store) {
  KANTE_TRY(all, store.readAll());
  auto state = std::make_unique<State>(store);
  for (const auto& [principal, text] : all) {
    if (auto twin = decode(text)) {
      state->twins.emplace(principal, std::move(*twin));
    } else {
      state->damaged.push_back(principal);
    }
  }
  return std::unique_ptr<Twins>(new Twins(std::move(state)));
}

Twins::Twins(std::unique_ptr<State> state) : state_(std::move(state)) {}
Twins::~Twins() = default;

TwinSection Twins::desired(const std::string& principal) const {
  const auto found = state_->twins.find(principal);
  return found == state_->twins.end() ? TwinSection{} : found->second.desired;
}

TwinSection Twins::reported(const std::string& principal) const {
  const auto found = state_->twins.find(principal);
  return found == state_->twins.end() ? TwinSection{} : found->second.reported;
}

std::vector<std::string> Twins::principals() const {
  std::vector<std::string> out;
  for (const auto& [principal, twin] : state_->twins) out.push_back(principal);
  return out;
}

std::vector<std::string> Twins::principalsOf(const std::string& place) const {
  std::vector<std::string> out;
  if (state_->twins.contains(place)) out.push_back(place);
  const std::string below = place + "/";
  for (auto at = state_->twins.lower_bound(below);
       at != state_->twins.end() && at->first.starts_with(below); ++at)
    out.push_back(at->first);
  return out;
}

std::vector<std::string> Twins::damaged() const { return state_->damaged; }

Result<std::uint64_t> Twins::patchDesired(const std::string& principal, std::string_view patch) {
  return state_->patch(principal, State::Side::kDesired, patch);
}

Result<std::uint64_t> Twins::patchReported(const std::string& principal, std::string_view patch) {
  return state_->patch(principal, State::Side::kReported, patch);
}

Result<std::uint64_t> Twins::State::replace(const std::string& principal, Side side,
                                            std::string_view text) {
  KANTE_CHECK(room(principal));
  KANTE_TRY(object, parseTwin(text, TwinText::kSection));
  const auto found = twins.find(principal);
  TwinSection current;
  if (found != twins.end())
    current = side == Side::kDesired ? found->second.desired : found->second.reported;
  const auto tried = before_trial.find(principal);
  const bool both = side == Side::kDesired && tried != before_trial.end();
  const bool same = parsedSection(current) == object;
  if (same && (!both || parsedSection(tried->second.desired) == object)) return current.version;
  TwinSection next{writeJson(object), current.version + 1};
  std::string patch = writeJson(mergePatchBetween(parsedSection(current), object));
  if (both) return changeBoth(principal, writeJson(object), std::move(next), std::move(patch));
  return change(principal, side, std::move(next), std::move(patch));
}

Result<std::uint64_t> Twins::replaceDesired(const std::string& principal,
                                            std::string_view section) {
  return state_->replace(principal, State::Side::kDesired, section);
}

Result<std::uint64_t> Twins::replaceReported(const std::string& principal,
                                             std::string_view section) {
  return state_->replace(principal, State::Side::kReported, section);
}

Status Twins::remove(const std::string& principal) {
  if (!state_->twins.contains(principal)) return {};
  KANTE_CHECK(state_->store.erase(principal));
  state_->twins.erase(principal);
  state_->before_trial.erase(principal);
  return {};
}

void Twins::sync(std::function<void(Status)> done) { state_->store.sync(std::move(done)); }

Status Twins::stage(const std::map<std::string, std::string>& bases) {
  std::map<std::string, std::string> differing;
  for (const auto& [principal, text] : bases) {
    KANTE_CHECK(state_->room(principal));
    auto object = parseTwin(text, TwinText::kSection);
    if (!object) return within("desired properties of " + principal, object.error());
    std::string base = writeJson(*object, MemberOrder::kSorted);
    const auto found = state_->twins.find(principal);
    if ((found == state_->twins.end() ? "{}" : found->second.base) != base)
      differing.emplace(principal, std::move(base));
  }
  state_->staged = std::move(differing);
  return {};
}

// A new base replaces the section.
Status Twins::State::putBase(const std::string& principal, const std::string& base) {
  Twin& twin = twins[principal];
  std::string before = std::exchange(twin.base, base);
  const TwinSection next{base, twin.desired.version + 1};
  const auto changed =
      change(principal, Side::kDesired, next,
             writeJson(mergePatchBetween(parsedSection(twin.desired), parsedSection(next))));
  if (changed) return {};
  twins[principal].base = std::move(before);
  return changed.error();
}

void Twins::tryStaged() {
  for (const auto& [principal, base] : std::exchange(state_->staged, {})) {
    const Twin& now = state_->twins[principal];
    state_->before_trial.emplace(principal, now);
    // The store is given what it has.  One that takes nothing now is asked again by commitStaged().
    if (state_->putBase(principal, base)) continue;
    state_->before_trial.erase(principal);
    state_->staged.emplace(principal, base);
  }
}

Status Twins::commitStaged() {
  Status result;
  for (const auto& [principal, base] : std::exchange(state_->staged, {}))
    if (Status put = state_->putBase(principal, base); !put) result = put;
  for (const auto& [principal, before] : std::exchange(state_->before_trial, {}))
    if (Status saved = state_->save(principal); !saved)
      result = within("twin of " + principal, saved.error());
  return result;
}

void Twins::discardStaged() {
  state_->staged.clear();
  for (auto& [principal, before] : std::exchange(state_->before_trial, {})) {
    Twin& twin = state_->twins[principal];
    TwinSection back{before.desired.json, twin.desired.version + 1};
    const std::string patch =
        writeJson(mergePatchBetween(parsedSection(twin.desired), parsedSection(back)));
    twin.base = before.base;
    twin.desired = std::move(back);
    // If it does not get there, the store has the same already.
    (void)state_->save(principal);
    state_->tell({State::Side::kDesired, principal, patch, twin.desired});
  }
}

TwinSection Twins::desiredAtStart(const std::string& principal) const {
  TwinSection section = desired(principal);
  const auto found = state_->staged.find(principal);
  if (found == state_->staged.end()) return section;
  return TwinSection{found->second, section.version + 1};
}

Twins::Subscription Twins::subscribeDesired(const std::string& principal, OnDesired on_desired) {
  auto handle =
      std::make_shared<DesiredSubscriber>(DesiredSubscriber{principal, std::move(on_desired)});
  std::erase_if(state_->subscribers, [](const auto& one) { return one.expired(); });
  state_->subscribers.push_back(handle);
  return handle;
}

namespace {
Twins::Subscription observe(std::vector<std::weak_ptr<Observer>>& observers,
                            Twins::OnChange on_change) {
  auto handle = std::make_shared<Observer>(Observer{std::move(on_change)});
  std::erase_if(observers, [](const auto& one) { return one.expired(); });
  observers.push_back(handle);
  return handle;
}
}  // namespace

Twins::Subscription Twins::observeReported(OnChange on_change) {
  return observe(state_->reported_observers, std::move(on_change));
}

Twins::Subscription Twins::observeDesired(OnChange on_change) {
  return observe(state_->desired_observers, std::move(on_change));
}

}  // namespace kante
