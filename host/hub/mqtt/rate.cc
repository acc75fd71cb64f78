#include "host/hub/mqtt/rate.h"

#include <algorithm>

namespace kante::hub {

double Rate::tokens(const Bucket& bucket, std::int64_t now_ns) const {
  const double seconds = static_cast<double>(now_ns - bucket.at_ns) / 1e9;
  return std::min(2.0 * per_s_, bucket.left + seconds * per_s_);
}

// Whose bucket is full again is as good as never seen.
void Rate::forgetFull(std::int64_t now_ns) {
  std::erase_if(buckets_,
                [&](const auto& entry) { return tokens(entry.second, now_ns) >= 2.0 * per_s_; });
}

bool Rate::take(const std::string& name, std::int64_t now_ns) {
  auto at = buckets_.find(name);
  if (at == buckets_.end()) {
    if (buckets_.size() >= kNamesMax) forgetFull(now_ns);
    if (buckets_.size() >= kNamesMax) return false;
    at = buckets_.emplace(name, Bucket{2.0 * per_s_, now_ns}).first;
  }
  Bucket& bucket = at->second;
  bucket = {tokens(bucket, now_ns), now_ns};
  if (bucket.left < 1) return false;
  bucket.left -= 1;
  return true;
}

}  // namespace kante::hub
