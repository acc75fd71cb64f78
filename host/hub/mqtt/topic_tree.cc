#include "host/hub/mqtt/topic_tree.h"

#include <algorithm>

#include "host/mqtt/topic.h"

namespace kante::hub {

struct TopicTree::Node {
  Node* parent = nullptr;
  std::string name;
  std::size_t hash = 0;
  Node* any = nullptr;   // The child "+".
  Node* rest = nullptr;  // The child "#".
  std::uint32_t children = 0;
  std::vector<Subscriber> subscribers;
  std::vector<ShareGroup*> groups;
  std::uint64_t remote = 0;

  bool isIdle() const {
    return children == 0 && subscribers.empty() && groups.empty() && remote == 0;
  }
};

namespace {

std::string_view cutLevel(std::string_view& text, bool& more) {
  const std::size_t end = text.find('/');
  const std::string_view level = text.substr(0, end);
  more = end != std::string_view::npos;
  text.remove_prefix(more ? end + 1 : text.size());
  return level;
}

std::string_view filterOf(std::string_view key) {
  return mqtt::isShared(key) ? mqtt::sharedFilter(key)->filter : key;
}

auto memberOf(std::vector<Subscriber>& members, const Session& session) {
  return std::find_if(members.begin(), members.end(),
                      [&](const Subscriber& one) { return one.session == &session; });
}

// True: it is new.
bool put(std::vector<Subscriber>& members, Session& session, SubscriptionOptions options) {
  const auto at = memberOf(members, session);
  if (at != members.end()) {
    at->options = options;
    return false;
  }
  members.push_back({&session, options});
  return true;
}

bool takeOut(std::vector<Subscriber>& members, const Session& session) {
  const auto at = memberOf(members, session);
  if (at == members.end()) return false;
  *at = members.back();
  members.pop_back();
  return true;
}

}  // namespace

std::size_t ShareGroup::members() const {
  std::size_t count = local.size();
  for (const std::uint32_t there : remote) count += there;
  return count;
}

void TopicTree::Matches::clear() {
  local.clear();
  groups.clear();
  remote = 0;
}

TopicTree::TopicTree() : root_(std::make_unique<Node>()) {}

TopicTree::~TopicTree() {
  for (Node* node : nodes_) delete node;
}

bool TopicTree::fits(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '/')) <
         Limits::kTopicLevelsMax;
}

std::size_t TopicTree::Hash::operator()(const Level& level) const {
  const auto seed = reinterpret_cast<std::uintptr_t>(level.parent);
  return std::hash<std::string_view>()(level.name) ^ (seed * 0x9e3779b97f4a7c15u >> 7);
}
std::size_t TopicTree::Hash::operator()(const Node* node) const { return node->hash; }
bool TopicTree::Same::operator()(const Level& a, const Node* b) const {
  return a.parent == b->parent && a.name == b->name;
}

TopicTree::Node* TopicTree::child(const Node* parent, std::string_view name) const {
  const auto at = nodes_.find(Level{parent, name});
  return at == nodes_.end() ? nullptr : *at;
}

TopicTree::Node* TopicTree::find(std::string_view filter) const {
  Node* node = root_.get();
  for (bool more = true; more && node != nullptr;) node = child(node, cutLevel(filter, more));
  return node;
}

TopicTree::Node* TopicTree::make(std::string_view filter) {
  Node* node = root_.get();
  for (bool more = true; more;) {
    const std::string_view name = cutLevel(filter, more);
    Node* next = child(node, name);
    if (next == nullptr) {
      next = new Node;
      next->parent = node;
      next->name = name;
      next->hash = Hash()(Level{node, name});
      nodes_.insert(next);
      ++node->children;
      if (name == "+") node->any = next;
      if (name == "#") node->rest = next;
    }
    node = next;
  }
  return node;
}

void TopicTree::prune(Node* node) {
  while (node != root_.get() && node->isIdle()) {
    Node* parent = node->parent;
    nodes_.erase(node);
    --parent->children;
    if (parent->any == node) parent->any = nullptr;
    if (parent->rest == node) parent->rest = nullptr;
    delete node;
    node = parent;
  }
}

