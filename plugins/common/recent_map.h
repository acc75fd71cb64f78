// A map from texts that knows the order in which its keys were last touched.
#pragma once

#include <list>
#include <string>
#include <unordered_map>
#include <utility>

template <typename Value>
class RecentMap {
 public:
  using Entry = std::pair<const std::string, Value>;
  using iterator = typename std::list<Entry>::iterator;

  std::size_t size() const { return order_.size(); }
  bool empty() const { return order_.empty(); }
  // Longest silent first.
  iterator begin() { return order_.begin(); }
  iterator end() { return order_.end(); }
  auto begin() const { return order_.begin(); }
  auto end() const { return order_.end(); }

  const Value* find(const std::string& key) const {
    const auto at = index_.find(key);
    return at == index_.end() ? nullptr : &at->second->second;
  }
  // The value of that key, made when there is none; now the most recent.
  Value& touch(const std::string& key) {
    const auto [at, is_new] = index_.try_emplace(key, order_.end());
    if (is_new) {
      at->second = order_.emplace(order_.end(), key, Value());
    } else {
      order_.splice(order_.end(), order_, at->second);
    }
    return at->second->second;
  }
  iterator erase(iterator at) {
    index_.erase(at->first);
    return order_.erase(at);
  }

 private:
  std::list<Entry> order_;
  std::unordered_map<std::string, iterator> index_;
};
