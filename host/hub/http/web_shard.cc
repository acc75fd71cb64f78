#include "host/hub/http/web_shard.h"

#include <utility>
#include <vector>

#include "host/hub/http/web_connection.h"

namespace kante::hub {

WebShard::WebShard(std::shared_ptr<Shard> shard, Options options)
    : shard_(std::move(shard)), options_(std::move(options)) {}

WebShard::~WebShard() = default;

void WebShard::accept(std::unique_ptr<Transport> transport, Peer peer) {
  // A task is copied about; what moves only travels in a box.
  const auto box = std::make_shared<std::pair<std::unique_ptr<Transport>, Peer>>(
      std::move(transport), std::move(peer));
  shard_->post([this, box] {
    if (stopped_) return options_.closed();
    const auto connection =
        std::make_shared<WebConnection>(*this, std::move(box->first), std::move(box->second));
    connections_.insert(connection);
    connection->begin();
  });
}

void WebShard::stop(std::function<void()> done) {
  shard_->post([this, done = std::move(done)] {
    stopped_ = true;
    const std::vector<std::shared_ptr<WebConnection>> all(connections_.begin(), connections_.end());
    for (const auto& connection : all) connection->end();
    done();
  });
}

void WebShard::forget(const std::shared_ptr<WebConnection>& connection) {
  connections_.erase(connection);
}

bool WebShard::hold(std::ptrdiff_t more) {
  const auto next = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(held_) + more);
  if (more > 0 && next > options_.bodies_bytes_max) return false;
  held_ = next;
  return true;
}

}  // namespace kante::hub
