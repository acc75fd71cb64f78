#include "host/store/durable_queue.h"

#include "host/store/store_core.h"

namespace kante {

Offer DurableQueue::offer(Entry& entry, CommitSink* sink, std::uint64_t ticket) {
  return core_.offer(*this, entry, sink, ticket);
}

void DurableQueue::take(TakeRequest request, OnTaken on_taken) {
  StoreCore::Operation operation;
  operation.apply = [this, request, on_taken = std::move(on_taken)](Transaction&) {
    core_.state(*this).waiting = QueueState::Waiting{request, on_taken};
  };
  core_.post(std::move(operation));
}

void DurableQueue::cancelTake() {
  StoreCore::Operation operation;
  operation.apply = [this](Transaction&) { state_.waiting.reset(); };
  core_.post(std::move(operation));
}

void DurableQueue::cancelTake(std::function<void()> done) {
  StoreCore::Operation operation;
  operation.apply = [this](Transaction&) { core_.state(*this).waiting.reset(); };
  operation.done = [done = std::move(done)](const Status&) { done(); };
  core_.post(std::move(operation));
}

void DurableQueue::acknowledge(std::vector<QueueToken> tokens) {
  if (tokens.empty()) return;
  const auto shared = std::make_shared<std::vector<QueueToken>>(std::move(tokens));
  core_.postUntilDone([this, shared](Transaction& txn) {
    core_.queues().acknowledge(txn, core_.state(*this), *shared);
  });
}

void DurableQueue::giveBack(std::vector<QueueToken> tokens, Return how) {
  if (tokens.empty()) return;
  const auto shared = std::make_shared<std::vector<QueueToken>>(std::move(tokens));
  core_.postUntilDone([this, shared, how](Transaction& txn) {
    core_.queues().giveBack(txn, core_.state(*this), *shared, how);
  });
}

void DurableQueue::quarantine(QueueToken token, std::string reason, Return how) {
  core_.postUntilDone([this, token, how, reason = std::move(reason)](Transaction& txn) {
    core_.queues().quarantine(txn, core_.state(*this), token, reason, how);
  });
}

void DurableQueue::markBacklog() {
  StoreCore::Operation operation;
  operation.apply = [this](Transaction&) { core_.queues().markBacklog(core_.state(*this)); };
  core_.post(std::move(operation));
}

void DurableQueue::dropBeyond(std::uint64_t keep, StoreDrop reason, std::function<void()> done) {
  StoreCore::Operation operation;
  operation.apply = [this, keep, reason](Transaction& txn) {
    core_.queues().dropBeyond(txn, core_.state(*this), keep, reason);
  };
  if (done) operation.done = [done = std::move(done)](const Status&) { done(); };
  core_.post(std::move(operation));
}

void DurableQueue::setSpec(QueueSpec spec) {
  StoreCore::Operation operation;
  operation.apply = [this, spec](Transaction&) { QueueTable::setSpec(state_, spec); };
  core_.post(std::move(operation));
}

void DurableQueue::stats(std::function<void(QueueStats)> done) {
  const auto stats = std::make_shared<QueueStats>();
  StoreCore::Operation operation;
  operation.apply = [this, stats](Transaction& txn) {
    *stats = core_.queues().stats(txn, core_.state(*this), core_.now());
  };
  operation.done = [stats, done = std::move(done)](const Status&) { done(std::move(*stats)); };
  core_.post(std::move(operation));
}

void DurableQueue::inspect(std::uint32_t messages_max,
                           std::function<void(Result<std::vector<InspectedMessage>>)> done) {
  const auto found = std::make_shared<std::vector<InspectedMessage>>();
  StoreCore::Operation operation;
  operation.apply = [this, found, messages_max](Transaction& txn) {
    *found = core_.queues().inspect(txn, core_.state(*this), messages_max, core_.now());
  };
  operation.done = [found, done = std::move(done)](const Status& status) {
    if (status.has_error()) return done(status.error());
    done(std::move(*found));
  };
  core_.post(std::move(operation));
}

struct DurableQueue::Purge {
  Purged done;
  std::uint64_t before = 0;  // The position that came next when it began.
  std::uint64_t part = 0;
  std::uint64_t sum = 0;
};

void DurableQueue::purge(Purged done) {
  auto purge = std::make_shared<Purge>();
  purge->done = std::move(done);
  purgePart(std::move(purge));
}

void DurableQueue::purgePart(std::shared_ptr<Purge> purge) {
  StoreCore::Operation operation;
  operation.apply = [this, purge](Transaction& txn) {
    QueueState& state = core_.state(*this);
    if (purge->before == 0) purge->before = state.counts.next_position;
    purge->part = core_.queues().purge(txn, state, purge->before);
  };
  operation.done = [this, purge](const Status& status) {
    if (status.has_error()) return purge->done(status.error());
    if (purge->part == 0) return purge->done(purge->sum);
    purge->sum += purge->part;
    purgePart(purge);
  };
  core_.post(std::move(operation));
}

}  // namespace kante
