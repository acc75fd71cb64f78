#include "host/store/store_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <future>
#include <optional>

#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/base/log.h"
#include "host/message/pool.h"
#include "host/store/crc32c.h"

namespace kante {
namespace {

constexpr char kRootKey[] = "root";
constexpr std::uint32_t kStoreVersion = 1;

// The store's own record; docs/formats/store.md.
struct RootRecord {
  char magic[8] = {'K', 'A', 'N', 'T', 'E', 'S', 'T', '1'};
  std::uint32_t version = kStoreVersion;
  std::uint32_t wall = 0;  // StoreClock::Wall
  std::uint8_t epoch[16] = {};
  std::int64_t store_ns = 0;
  std::int64_t wall_ns = 0;
  std::uint64_t area_bytes = 0;
  std::uint32_t reserved = 0;
  std::uint32_t crc = 0;  // Of everything before it.
};
static_assert(sizeof(RootRecord) == 64);

// Beside it, written with it: which boot of the machine that was.  Good for the root that has the
// same store clock only, because an older release writes no new one.
constexpr char kBootKey[] = "boot";
constexpr std::size_t kBootIdBytesMax = 36;
struct BootRecord {
  std::int64_t store_ns = 0;
  std::int64_t boot_ns = 0;
  char boot_id[kBootIdBytesMax] = {};  // Text, filled with zeroes.
  std::uint32_t crc = 0;               // Of everything before it.
};
static_assert(sizeof(BootRecord) == 56);

std::optional<BootRecord> readBoot(Transaction& txn) {
  std::string_view value;
  BootRecord boot;
  if (!txn.get(txn.tables.root, kBootKey, value) || value.size() != sizeof boot) return {};
  std::memcpy(&boot, value.data(), sizeof boot);
  if (crc32c(&boot, offsetof(BootRecord, crc)) != boot.crc) return {};
  return boot;
}

StoreClock::Wall wallOf(std::uint32_t stored) {
  if ((stored & 1) == 0) return StoreClock::Wall::kUntrusted;
  return (stored & 2) == 0 ? StoreClock::Wall::kTrusted : StoreClock::Wall::kSynchronised;
}

}  // namespace

StoreCore::StoreCore(StoreOptions options, const Clock& clock, Log& log)
    : options_(std::move(options)), clock_(clock), log_(log), key_value_(*this) {}

StoreCore::~StoreCore() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Status StoreCore::open() {
  QueueTable::Bounds bounds{options_.max_bytes, options_.full};
  queues_ = std::make_unique<QueueTable>(bounds);
  areas_ = std::make_unique<AreaTable>(options_.max_bytes);
  const auto read = [this](Transaction& txn) { return load(txn); };
  KANTE_TRY(opened, Environment::open(options_.directory, options_.max_bytes, read));
  environment_ = std::move(opened.environment);
  bounds.bytes_max = environment_->maxBytes();
  queues_->setBounds(bounds);
  status_.max_bytes = environment_->maxBytes();
  status_.map_bytes = environment_->mapBytes();
  status_.epoch = epoch_;
  status_.durable =
      environment_->maxBytes() >= std::min(Environment::kDurableBytesMin, options_.max_bytes);
  status_.set_aside = opened.set_aside;
  if (!opened.set_aside.empty()) {
    log_.error("store", "the store was broken and is set aside; a new epoch begins",
               {{"why", opened.why}, {"moved_to", opened.set_aside}, {"epoch", epoch_}});
  }
  if (environment_->maxBytes() < options_.max_bytes) {
    log_.warn("store", "the disk is too small for [store] max_bytes",
              {{"max_bytes", std::to_string(environment_->maxBytes())}});
  }
  publish();
  return {};
}

Status StoreCore::load(Transaction& txn) {
  const std::int64_t boot_ns = clock_.bootNs();
  std::string_view value;
  if (!txn.get(txn.tables.root, kRootKey, value)) {
    if (txn.failed()) return lmdbError("store", txn.error());
    epoch_ = toHex(randomBytes(16));
    store_clock_.begin(boot_ns);
    areas_->setBytes(0);
    writeRoot(txn);
    return {};
  }
  RootRecord root;
  if (value.size() != sizeof root) return fail(Errc::kCorrupt, "store root: wrong size");
  std::memcpy(&root, value.data(), sizeof root);
  if (std::memcmp(root.magic, RootRecord().magic, sizeof root.magic) != 0 ||
      crc32c(&root, offsetof(RootRecord, crc)) != root.crc) {
    return fail(Errc::kCorrupt, "store root: wrong checksum");
  }
  if (root.version > kStoreVersion) {
    return fail(
        Errc::kUnsupported,
        fmt::format("in format {}, of a newer kante; this one reads format {}. Start the newer one "
                    "again, or move the folder away, with what it holds",
                    root.version, kStoreVersion));
  }
  epoch_ = toHex({reinterpret_cast<const char*>(root.epoch), sizeof root.epoch});
  StoreClock::Saved saved{root.store_ns, root.wall_ns, wallOf(root.wall), {}, 0};
  if (const auto boot = readBoot(txn); boot && boot->store_ns == root.store_ns) {
    saved.boot_id.assign(boot->boot_id, ::strnlen(boot->boot_id, kBootIdBytesMax));
    saved.boot_ns = boot->boot_ns;
  }
  store_clock_.resume(saved, {clock_.wallNs(), wall(), options_.boot_id, boot_ns});
  areas_->setBytes(root.area_bytes);
  queues_->setOtherBytes(root.area_bytes);
  return queues_->load(txn);
}

void StoreCore::writeRoot(Transaction& txn) {
  RootRecord root;
  root.wall = static_cast<std::uint32_t>(wall());
  const Result<std::string> epoch = fromHex(epoch_);
  std::memcpy(root.epoch, epoch->data(), sizeof root.epoch);
  const std::int64_t boot_ns = clock_.bootNs();
  root.store_ns = store_clock_.now(boot_ns);
  root.wall_ns = clock_.wallNs();
  root.area_bytes = areas_->bytes();
  root.crc = crc32c(&root, offsetof(RootRecord, crc));
  txn.put(txn.tables.root, kRootKey, {reinterpret_cast<const char*>(&root), sizeof root});
  if (options_.boot_id.empty()) return;
  BootRecord boot;
  boot.store_ns = root.store_ns;
  boot.boot_ns = boot_ns;
  options_.boot_id.copy(boot.boot_id, kBootIdBytesMax);
  boot.crc = crc32c(&boot, offsetof(BootRecord, crc));
  txn.put(txn.tables.root, kBootKey, {reinterpret_cast<const char*>(&boot), sizeof boot});
}

StoreClock::Wall StoreCore::wall() const {
  return options_.wall ? options_.wall() : StoreClock::Wall::kTrusted;
}

void StoreCore::start() {
  thread_ = std::thread([this] { run(); });
}

StoreTime StoreCore::now() const { return {store_clock_.now(clock_.bootNs()), clock_.wallNs()}; }

DurableQueue* StoreCore::handle(QueueState& queue) {
  if (queue.handle == nullptr) {
    queue.handle.reset(new DurableQueue(*this, queue, queue.name));
    queue.handle->id_.store(queue.counts.id, std::memory_order_relaxed);
    queues_->publish(queue);
  }
  return queue.handle.get();
}

// ---- any thread ----

Offer StoreCore::offer(DurableQueue& queue, Entry& entry, CommitSink* sink, std::uint64_t ticket) {
  if (queue.refusing_.load(std::memory_order_relaxed)) return Offer::kFull;
  const std::uint64_t bytes = entry.message.bytes();
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || waiting_messages_ >= Store::kMailboxMessages ||
        waiting_bytes_ + bytes > Store::kMailboxBytes) {
      return Offer::kBusy;
    }
    ++waiting_messages_;
    waiting_bytes_ += bytes;
    Request& request = mailbox_.emplace_back();
    request.queue = &queue;
    request.sink = sink;
    request.ticket = ticket;
    request.bytes = bytes;
    request.entry = std::move(entry);
    wake = std::exchange(sleeping_, false);
  }
  if (wake) wake_.notify_one();
  return Offer::kTaken;
}

