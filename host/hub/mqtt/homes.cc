#include "host/hub/mqtt/homes.h"

#include <utility>

namespace kante::hub {

Homes::Claim& Homes::Claim::operator=(Claim&& other) noexcept {
  if (this == &other) return *this;
  give();
  homes_ = std::move(other.homes_);
  key_ = std::move(other.key_);
  home_ = other.home_;
  return *this;
}

void Homes::Claim::give() {
  const std::shared_ptr<Homes> homes = std::move(homes_);
  if (!homes) return;
  const std::lock_guard lock(homes->mutex_);
  const auto at = homes->homes_.find(key_);
  --at->second.claims;
  homes->eraseUnused(at);
}

Homes::Claim Homes::claim(std::string_view key) {
  const std::lock_guard lock(mutex_);
  const auto at = findOrMake(key);
  ++at->second.claims;
  return Claim(shared_from_this(), at->first, at->second.engine);
}

bool Homes::began(std::string_view key) {
  const std::lock_guard lock(mutex_);
  if (sessions_ >= sessions_max_) return false;
  if (!std::exchange(findOrMake(key)->second.has_session, true)) ++sessions_;
  return true;
}

void Homes::ended(std::string_view key) {
  const std::lock_guard lock(mutex_);
  const auto at = homes_.find(key);
  if (at == homes_.end()) return;
  if (std::exchange(at->second.has_session, false)) --sessions_;
  eraseUnused(at);
}

Homes::Map::iterator Homes::findOrMake(std::string_view key) {
  const auto at = homes_.find(key);
  if (at != homes_.end()) return at;
  const std::uint32_t engine = on_first_ < together_ ? 0 : spread(key, engines_);
  if (engine == 0) ++on_first_;
  return homes_.emplace(std::string(key), Home{engine, 0, false}).first;
}

void Homes::eraseUnused(Map::iterator at) {
  if (at->second.has_session || at->second.claims != 0) return;
  if (at->second.engine == 0) --on_first_;
  homes_.erase(at);
}

}  // namespace kante::hub
