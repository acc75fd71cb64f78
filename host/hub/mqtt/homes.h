// Which engine has which session.
//
// The first few sessions share one engine: between two clients on the same shard a message costs
// one wake-up, and a gateway with few clients has no use for more. Further ones are spread over
// all. Asked when a connection comes in and told when a session begins or ends; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace kante::hub {

class Homes : public std::enable_shared_from_this<Homes> {
 public:
  static constexpr std::uint32_t kTogether = 16;

  // At most so many sessions on all engines; `together`: how many share the first one before others
  // get any.
  Homes(std::uint32_t engines, std::uint32_t sessions_max, std::uint32_t together = kTogether)
      : engines_(engines), sessions_max_(sessions_max), together_(together) {}

  // The session's home stays what it is while a claim to it lives: whoever goes there with a
  // connection holds one until the session has begun, or is not wanted after all.
  class Claim {
   public:
    Claim() = default;
    Claim(Claim&& other) noexcept { *this = std::move(other); }
    Claim& operator=(Claim&& other) noexcept;
    ~Claim() { give(); }
    std::uint32_t home() const { return home_; }

   private:
    friend class Homes;
    Claim(std::shared_ptr<Homes> homes, std::string key, std::uint32_t home)
        : homes_(std::move(homes)), key_(std::move(key)), home_(home) {}
    void give();
    std::shared_ptr<Homes> homes_;  // A claim may lie in mail that nobody takes any more.
    std::string key_;
    std::uint32_t home_ = 0;
  };
  Claim claim(std::string_view key);

  // By the engine that is its home.  began() under a claim; false: there are as many as may be.
  bool began(std::string_view key);
  void ended(std::string_view key);

  // Where a session beyond the first few goes.
  static std::uint32_t spread(std::string_view key, std::uint32_t engines) {
    return static_cast<std::uint32_t>(std::hash<std::string_view>()(key) % engines);
  }

 private:
  struct Home {
    std::uint32_t engine = 0;
    std::uint32_t claims = 0;
    bool has_session = false;
  };
  struct Text {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  using Map = std::unordered_map<std::string, Home, Text, std::equal_to<>>;

  Map::iterator findOrMake(std::string_view key);
  void eraseUnused(Map::iterator at);

  const std::uint32_t engines_;
  const std::uint32_t sessions_max_;
  const std::uint32_t together_;
  std::mutex mutex_;
  Map homes_;  // As many as there are sessions, and connections on their way to one.
  std::uint32_t on_first_ = 0;
  std::uint32_t sessions_ = 0;
};

}  // namespace kante::hub
