#include "host/hub/mqtt/retained.h"

#include <algorithm>

#include "host/hub/mqtt/limits.h"

namespace kante::hub {

struct Retained::Node {
  std::map<std::string, Node, std::less<>> children;
  PublicationRef publication;
};

namespace {

std::string_view cutLevel(std::string_view& text, bool& more) {
  const std::size_t end = text.find('/');
  const std::string_view level = text.substr(0, end);
  more = end != std::string_view::npos;
  text.remove_prefix(more ? end + 1 : text.size());
  return level;
}

void take(const PublicationRef& publication, std::int64_t now_ns,
          std::vector<PublicationRef>& out) {
  if (publication && !publication->expired(now_ns)) out.push_back(publication);
}

}  // namespace

Retained::Retained(const Limits& limits) : limits_(limits), root_(std::make_unique<Node>()) {}
Retained::~Retained() = default;

PublicationRef Retained::forget(PublicationRef& publication) {
  if (!publication) return {};
  --messages_;
  bytes_ -= publication->size();
  return std::move(publication);
}

bool Retained::store(const PublicationRef& publication, PublicationRef& before) {
  std::string_view rest = publication->topic();
  if (publication->payload().empty()) {
    before = remove(rest);
    return true;
  }
  Node* node = root_.get();
  for (bool more = true; more;) {
    const std::string_view level = cutLevel(rest, more);
    const auto at = node->children.find(level);
    node = at != node->children.end()
               ? &at->second
               : &node->children.try_emplace(std::string(level)).first->second;
  }
  const std::size_t size = node->publication ? node->publication->size() : 0;
  if (messages_ + (size == 0 ? 1 : 0) > limits_.retained_messages ||
      bytes_ - size + publication->size() > limits_.retained_bytes) {
    if (size == 0) (void)remove(publication->topic());  // What was made for it.
    return false;
  }
  before = forget(node->publication);
  node->publication = publication;
  ++messages_;
  bytes_ += publication->size();
  next_expiry_ns_ = std::min(next_expiry_ns_, publication->expiresNs());
  return true;
}

PublicationRef Retained::remove(std::string_view topic) {
  std::vector<std::pair<Node*, std::string_view>> way;
  Node* node = root_.get();
  for (bool more = true; more;) {
    const std::string_view level = cutLevel(topic, more);
    const auto at = node->children.find(level);
    if (at == node->children.end()) return {};
    way.emplace_back(node, level);
    node = &at->second;
  }
  PublicationRef removed = forget(node->publication);
  for (; !way.empty(); way.pop_back()) {
    auto& children = way.back().first->children;
    const auto at = children.find(way.back().second);
    if (at->second.publication || !at->second.children.empty()) break;
    children.erase(at);
  }
  return removed;
}

void Retained::walk(const Node& node, std::string_view rest, bool more, bool first,
                    std::int64_t now_ns, std::vector<PublicationRef>& out) const {
  if (!more) return take(node.publication, now_ns, out);
  const std::string_view level = cutLevel(rest, more);
  if (level == "#") {
    if (!first) take(node.publication, now_ns, out);  // "sport/#" matches "sport" too.
    for (const auto& [name, child] : node.children) {
      if (first && name.starts_with('$')) continue;  // [MQTT-4.7.2-1]
      walk(child, "#", true, false, now_ns, out);
    }
    return;
  }
  if (level != "+") {
    const auto at = node.children.find(level);
    if (at != node.children.end()) walk(at->second, rest, more, false, now_ns, out);
    return;
  }
  for (const auto& [name, child] : node.children) {
    if (first && name.starts_with('$')) continue;
    walk(child, rest, more, false, now_ns, out);
  }
}

void Retained::find(std::string_view filter, std::int64_t now_ns,
                    std::vector<PublicationRef>& out) const {
  walk(*root_, filter, true, true, now_ns, out);
}

void Retained::prune(Node& node, std::int64_t now_ns, std::vector<PublicationRef>& gone) {
  if (node.publication && node.publication->expired(now_ns))
    gone.push_back(forget(node.publication));
  if (node.publication) next_expiry_ns_ = std::min(next_expiry_ns_, node.publication->expiresNs());
  for (auto at = node.children.begin(); at != node.children.end();) {
    Node& child = at->second;
    prune(child, now_ns, gone);
    at = !child.publication && child.children.empty() ? node.children.erase(at) : std::next(at);
  }
}

void Retained::expire(std::int64_t now_ns, std::vector<PublicationRef>& gone) {
  if (now_ns < next_expiry_ns_) return;
  next_expiry_ns_ = INT64_MAX;
  prune(*root_, now_ns, gone);
}

}  // namespace kante::hub