void StoreCore::post(Operation operation) {
  Status refused;
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      refused = fail(Errc::kState, "store: closed");
    } else if (waiting_operation_bytes_ + operation.bytes > Store::kKeyValueBytesWaiting) {
      refused = fail(Errc::kLimit, "store: too much is waiting to be written");
    } else {
      waiting_operation_bytes_ += operation.bytes;
      Request& request = mailbox_.emplace_back();
      request.bytes = operation.bytes;
      request.operation = std::make_unique<Operation>(std::move(operation));
      wake = std::exchange(sleeping_, false);
    }
  }
  if (wake) wake_.notify_one();
  if (refused.has_error() && operation.done) operation.done(refused);
}

void StoreCore::postUntilDone(std::function<void(Transaction&)> apply) {
  Operation operation;
  operation.apply = std::move(apply);
  operation.until_done = true;
  post(std::move(operation));
}

Status StoreCore::perform(std::function<Status(Transaction&)> apply) {
  struct Answer {
    Status inside;
    std::promise<Status> done;
  };
  KANTE_ASSERT(std::this_thread::get_id() != thread_.get_id());
  const auto answer = std::make_shared<Answer>();  // Shared by this thread and the store's.
  std::future<Status> outcome = answer->done.get_future();
  Operation operation;
  operation.apply = [answer, apply = std::move(apply)](Transaction& txn) {
    answer->inside = apply(txn);
  };
  operation.done = [answer](const Status& status) {
    answer->done.set_value(status.has_error() ? status : answer->inside);
  };
  post(std::move(operation));
  return outcome.get();
}

