// Which subscriptions a topic matches, at a cost of its levels and its matches.
//
// One shard's: it holds the subscriptions of the sessions there, and of every other shard only that
// it has some for a filter, so that one walk finds the local receivers and the shards to hand the
// message to.  Bounded by the subscriptions of all sessions.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "host/hub/mqtt/limits.h"
#include "host/mqtt/packet.h"

namespace kante::hub {

class Session;

struct SubscriptionOptions {
  mqtt::Qos qos = mqtt::Qos::k0;
  bool no_local = false;
  bool retain_as_published = false;
  std::uint32_t id = 0;  // 0: none.
};

struct Subscriber {
  Session* session = nullptr;
  SubscriptionOptions options;
};

// The members of "$share/NAME/FILTER": each message goes to one of them.
struct ShareGroup {
  std::string key;  // "$share/NAME/FILTER"
  std::vector<Subscriber> local;
  std::vector<std::uint32_t> remote;  // Members by shard; its own entry is 0.
  std::uint32_t next = 0;             // Whose turn it is.
  std::size_t members() const;
};

class TopicTree {
 public:
  static constexpr std::uint32_t kShardsMax = 64;

  struct Matches {
    std::vector<Subscriber> local;  // A session once for each of its filters.
    std::vector<ShareGroup*> groups;
    std::uint64_t remote = 0;  // Bit i: shard i has subscribers.
    void clear();
  };

  TopicTree();
  ~TopicTree();
  TopicTree(const TopicTree&) = delete;
  TopicTree& operator=(const TopicTree&) = delete;

  // Too many levels are refused, before anything is put in or looked for.
  static bool fits(std::string_view topic_or_filter);

  // `filter` is valid; may begin with "$share/".
  enum class Change { kNone, kFirst, kLast };  // Of the local subscribers of this filter.
  // Replaces the options of a subscription that is there.
  Change subscribe(std::string_view filter, Session& session, SubscriptionOptions options);
  Change unsubscribe(std::string_view filter, Session& session);
  // What another shard has for this filter: 0 or more members; without a group only 0 or 1 count.
  void setRemote(std::string_view filter, std::uint32_t shard, std::uint32_t members);

  // Groups point into the tree: until it changes.
  void match(std::string_view topic, Matches& out) const;
  ShareGroup* group(std::string_view key);
  // Local members of a group; 0: there is no group.
  std::uint32_t membersOf(std::string_view key) const;

  std::uint64_t version() const { return version_; }  // Another one after each change.
  std::size_t nodes() const { return nodes_.size(); }
  std::size_t subscriptions() const { return subscriptions_; }

 private:
  struct Node;
  struct Level {
    const Node* parent;
    std::string_view name;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const Level& level) const;
    std::size_t operator()(const Node* node) const;
  };
  struct Same {
    using is_transparent = void;
    bool operator()(const Node* a, const Node* b) const { return a == b; }
    bool operator()(const Level& a, const Node* b) const;
    bool operator()(const Node* a, const Level& b) const { return operator()(b, a); }
  };
  struct Text {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  Node* child(const Node* parent, std::string_view name) const;
  Node* find(std::string_view filter) const;
  Node* make(std::string_view filter);
  void prune(Node* node);
  ShareGroup& makeGroup(std::string_view key);
  void dropGroup(const std::string& key);
  void walk(const Node* node, std::string_view rest, bool more, Matches& out) const;
  static void take(const Node* node, Matches& out);

  std::unique_ptr<Node> root_;
  std::unordered_set<Node*, Hash, Same> nodes_;  // All but the root; owned.
  std::unordered_map<std::string, std::unique_ptr<ShareGroup>, Text, std::equal_to<>> groups_;
  std::uint64_t version_ = 0;
  std::size_t subscriptions_ = 0;
};

}  // namespace kante::hub
