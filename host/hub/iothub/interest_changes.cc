#include "host/hub/iothub/interest_changes.h"

#include <algorithm>
#include <utility>

namespace kante::hub {

bool InterestChanges::put(const SessionRef& session, const std::string& who,
                          std::uint8_t interests) {
  const std::lock_guard lock(mutex_);
  const bool first = changed_.empty();
  changed_[session.key] = {++changes_, session, who, interests};
  return first;
}

std::vector<InterestChanges::Change> InterestChanges::takeAll() {
  std::vector<Change> all;
  {
    const std::lock_guard lock(mutex_);
    all.reserve(changed_.size());
    for (auto& [key, one] : changed_) all.push_back(std::move(one));
    changed_.clear();
  }
  std::sort(all.begin(), all.end(),
            [](const Change& a, const Change& b) { return a.order < b.order; });
  return all;
}

}  // namespace kante::hub