ShareGroup& TopicTree::makeGroup(std::string_view key) {
  if (ShareGroup* there = group(key)) return *there;
  auto made = std::make_unique<ShareGroup>();
  made->key = key;
  make(filterOf(key))->groups.push_back(made.get());
  return *groups_.emplace(made->key, std::move(made)).first->second;
}

void TopicTree::dropGroup(const std::string& key) {
  const auto at = groups_.find(key);
  Node* node = find(filterOf(key));
  std::erase(node->groups, at->second.get());
  groups_.erase(at);
  prune(node);
}

ShareGroup* TopicTree::group(std::string_view key) {
  const auto at = groups_.find(key);
  return at == groups_.end() ? nullptr : at->second.get();
}

std::uint32_t TopicTree::membersOf(std::string_view key) const {
  const auto at = groups_.find(key);
  return at == groups_.end() ? 0 : static_cast<std::uint32_t>(at->second->local.size());
}

TopicTree::Change TopicTree::subscribe(std::string_view filter, Session& session,
                                       SubscriptionOptions options) {
  ++version_;
  auto& members = mqtt::isShared(filter) ? makeGroup(filter).local : make(filter)->subscribers;
  if (!put(members, session, options)) return Change::kNone;
  ++subscriptions_;
  return members.size() == 1 ? Change::kFirst : Change::kNone;
}

TopicTree::Change TopicTree::unsubscribe(std::string_view filter, Session& session) {
  ++version_;
  if (mqtt::isShared(filter)) {
    ShareGroup* from = group(filter);
    if (from == nullptr || !takeOut(from->local, session)) return Change::kNone;
    --subscriptions_;
    if (!from->local.empty()) return Change::kNone;
    if (from->members() == 0) dropGroup(std::string(filter));
    return Change::kLast;
  }
  Node* node = find(filter);
  if (node == nullptr || !takeOut(node->subscribers, session)) return Change::kNone;
  --subscriptions_;
  if (!node->subscribers.empty()) return Change::kNone;
  prune(node);
  return Change::kLast;
}

void TopicTree::setRemote(std::string_view filter, std::uint32_t shard, std::uint32_t members) {
  ++version_;
  if (mqtt::isShared(filter)) {
    ShareGroup& shared = makeGroup(filter);
    if (shared.remote.size() <= shard) shared.remote.resize(shard + 1);
    shared.remote[shard] = members;
    if (shared.members() == 0) dropGroup(std::string(filter));
    return;
  }
  Node* node = make(filter);
  const std::uint64_t bit = std::uint64_t{1} << shard;
  node->remote = members == 0 ? node->remote & ~bit : node->remote | bit;
  prune(node);
}

void TopicTree::take(const Node* node, Matches& out) {
  out.local.insert(out.local.end(), node->subscribers.begin(), node->subscribers.end());
  out.groups.insert(out.groups.end(), node->groups.begin(), node->groups.end());
  out.remote |= node->remote;
}

// As deep as the topic has levels, which are bounded.
void TopicTree::walk(const Node* node, std::string_view rest, bool more, Matches& out) const {
  if (node->rest != nullptr) take(node->rest, out);  // "sport/#" matches "sport" too.
  if (!more) return take(node, out);
  const std::string_view level = cutLevel(rest, more);
  if (const Node* next = child(node, level)) walk(next, rest, more, out);
  if (node->any != nullptr) walk(node->any, rest, more, out);
}

void TopicTree::match(std::string_view topic, Matches& out) const {
  out.clear();
  if (!topic.starts_with('$')) return walk(root_.get(), topic, true, out);
  bool more = true;  // A wildcard at the first level does not match it [MQTT-4.7.2-1].
  const Node* first = child(root_.get(), cutLevel(topic, more));
  if (first != nullptr) walk(first, topic, more, out);
}

}  // namespace kante::hub