void StoreCore::whenRoom(std::function<void()> again) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_messages_ > Store::kMailboxMessages / 2 ||
        waiting_bytes_ > Store::kMailboxBytes / 2) {
      room_waiters_.push_back(std::move(again));
      return;
    }
  }
  Operation operation;
  operation.done = [again = std::move(again)](const Status&) { again(); };
  post(std::move(operation));
}

// ---- the store's thread ----

std::int64_t StoreCore::nextWakeNs() const {
  std::int64_t wake = retry_at_ns_;
  if (next_expiry_ns_ != 0) {
    const std::int64_t in_ns = next_expiry_ns_ - now().store_ns;
    const std::int64_t sweep = std::max(clock_.bootNs() + in_ns, last_sweep_ns_ + kSweepNs);
    if (wake == 0 || sweep < wake) wake = sweep;
  }
  return wake;
}

bool StoreCore::waitForWork(std::vector<Request>& work) {
  const std::int64_t wake_ns = nextWakeNs();
  std::unique_lock lock(mutex_);
  if (mailbox_.empty() && touched_bytes_ > kResidentBytesMax) {
    lock.unlock();
    environment_->releasePages();
    touched_bytes_ = 0;
    lock.lock();
  }
  while (mailbox_.empty() && !closed_) {
    sleeping_ = true;
    if (wake_ns == 0) {
      wake_.wait(lock);
    } else {
      const std::int64_t left_ns = wake_ns - clock_.bootNs();
      if (left_ns <= 0) break;
      wake_.wait_for(lock, std::chrono::nanoseconds(left_ns));
      if (mailbox_.empty()) break;  // Time is up, or nothing happened: look at the clock again.
    }
  }
  if (options_.sync == SyncPolicy::kInterval) {
    const std::int64_t due_ns = last_group_ns_ + options_.sync_ms * 1'000'000;
    const auto half_full = [this] {
      return closed_ || waiting_messages_ > Store::kMailboxMessages / 2 ||
             waiting_bytes_ > Store::kMailboxBytes / 2;
    };
    sleeping_ = true;
    while (!half_full() && clock_.bootNs() < due_ns) {
      wake_.wait_for(lock, std::chrono::nanoseconds(due_ns - clock_.bootNs()));
      sleeping_ = true;
    }
  }
  sleeping_ = false;
  work.clear();
  work.swap(mailbox_);
  return !work.empty() || !closed_;
}

void StoreCore::run() {
  std::vector<Request> requests;
  while (waitForWork(requests)) {
    work(requests);
    // Both vectors travel between the threads; a burst's memory is not kept longer than the burst.
    if (requests.size() < 64 && requests.capacity() > 256) requests = std::vector<Request>();
    MessagePool::flushChain();
  }
  retry_at_ns_ = 0;
  closing_ = true;
  work({});
  endTakes();
}

