// How much clients, and gateways below, may have asked that nobody has looked at yet: in number and
// bytes, of all and of each, so that one who asks without end keeps nobody else from being heard.
// Any thread.
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
    std::uint64_t bytes_of_one = 16u << 20;
  };
  explicit AskedBounds(const Bounds& bounds) : bounds_(bounds) {}

  // Counts it until the last copy is gone; null: too much is asked already.
  std::shared_ptr<void> enter(const std::string& who, std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    Taken& own = each_[who];
    if (all_.number >= bounds_.number || all_.bytes + bytes > bounds_.bytes ||
        own.number >= bounds_.of_one || own.bytes + bytes > bounds_.bytes_of_one) {
      if (own.number == 0) each_.erase(who);
      return nullptr;
    }
    for (Taken* taken : {&all_, &own}) {
      ++taken->number;
      taken->bytes += bytes;
    }
    return {static_cast<void*>(this),
            [self = shared_from_this(), who, bytes](void*) { self->leave(who, bytes); }};
  }

 private:
  struct Taken {
    std::uint32_t number = 0;
    std::uint64_t bytes = 0;
  };
  void leave(const std::string& who, std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto at = each_.find(who);
    for (Taken* taken : {&all_, &at->second}) {
      --taken->number;
      taken->bytes -= bytes;
    }
    if (at->second.number == 0) each_.erase(at);
  }

  const Bounds bounds_;
  std::mutex mutex_;
  Taken all_;
  std::map<std::string, Taken> each_;
};

}  // namespace kante::hub
