// The last retained message of each topic.  One engine keeps them all, so that two publishers on
// two shards leave the same one for everybody.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/hub/mqtt/publication.h"

namespace kante::hub {

struct Limits;

class Retained {
 public:
  explicit Retained(const Limits& limits);
  ~Retained();

  // An empty payload removes.  False: there is no room; what was there stays.  `before`: what was
  // there and is not any more.
  bool store(const PublicationRef& publication, PublicationRef& before);
  // Those whose topics the filter matches, in order of topics; none that expired.
  void find(std::string_view filter, std::int64_t now_ns, std::vector<PublicationRef>& out) const;
  // Forgets what expired, and says what.
  void expire(std::int64_t now_ns, std::vector<PublicationRef>& gone);

  std::size_t messages() const { return messages_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Node;
  PublicationRef remove(std::string_view topic);
  void walk(const Node& node, std::string_view rest, bool more, bool first, std::int64_t now_ns,
            std::vector<PublicationRef>& out) const;
  void prune(Node& node, std::int64_t now_ns, std::vector<PublicationRef>& gone);
  PublicationRef forget(PublicationRef& publication);

  const Limits& limits_;
  std::unique_ptr<Node> root_;
  std::size_t messages_ = 0;
  std::uint64_t bytes_ = 0;
  std::int64_t next_expiry_ns_ = INT64_MAX;
};

}  // namespace kante::hub