void StoreCore::work(std::span<Request> requests) {
  if (!again_.empty() && clock_.bootNs() >= retry_at_ns_) {
    std::vector<Request> again(again_.size());
    for (std::size_t i = 0; i < again.size(); ++i) {
      again[i].operation = std::make_unique<Operation>(std::move(again_[i]));
      again[i].operation->bytes = 0;
    }
    again_.clear();
    runGroup(again);
  }
  if (requests.empty()) return runGroup({});
  while (!requests.empty()) {
    std::size_t count = 0;
    std::uint64_t bytes = 0;
    while (count < requests.size() &&
           ((count < Store::kGroupMessages && bytes < Store::kGroupBytes) ||
            requests[count - 1].joined)) {
      bytes += requests[count++].bytes;
    }
    runGroup(requests.first(count));
    touched_bytes_ += bytes + kGroupTouches;
    requests = requests.subspan(count);
  }
}

void StoreCore::runGroup(std::span<Request> group) {
  int rc = last_error_;
  if (environmentReady()) {
    rc = tryGroup(group, Appends::kTake);
    if (rc != 0) noteFailure(rc);
    // With the disk full, what makes room may still work.
    if (rc != 0 && environment_->noRoom(rc) && environmentReady()) {
      const int again = tryGroup(group, Appends::kRefuse);
      if (again != MDB_PANIC) rc = again;  // Else it says no more than that LMDB met the first one.
    } else if (rc == 0 && wrote_) {
      noteSuccess();
    }
    last_error_ = rc;
  }
  last_group_ns_ = clock_.bootNs();
  if (rc == 0) {
    succeeded(group);
  } else {
    failed(group, rc);
  }
}

void StoreCore::noteFailure(int rc) {
  Error error = lmdbError("store", rc);
  if (rc == EIO && environment_->noRoom(rc)) error.text += ", and the disk is full";
  noteFailure(error);
}

void StoreCore::noteFailure(const Error& error) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = !std::exchange(status_.failing, true);
    status_.failure = error.text;
  }
  if (first) log_.error("store", "the store cannot be written", {{"why", error.text}});
}

void StoreCore::noteSuccess() {
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(status_.failing, false)) return;
    status_.failure.clear();
  }
  log_.info("store", "the store can be written again");
}

bool StoreCore::environmentReady() {
  if (!broken_environment_) return true;
  if (retry_at_ns_ != 0 && clock_.bootNs() < retry_at_ns_) return false;
  // Nobody knows how much of the last group came to the disk.  Once this is there, all that it
  // builds on is.
  const Status status = environment_->reopen([this](Transaction& txn) -> Status {
    KANTE_CHECK(load(txn));
    writeRoot(txn);
    return {};
  });
  broken_environment_ = status.has_error();
  if (broken_environment_) {
    noteFailure(status.error());
    retry_at_ns_ = clock_.bootNs() + kRetryNs;
  }
  return !broken_environment_;
}

int StoreCore::tryGroup(std::span<Request> group, Appends appends) {
  Transaction txn(environment_->raw(), environment_->tables());
  const std::uint64_t area_bytes = areas_->bytes();
  queues_->begin();
  const StoreTime time = now();
  for (Request& request : group) {
    if (txn.failed()) break;
    if (request.queue == nullptr) {
      if (request.operation->apply) request.operation->apply(txn);
    } else {
      request.result = append(txn, request, appends, time);
    }
  }
  if (closing_ && !txn.failed()) writeRoot(txn);
  queues_->sweepExpired(txn, time);
  fulfilTakes(txn);
  next_expiry_ns_ = queues_->nextExpiry(txn);
  queues_->writeBack(txn);
  // Its times may lag a little, which only makes a message live longer; so most groups spare a
  // page.
  const bool root_due = areas_->bytes() != area_bytes || time.store_ns >= next_root_ns_;
  if (txn.wrote() && root_due) writeRoot(txn);
  const bool began = !txn.failed();
  wrote_ = txn.wrote();
  const int rc = txn.commit();
  if (rc == 0) {
    if (root_due && wrote_) next_root_ns_ = time.store_ns + kRootEveryNs;
    queues_->setOtherBytes(areas_->bytes());
    queues_->committed();
    return 0;
  }
  // A failed write of a meta page leaves LMDB in panic; what is on disk decides then.
  broken_environment_ = began ? !isFull(rc) : rc == MDB_PANIC;
  queues_->undo();
  areas_->setBytes(area_bytes);
  taken_.clear();
  return rc;
}

