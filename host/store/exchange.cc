// Offers and acknowledgements that stand or fall together.
#include "host/store/number_runs.h"
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

// Asks before the offers whether the number was taken, and notes after them that it is.
struct StoreCore::Once {
  OnceOnly what;
  NumberRuns runs;
  bool known = false;
  bool missed = false;  // An offer was not taken, or there is no place for the number.

  void ask(AreaTable& areas, Transaction& txn) {
    known = missed = false;
    runs = {};
    const auto row = areas.get(txn, what.area, what.key);
    // A row that rotted says nothing: then something may come twice.
    if (!row || !*row) return;
    const std::string_view text = **row;
    const auto space = text.find(' ');
    if (text.substr(0, space) != what.series || space == std::string_view::npos) return;
    runs = NumberRuns::parse(text.substr(space + 1));
    known = runs.contains(what.number);
    missed = !known && !runs.add(what.number);
  }
  void note(AreaTable& areas, Transaction& txn) {
    if (known || missed || txn.failed()) return;
    (void)runs.add(what.number);
    areas.put(txn, what.area, what.key, what.series + " " + runs.text());
  }
};

CommitResult StoreCore::append(Transaction& txn, Request& request, Appends appends,
                               StoreTime time) {
  Once* const once = request.once.get();
  if (once != nullptr && once->known) return CommitResult::kCommitted;
  CommitResult result = CommitResult::kFull;
  if (appends == Appends::kTake && (once == nullptr || !once->missed))
    result = queues_->append(txn, state(*request.queue), request.entry, time);
  if (once != nullptr && result != CommitResult::kCommitted) once->missed = true;
  return result;
}

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
    std::shared_ptr<Once> once;  // Shared by its requests, which go together.
    if (exchange.once) {
      once = std::make_shared<Once>(std::move(*exchange.once));
      Operation ask;
      ask.apply = [this, once](Transaction& txn) { once->ask(*areas_, txn); };
      Request& request = mailbox_.emplace_back();
      request.joined = true;
      request.operation = std::make_unique<Operation>(std::move(ask));
    }
    for (StoreExchange::Offered& offered : exchange.offers) {
      Request& request = mailbox_.emplace_back();
      request.queue = offered.queue;
      request.sink = offered.sink;
      request.bytes = offered.entry.message.bytes();
      request.joined = true;
      request.once = once;
      request.entry = std::move(offered.entry);
    }
    if (once) {
      Operation note;
      note.apply = [this, once](Transaction& txn) { once->note(*areas_, txn); };
      note.done = [once](const Status& status) {
        if (status && once->known && once->what.repeated) once->what.repeated->fetch_add(1);
      };
      Request& request = mailbox_.emplace_back();
      request.joined = true;
      request.operation = std::make_unique<Operation>(std::move(note));
    }
    if (!exchange.done.empty())
      mailbox_.emplace_back().operation =
          std::make_unique<Operation>(acknowledgement(*this, std::move(exchange.done)));
    if (!mailbox_.empty()) mailbox_.back().joined = false;
    wake = std::exchange(sleeping_, false);
  }
  exchange = {};
  if (wake) wake_.notify_one();
  return Offer::kTaken;
}

}  // namespace kante
