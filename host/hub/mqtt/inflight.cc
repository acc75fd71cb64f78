#include "host/hub/mqtt/inflight.h"

namespace kante::hub {

std::uint16_t Inflight::add(Outgoing&& message, State state) {
  if (ring_.empty()) first_ = message.place;
  while (added() < message.place) ring_.push({});  // Those that left the queue unsent.
  ring_.push({std::move(message), state});
  ++open_;
  return idAt(ring_.size() - 1);
}

Inflight::Entry* Inflight::find(std::uint16_t id) {
  if (id == 0) return nullptr;
  const std::uint64_t at = (id - 1 + kIds - first_ % kIds) % kIds;
  if (at >= ring_.size()) return nullptr;
  Entry* entry = ring_.at(at);
  return entry->state == State::kDone ? nullptr : entry;
}

void Inflight::done(std::uint16_t id) {
  Entry* entry = find(id);
  entry->state = State::kDone;
  entry->message = {};
  --open_;
  while (!ring_.empty() && ring_.front().state == State::kDone) {
    (void)ring_.pop();
    ++first_;
  }
  if (ring_.empty() && ring_.capacity() > 64) ring_.release();
}

Inflight::Entry* Inflight::next(std::uint64_t& from, std::uint16_t& id) {
  if (from < first_) from = first_;
  for (; from < added(); ++from) {
    const std::size_t i = from - first_;
    if (ring_.at(i)->state == State::kDone) continue;
    id = idAt(i);
    return ring_.at(i);
  }
  return nullptr;
}

void ReceivedIds::add(std::uint16_t id) {
  if (!bits_) bits_ = std::make_unique<std::uint64_t[]>(kWords);
  word(id) |= bit(id);
  ++count_;
}

bool ReceivedIds::remove(std::uint16_t id) {
  if (!contains(id)) return false;
  word(id) &= ~bit(id);
  --count_;
  return true;
}

void ReceivedIds::clear() {
  bits_.reset();
  count_ = 0;
}

}  // namespace kante::hub