void StoreCore::fulfilTakes(Transaction& txn) {
  for (const auto& queue : queues_->all()) {
    if (!queue->waiting || !queue->hasUntaken() || txn.failed()) continue;
    TakenBatch batch = queues_->take(txn, *queue, queue->waiting->request, now());
    if (batch.messages.empty() && batch.lost.empty() && !batch.held) continue;
    for (const auto& copy : batch.memory) touched_bytes_ += copy.size() * 8;
    taken_.emplace_back(queue.get(), std::move(batch));
  }
}

void StoreCore::succeeded(std::span<Request> group) {
  retry_at_ns_ = 0;
  last_sweep_ns_ = last_group_ns_;
  {
    const std::lock_guard lock(mutex_);
    ++status_.groups;
    for (const Request& request : group) status_.group_messages += request.queue != nullptr ? 1 : 0;
  }
  publish();
  for (Request& request : group) {
    if (request.operation && request.operation->done) request.operation->done(Status());
  }
  answer(group);
  for (auto& [queue, batch] : std::exchange(taken_, {})) {
    // Only operations of a later group can change who waits.
    KANTE_ASSERT(queue->waiting.has_value());
    const DurableQueue::OnTaken on_taken = std::move(queue->waiting->on_taken);
    queue->waiting.reset();
    on_taken(std::move(batch));
  }
  release(group);
}

void StoreCore::failed(std::span<Request> group, int rc) {
  const Error error = lmdbError("store", rc);
  // Not put off by what fails without being tried.
  if (retry_at_ns_ <= clock_.bootNs()) retry_at_ns_ = clock_.bootNs() + kRetryNs;
  const bool full = environment_->noRoom(rc);
  for (Request& request : group) {
    request.result = full ? CommitResult::kFull : CommitResult::kFailed;
    if (request.operation && request.operation->done) request.operation->done(error);
    if (request.operation && request.operation->until_done) {
      again_.push_back(std::move(*request.operation));
    }
  }
  answer(group);
  release(group);
}

void StoreCore::answer(std::span<Request> group) {
  answers_.clear();
  for (const Request& request : group) {
    if (request.sink != nullptr) {
      answers_.emplace_back(request.sink, CommitSink::Done{request.ticket, request.result});
    } else if (request.queue != nullptr && request.result != CommitResult::kCommitted) {
      request.queue->refused_.fetch_add(1, std::memory_order_relaxed);
      if (state(*request.queue).spec.drops_told == QueueSpec::DropsTold::kByOwner) continue;
      refused_offers_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  const auto before = [](const auto& a, const auto& b) {
    return std::less<CommitSink*>()(a.first, b.first);
  };
  if (!std::is_sorted(answers_.begin(), answers_.end(), before)) {
    std::stable_sort(answers_.begin(), answers_.end(), before);
  }
  std::vector<CommitSink::Done> done;
  for (std::size_t i = 0; i < answers_.size();) {
    CommitSink* sink = answers_[i].first;
    done.clear();
    for (; i < answers_.size() && answers_[i].first == sink; ++i)
      done.push_back(answers_[i].second);
    sink->onCommitted(done);
  }
}

void StoreCore::release(std::span<Request> group) {
  std::uint64_t messages = 0, bytes = 0, operation_bytes = 0;
  for (Request& request : group) {
    (request.queue != nullptr ? bytes : operation_bytes) += request.bytes;
    messages += request.queue != nullptr ? 1 : 0;
    request.entry.message = {};
    request.operation.reset();
  }
  std::vector<std::function<void()>> waiters;
  {
    const std::lock_guard lock(mutex_);
    waiting_messages_ -= messages;
    waiting_bytes_ -= bytes;
    waiting_operation_bytes_ -= operation_bytes;
    if (waiting_messages_ <= Store::kMailboxMessages / 2 &&
        waiting_bytes_ <= Store::kMailboxBytes / 2) {
      waiters.swap(room_waiters_);
    }
  }
  for (const auto& waiter : waiters) waiter();
}

void StoreCore::endTakes() {
  const Error closed = fail(Errc::kState, "store: closed");
  for (const auto& queue : queues_->all()) {
    if (!queue->waiting) continue;
    const DurableQueue::OnTaken on_taken = std::move(queue->waiting->on_taken);
    queue->waiting.reset();
    on_taken(closed);
  }
}

}  // namespace kante
