// How much clients may have asked that nobody has looked at yet: in number and bytes, of all and of
// each, so that one who asks without end keeps nobody else from being heard.  Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace kante::hub {

class AskedBounds : public std::enable_shared_from_this<AskedBounds> {
 public:
  struct Bounds {
    std::uint32_t number = 4096;
    std::uint64_t bytes = 64u << 20;
    std::uint32_t of_one = 256;
  };
  explicit AskedBounds(const Bounds& bounds) : bounds_(bounds) {}

  // Counts it until the last copy is gone; null: too much is asked already.
  std::shared_ptr<void> enter(const std::string& who, std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    std::uint32_t& of_one = each_[who];
    if (number_ >= bounds_.number || bytes_ + bytes > bounds_.bytes || of_one >= bounds_.of_one) {
      if (of_one == 0) each_.erase(who);
      return nullptr;
    }
    ++number_;
    ++of_one;
    bytes_ += bytes;
    return {static_cast<void*>(this),
            [self = shared_from_this(), who, bytes](void*) { self->leave(who, bytes); }};
  }

 private:
  void leave(const std::string& who, std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    --number_;
    bytes_ -= bytes;
    const auto at = each_.find(who);
    if (--at->second == 0) each_.erase(at);
  }

  const Bounds bounds_;
  std::mutex mutex_;
  std::uint32_t number_ = 0;
  std::uint64_t bytes_ = 0;
  std::map<std::string, std::uint32_t> each_;
};

}  // namespace kante::hub
