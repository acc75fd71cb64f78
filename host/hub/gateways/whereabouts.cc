#include "host/hub/gateways/whereabouts.h"

#include <utility>

#include "host/hub/gateways/gateway_topic.h"

namespace kante::hub {

void Whereabouts::load(const std::string& place, const std::string& gateway) {
  const std::lock_guard lock(mutex_);
  if (places_.size() < kMax && !places_.contains(place)) put(place, {gateway, false, place});
}

void Whereabouts::put(const std::string& place, Place now) {
  if (const auto at = places_.find(place); at != places_.end()) erase(at);
  if (!now.pinned) ++learned_[now.gateway];
  places_[place] = std::move(now);
}

Whereabouts::Places::iterator Whereabouts::erase(Places::iterator at) {
  if (!at->second.pinned && --learned_[at->second.gateway] == 0) learned_.erase(at->second.gateway);
  return places_.erase(at);
}

bool Whereabouts::note(const std::string& place) {
  changes_.fetch_add(1, std::memory_order_release);
  const bool first = moved_.empty();
  moved_.insert(place);
  return first;
}

std::map<std::string, std::string> Whereabouts::takeMoved() {
  std::map<std::string, std::string> out;
  const std::lock_guard lock(mutex_);
  for (const std::string& place : std::exchange(moved_, {})) {
    const auto at = places_.find(place);
    out[place] = at == places_.end() ? std::string() : at->second.gateway;
  }
  return out;
}

Status Whereabouts::speaks(const std::string& gateway, std::string_view principal) {
  const std::string place(placeOf(principal));
  if (place.empty() || isOf(place, gateway)) return {};
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    const auto at = places_.find(place);
    if (at != places_.end() && at->second.gateway == gateway) return {};
    if (at != places_.end() && at->second.pinned)
      return fail(Errc::kDenied, "gateway/" + gateway + " may not speak for " + place +
                                     ": that is behind gateway/" + at->second.gateway +
                                     ", as kante device add … --parent says");
    if (const auto here = here_.find(place); here != here_.end()) {
      here->second = true;
      return {};
    }
    if (at == places_.end() && places_.size() >= kMax)
      return fail(Errc::kLimit,
                  "there are " + std::to_string(kMax) + " devices behind gateways already");
    const auto learned = learned_.find(gateway);
    if (learned != learned_.end() && learned->second >= kLearnedMax)
      return fail(Errc::kLimit, "there are " + std::to_string(kLearnedMax) +
                                    " devices behind gateway/" + gateway +
                                    " already; kante device add … --parent lets one in besides");
    put(place, {gateway, false, std::string(principal)});
    wake = note(place);
  }
  if (wake) wake_();
  return {};
}

void Whereabouts::arrived(const std::string& place) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    here_.try_emplace(place, false);
    const auto at = places_.find(place);
    if (at == places_.end()) return;
    if (!at->second.pinned) erase(at);
    wake = note(place);
  }
  if (wake) wake_();
}

// Who spoke for it is asked again, and a pinned one is where it was.
void Whereabouts::left(const std::string& place) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    const auto here = here_.find(place);
    if (here == here_.end()) return;
    const bool spoken = here->second;
    here_.erase(here);
    if (!spoken && !places_.contains(place)) return;
    wake = note(place);
  }
  if (wake) wake_();
}

std::string Whereabouts::of(std::string_view principal) const {
  const std::lock_guard lock(mutex_);
  const auto at = places_.find(placeOf(principal));
  if (at != places_.end() && here_.contains(at->first)) return {};
  return at == places_.end() ? std::string() : at->second.gateway;
}

std::vector<std::string> Whereabouts::devicesBehind(std::string_view gateway) const {
  std::vector<std::string> out;
  const std::lock_guard lock(mutex_);
  for (auto at = places_.lower_bound("device/");
       at != places_.end() && at->first.starts_with("device/"); ++at)
    if (at->second.gateway == gateway && !here_.contains(at->first)) out.push_back(at->first);
  return out;
}

void Whereabouts::pin(const std::string& place, const std::string& gateway) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    put(place, {gateway, true, {}});
    wake = note(place);
  }
  if (wake) wake_();
}

void Whereabouts::forget(const std::string& place) {
  forgetIf([&](const std::string& name, const Place& one) {
    return name == place || (!one.pinned && place == "gateway/" + one.gateway);
  });
}

void Whereabouts::judge(const std::string& gateway, const MaySpeak& may_speak) {
  forgetIf([&](const std::string&, const Place& one) {
    return !one.pinned && one.gateway == gateway && !may_speak(gateway, one.by);
  });
}

void Whereabouts::judgePlace(const std::string& place, const MaySpeak& may_speak) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    const auto at = places_.find(place);
    if (at == places_.end() || at->second.pinned || may_speak(at->second.gateway, at->second.by))
      return;
    wake = note(place);
    erase(at);
  }
  if (wake) wake_();
}

void Whereabouts::forgetIf(
    const std::function<bool(const std::string& place, const Place&)>& gone) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    for (auto at = places_.begin(); at != places_.end();) {
      if (!gone(at->first, at->second)) {
        ++at;
        continue;
      }
      wake = note(at->first) || wake;
      at = erase(at);
    }
  }
  if (wake) wake_();
}

}  // namespace kante::hub
