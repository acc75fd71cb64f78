// Behind which gateway a device, or a gateway, is: learned from what gateways speak for, or pinned.
// Who is connected here is behind none meanwhile, whatever gateways say.
//
// Any thread: whoever takes telemetry asks once for each sender, and again after something moved
// (changes()), so the lock is off the way of messages.  What is learned is written behind.  Bounded
// by kMax, and by kLearnedMax of one gateway, so that none of them takes the room of all.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"

namespace kante::hub {

class Whereabouts {
 public:
  static constexpr std::size_t kMax = 100'000;
  static constexpr std::size_t kLearnedMax = 10'000;  // From one gateway.
  static constexpr char kArea[] = "hub/whereabouts";

  // `wake`: on whatever thread, without the lock, when the first place has moved since takeMoved(),
  // which is to be called.
  explicit Whereabouts(std::function<void()> wake) : wake_(std::move(wake)) {}

  // What an earlier life learned.
  void load(const std::string& place, const std::string& gateway);
  // `gateway` speaks for the principal: it is behind it from now on.  kDenied: it is pinned behind
  // another one; kLimit: there are kMax, or kLearnedMax of that gateway.
  Status speaks(const std::string& gateway, std::string_view principal);
  // The id of the gateway; empty: behind none that is known, or here.
  std::string of(std::string_view principal) const;
  // Devices ("device/ID") behind it and not here.
  std::vector<std::string> devicesBehind(std::string_view gateway) const;
  // "device/ID" and "gateway/ID" that moved, however often, and behind which gateway each is now,
  // which is to be kept; empty: behind none.
  std::map<std::string, std::string> takeMoved();
  // Rises whenever something moved.
  std::uint64_t changes() const { return changes_.load(std::memory_order_acquire); }

  // It is connected here, until left(): what was learned of it is forgotten, and nothing is
  // learned.
  void arrived(const std::string& place);
  void left(const std::string& place);

  // Only that gateway may speak for it.
  void pin(const std::string& place, const std::string& gateway);
  // What was learned from that gateway is forgotten unless it may speak for who it was learned by.
  using MaySpeak = std::function<bool(const std::string& gateway, const std::string& principal)>;
  void judge(const std::string& gateway, const MaySpeak& may_speak);
  void judgePlace(const std::string& place, const MaySpeak& may_speak);
  // It, or all that is behind that gateway ("gateway/ID"), is not there any more.
  void forget(const std::string& place);

 private:
  struct Place {
    std::string gateway;
    bool pinned = false;
    std::string by;  // For whom the gateway spoke; as far as is known.
  };
  using Places = std::map<std::string, Place, std::less<>>;
  void put(const std::string& place, Place now);
  Places::iterator erase(Places::iterator at);
  void forgetIf(const std::function<bool(const std::string& place, const Place&)>& gone);
  // True: somebody is to be woken.
  bool note(const std::string& place);

  const std::function<void()> wake_;
  mutable std::mutex mutex_;
  Places places_;
  std::map<std::string, bool, std::less<>> here_;  // Whether a gateway spoke for it meanwhile.
  std::set<std::string> moved_;
  std::map<std::string, std::size_t> learned_;  // How many that are not pinned, by gateway.
  std::atomic<std::uint64_t> changes_{1};
};

}  // namespace kante::hub
