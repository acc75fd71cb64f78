#include "host/hub/mqtt/journal.h"

#include <iterator>
#include <utility>

namespace kante::hub {

struct Journal::Way {
  std::function<void()> wake;
  std::unique_ptr<SessionStore::Batch> batch;
  std::atomic<bool> back{false};
};

Journal::Journal(SessionStore* store, std::function<void()> wake)
    : store_(store), way_(std::make_shared<Way>()) {
  way_->wake = std::move(wake);
}

Journal::~Journal() = default;

std::uint64_t Journal::add(Change change) {
  waiting_.push_back(std::move(change));
  return first_ + waiting_.size() - 1;
}

Change* Journal::waiting(std::uint64_t at) {
  if (at < first_ || at - first_ >= waiting_.size()) return nullptr;
  return &waiting_[at - first_];
}

bool Journal::takeBack(std::uint64_t at) {
  Change* change = waiting(at);
  if (change == nullptr) return false;
  AckShare share = std::move(change->share);
  *change = {};
  share.release(Kept::kYes);
  return true;
}

void Journal::retain(PublicationRef before, PublicationRef now, AckShare share) {
  const auto at = retained_.find(before ? &*before : nullptr);
  Change* last = at == retained_.end() ? nullptr : waiting(at->second);
  if (last == nullptr) {
    Change change;
    change.kind = Change::Kind::kRetain;
    change.before = std::move(before);
    change.publication = now;
    change.share = std::move(share);
    const std::uint64_t place = add(std::move(change));
    if (now) retained_[&*now] = place;
    return;
  }
  const std::uint64_t place = at->second;
  retained_.erase(at);
  if (now) retained_[&*now] = place;
  last->publication = std::move(now);
  if (!share) return;
  AckShare earlier = std::exchange(last->share, std::move(share));
  if (!earlier) return;
  Change both;  // Whoever waits for what was replaced hears the same.
  both.share = std::move(earlier);
  (void)add(std::move(both));
}

void Journal::hand(Effort effort) {
  if (under_way_ || (waiting_.empty() && (effort == Effort::kNew || again_.empty()))) return;
  auto batch = std::make_unique<SessionStore::Batch>();
  batch->changes = std::exchange(again_, {});
  first_ += waiting_.size();
  for (Change& change : waiting_)
    if (change.kind != Change::Kind::kNothing || change.share)
      batch->changes.push_back(std::move(change));
  waiting_.clear();
  retained_.clear();
  if (waiting_.capacity() > 4096) std::vector<Change>().swap(waiting_);
  if (batch->changes.empty()) return;
  under_way_ = true;
  store_->write(std::move(batch), [way = way_](std::unique_ptr<SessionStore::Batch> written) {
    way->batch = std::move(written);
    way->back.store(true, std::memory_order_release);
    if (way->wake) way->wake();
  });
}

// In batches, of which each is kept or not for itself.
void Journal::handAll() {
  if (!isOpen()) return;
  auto batch = std::make_unique<SessionStore::Batch>();
  batch->changes = std::exchange(again_, {});
  const auto send = [&] {
    if (batch->changes.empty()) return;
    store_->write(std::exchange(batch, std::make_unique<SessionStore::Batch>()),
                  [store = store_](const std::unique_ptr<SessionStore::Batch>& written) {
                    store->saysLast(*written);
                  });
  };
  for (Change& change : waiting_) {
    batch->changes.push_back(std::move(change));
    if (batch->changes.size() >= kLastBatch) send();
  }
  waiting_.clear();
  send();
}

std::unique_ptr<SessionStore::Batch> Journal::takeBatch() {
  if (!under_way_ || !way_->back.load(std::memory_order_acquire)) return nullptr;
  way_->back.store(false, std::memory_order_relaxed);
  under_way_ = false;
  return std::move(way_->batch);
}

}  // namespace kante::hub
