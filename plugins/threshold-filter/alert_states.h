// Which keys are in alert: a bounded memory that forgets the key that was silent for longest.
#pragma once

#include <kante/json.hpp>

#include "plugins/common/recent_map.h"

class AlertStates {
 public:
  explicit AlertStates(std::size_t keys_max) : keys_max_(keys_max) {}

  std::size_t size() const { return states_.size(); }
  bool isAlert(const std::string& key) const {
    const bool* state = states_.find(key);
    return state != nullptr && *state;
  }
  // Returns how many keys had to be forgotten for it: 0 or 1.
  std::size_t set(const std::string& key, bool is_alert) {
    states_.touch(key) = is_alert;
    if (states_.size() <= keys_max_) return 0;
    states_.erase(states_.begin());
    return 1;
  }

  // [[key, is alert], …], longest silent first.
  kante::json::Value toJson() const {
    kante::json::Array out;
    for (const auto& [key, is_alert] : states_) out.push_back(kante::json::Array{key, is_alert});
    return out;
  }
  // Throws Failure for anything else than what toJson() gave.
  void restore(const kante::json::Value& json) {
    const kante::json::Array* entries = json.array();
    if (entries == nullptr) throw kante::Failure("saved state: keys should be an array");
    for (const kante::json::Value& entry : *entries) {
      const kante::json::Value* key = entry.find("/0");
      const kante::json::Value* is_alert = entry.find("/1");
      if (key == nullptr || !key->isString() || is_alert == nullptr || !is_alert->isBool()) {
        throw kante::Failure("saved state: a key should be [\"name\", true or false]");
      }
      set(*key->string(), *is_alert->boolean());
    }
  }

 private:
  std::size_t keys_max_;
  RecentMap<bool> states_;
};
