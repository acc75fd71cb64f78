// Offers and acknowledgements that stand or fall together.
#include "host/store/store_core.h"

namespace kante {

namespace {

// Where the group could not be written nothing was done: the messages come again.
StoreCore::Operation acknowledgement(StoreCore& core, std::vector<StoreExchange::Done> done) {
  const auto shared = std::make_shared<std::vector<StoreExchange::Done>>(std::move(done));
  StoreCore::Operation operation;
  operation.apply = [&core, shared](Transaction& txn) {
    for (const StoreExchange::Done& one : *shared)
      core.queues().acknowledge(txn, core.state(*one.queue), one.tokens);
  };
  operation.done = [shared](const Status& status) {
    if (!status.has_error()) return;
    for (StoreExchange::Done& one : *shared)
      one.queue->giveBack(std::move(one.tokens), Return::kDelivered);
  };
  return operation;
}

}  // namespace

Offer StoreCore::exchange(StoreExchange& exchange) {
  std::uint64_t bytes = 0;
  for (const StoreExchange::Offered& offered : exchange.offers)
    bytes += offered.entry.message.bytes();
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return Offer::kBusy;
    // One that is larger than the mailbox goes when nothing else waits.
    if (waiting_messages_ > 0 && !exchange.offers.empty() &&
        (waiting_messages_ + exchange.offers.size() > Store::kMailboxMessages ||
         waiting_bytes_ + bytes > Store::kMailboxBytes)) {
      return Offer::kBusy;
    }
    waiting_messages_ += exchange.offers.size();
    waiting_bytes_ += bytes;
    for (StoreExchange::Offered& offered : exchange.offers) {
      Request& request = mailbox_.emplace_back();
      request.queue = offered.queue;
      request.sink = offered.sink;
      request.bytes = offered.entry.message.bytes();
      request.joined = true;
      request.entry = std::move(offered.entry);
    }
    if (exchange.done.empty()) {
      if (!exchange.offers.empty()) mailbox_.back().joined = false;
    } else {
      mailbox_.emplace_back().operation =
          std::make_unique<Operation>(acknowledgement(*this, std::move(exchange.done)));
    }
    wake = std::exchange(sleeping_, false);
  }
  exchange = {};
  if (wake) wake_.notify_one();
  return Offer::kTaken;
}

}  // namespace kante
