// From a module's output to every sink that its routes name: all of them take the message, or none.
#include <algorithm>

#include "host/base/clock.h"
#include "host/placement/instance.h"

namespace kante {

// Counts what an emit with a token still waits for; the last commit makes DONE.
struct Instance::Commits {
  std::shared_ptr<Instance> instance;
  std::uint64_t token = 0;
  std::atomic<std::uint32_t> open{1};
  std::atomic<bool> lost{false};

  void close() {
    if (open.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    const kante_status status = lost.load() ? KANTE_E_LIMIT : KANTE_OK;
    instance->done(token, status);
  }
};

// ---- the C ABI's three ways in
// -----------------------------------------------------------------------

kante_status Instance::sealMessage(void* scratch, std::uint32_t used_words, kante_msg** out) {
  kante_msg* block = kante_msg::ofData(scratch);
  kante_status status = KANTE_OK;
  if (onStrand()) {
    status = seal(block, used_words, seal_layout_, shard().stamp(), seal_counters_, out);
  } else {
    const std::lock_guard lock(foreign_mutex_);
    foreign_stamp_.now_ns = SystemClock().wallNs();
    status = seal(block, used_words, foreign_layout_, foreign_stamp_, foreign_counters_, out);
  }
  if (status == KANTE_OK && *out != block) MessageRef::release(block);
  return status;
}

Instance::Seals Instance::seals() const {
  Seals sum;
  for (const SealCounters* counters : {&seal_counters_, &foreign_counters_}) {
    sum.same += counters->same.value();
    sum.walk += counters->walk.value();
    sum.general += counters->general.value();
    sum.refused += counters->refused.value();
  }
  return sum;
}

kante_status Instance::publish(std::uint32_t output, void* scratch, std::uint32_t used_words,
                               std::uint64_t token) {
  kante_msg* block = kante_msg::ofData(scratch);
  kante_msg* sealed = nullptr;
  if (!onStrand()) {
    const MessageRef scratch_reference =
        MessageRef::retain(block);  // In case it stays the module's.
    if (const kante_status status = sealMessage(scratch, used_words, &sealed); status != KANTE_OK) {
      return status;
    }
    const kante_status status = emitForeign(output, MessageRef::adopt(sealed), 1, token);
    if (status != KANTE_OK) {
      block->words = 0;
      MessageRef::retain(block).detach();  // The one that sealMessage() or emitForeign() gave back.
    }
    return status;
  }
  if (output >= outputs_.size()) return KANTE_E_NOT_FOUND;
  if (const kante_status status = seal(block, used_words, outputs_[output].layout, shard().stamp(),
                                       seal_counters_, &sealed);
      status != KANTE_OK) {
    return status;
  }
  MessageRef message = MessageRef::adopt(sealed);
  const kante_status status = routeOnStrand(output, message, 1, token);
  if (status == KANTE_OK) {
    if (sealed != block) MessageRef::release(block);
    return KANTE_OK;
  }
  if (sealed == block) {
    (void)message.detach();  // Scratch again, and still the module's.
    block->words = 0;
  }
  return status;
}

kante_status Instance::emit(std::uint32_t output, kante_msg* raw, std::uint64_t token) {
  if (raw->words == 0) return KANTE_E_INVALID;  // Scratch that was never sealed.
  MessageRef message = MessageRef::retain(raw);
  if (!onStrand()) {
    const auto hops = static_cast<std::uint8_t>(raw->ways.hopsOf(receiver_) + 1);
    return emitForeign(output, std::move(message), hops, token);
  }
  if (output >= outputs_.size()) return KANTE_E_NOT_FOUND;
  return routeOnStrand(output, message, hopsOf(raw), token);
}

std::uint8_t Instance::hopsOf(kante_msg* message) const {
  const std::uint8_t before = message == current_ ? current_hops_ : message->ways.hopsOf(receiver_);
  return static_cast<std::uint8_t>(before + 1);
}

// What the module's own threads sent earlier goes first.
kante_status Instance::routeOnStrand(std::uint32_t output, MessageRef& message, std::uint8_t hops,
                                     std::uint64_t token) {
  if (has_foreign_.load(std::memory_order_relaxed)) [[unlikely]] {
    if (!routeForeign(Credit::kNeeded)) {
      const std::lock_guard lock(foreign_mutex_);
      foreign_blocked_[output] = true;
      return KANTE_E_AGAIN;
    }
  }
  return route(output, message, hops, token, Credit::kNeeded);
}

// ---- routing
// -----------------------------------------------------------------------------------------

// Takes the reference on KANTE_OK only.
kante_status Instance::route(std::uint32_t index, MessageRef& message, std::uint8_t hops,
                             std::uint64_t token, Credit credit) {
  Output& output = outputs_[index];
  if (output.routes == nullptr) [[unlikely]] {
    if (phase_ == Phase::kEnded) return KANTE_E_STATE;
    output.blocked = true;  // Until activate().
    return KANTE_E_AGAIN;
  }
  if (token != 0 && credit == Credit::kNeeded &&
      open_dones_.load(std::memory_order_relaxed) >= kDonesMax) [[unlikely]] {
    output.blocked = output.waits_for_dones = true;
    return KANTE_E_AGAIN;
  }
  const OutputRoutes& routes = *output.routes;
  const std::vector<Target>& targets =
      routes.unconditional ? routes.always : conditionalTargets(output, message);
  const auto bytes = static_cast<std::uint32_t>(message.bytes());
  if (credit == Credit::kNeeded && hops <= kHopsMax && !hasCredit(index, targets, bytes)) {
    return KANTE_E_AGAIN;
  }
  messages_out_.store(messages_out_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  std::shared_ptr<Commits> commits;
  if (token != 0) {
    commits = std::make_shared<Commits>();
    commits->instance = shared_from_this();
    commits->token = token;
    open_dones_.fetch_add(1, std::memory_order_relaxed);
  }
  if (hops > kHopsMax) [[unlikely]] {
    dropped_loop_.fetch_add(1, std::memory_order_relaxed);
  } else if (targets.empty()) {
    dropped_no_route_.fetch_add(1, std::memory_order_relaxed);
  } else {
    const Hop hop{routes.source, shard().wallNs(), hops};
    for (std::size_t i = 0; i + 1 < targets.size(); ++i)
      hand(targets[i], message, hop, commits, credit);
    hand(targets.back(), std::move(message), hop, commits, credit);
  }
  if (commits) commits->close();
  message = MessageRef();
  return KANTE_OK;
}

std::vector<Target>& Instance::conditionalTargets(Output& output, const MessageRef& message) {
  const OutputRoutes& routes = *output.routes;
  matched_.clear();
  const RouteInput input{message.view(), routes.source, shard().wallNs()};
  for (const std::uint32_t route : routes.routes.match(input, scratch_)) {
    const Target& target = *routes.by_route[route];
    bool known = false;
    for (Target& other : matched_) {  // Few: the sinks of one message.
      if (other.sink_number != target.sink_number) continue;
      if (target.priority < other.priority) other = target;
      known = true;
      break;
    }
    if (!known) matched_.push_back(target);
  }
  return matched_;
}

bool Instance::hasCredit(std::uint32_t output, const std::vector<Target>& targets,
                         std::uint32_t bytes) {
  for (const Target& target : targets) {
    if (target.link != nullptr) {
      const Link& link = *target.link;
      if (link.when_full != WhenFull::kBlock || link.hasCredit(bytes) || link.stalled()) continue;
    } else if (target.durable == nullptr || target.durable->hasRoom()) {
      continue;  // Topics never wait.
    }
    block(output, target, bytes);
    return false;
  }
  return true;
}

void Instance::hand(const Target& target, MessageRef message, const Hop& hop,
                    const std::shared_ptr<Commits>& commits, Credit credit) {
  if (target.durable != nullptr) return handDurable(target, message, hop, commits);
  if (target.link == nullptr) return handTopic(target, message, hop);
  Link& link = *target.link;
  const auto bytes = static_cast<std::uint32_t>(message.bytes());
  if (!link.hasCredit(bytes) && credit == Credit::kNeeded && !link.takesBeyondCredit(bytes))
      [[unlikely]] {
    const bool stalled = link.when_full == WhenFull::kBlock;
    count(link.dropped, stalled ? DropReason::kStalled : DropReason::kOverflow);
    return;
  }
  link.queued(bytes);
  link.lane->offer(shard(), {std::move(message), hop, shard().bootNs(), &link});
}

void Instance::handTopic(const Target& target, const MessageRef& message, const Hop& hop) {
  RouteCounts& counts = table_->counts(target.route);
  TopicSink::Onward onward{{},           message,
                           hop.source,   static_cast<std::uint8_t>(hop.hops + 1),
                           target.ttl_s, hop.origin_number};
  if (!fillTopic(target, {message.view(), hop.source, hop.arrived_ns}, onward.topic))
    return count(counts.dropped, DropReason::kNoRoute);
  counts.beside_links.fetch_add(1, std::memory_order_relaxed);
  table_->topics()->publish(shard(), std::move(onward));
}

void Instance::handDurable(const Target& target, const MessageRef& message, const Hop& hop,
                           const std::shared_ptr<Commits>& commits) {
  RouteCounts& counts = table_->counts(target.route);
  DurableSink::Committed committed;
  if (commits) {
    commits->open.fetch_add(1, std::memory_order_relaxed);
    committed = [commits, route = table_->allCounts()[target.route]](bool on_disk) {
      if (!on_disk) {
        count(route->dropped, DropReason::kStoreFull);
        commits->lost.store(true);
      }
      commits->close();
    };
  }
  const auto offered =
      target.durable->offer(message, hop, target.priority, target.ttl_s, std::move(committed));
  if (offered == DurableSink::Offer::kTaken) {
    counts.beside_links.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  count(counts.dropped, DropReason::kStoreFull);
  if (commits) {
    commits->lost.store(true);
    commits->open.fetch_sub(1, std::memory_order_relaxed);
  }
}

// ---- back-pressure
// -----------------------------------------------------------------------------------

void Instance::block(std::uint32_t output, const Target& target, std::uint32_t bytes) {
  outputs_[output].blocked = true;
  // One waker for each sink that refused: whichever has room first makes WRITABLE.
  const void* sink =
      target.link != nullptr ? static_cast<const void*>(target.link) : target.durable;
  auto& waits_for = outputs_[output].waits_for;
  if (std::find(waits_for.begin(), waits_for.end(), sink) != waits_for.end()) return;
  waits_for.push_back(sink);
  auto waker = [weak = weak_from_this(), output, sink] {
    const auto self = weak.lock();
    if (!self) return;
    const auto wake = [self, output, sink] {
      std::erase(self->outputs_[output].waits_for, sink);
      self->unblock(output);
    };
    if (self->onStrand()) {
      wake();
    } else {
      self->shard().post(wake);
    }
  };
  if (target.link != nullptr) {
    target.link->wait(bytes, shard().bootNs(), std::move(waker));
  } else {
    target.durable->onRoom(std::move(waker));
  }
}

void Instance::unblock(std::uint32_t output) {
  if (phase_ == Phase::kEnded || !outputs_[output].blocked) return;
  outputs_[output].blocked = false;
  if (!is_here_) {  // Not the module's, which has credit of its own: also while events wait.
    writable_.push_back(output);
    return shard().runLater(*this);
  }
  Event event;
  event.event.type = KANTE_EVENT_WRITABLE;
  event.event.id = output;
  postEvent(std::move(event));
  if (ownsLane()) parts_.lane->resume();
  for (const auto& intake : intakes_) {
    if (intake) intake->hurry();
  }
  if (has_foreign_.load(std::memory_order_relaxed)) shard().runLater(*this);
}

void Instance::doneDelivered(std::atomic<std::uint32_t>& open, std::uint64_t bytes) {
  if (&open == &requests_) result_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  const std::uint32_t left = open.fetch_sub(1, std::memory_order_relaxed) - 1;
  if (&open != &open_dones_ || left > kDonesMax / 2) return;
  for (std::uint32_t i = 0; i < outputs_.size(); ++i) {
    if (std::exchange(outputs_[i].waits_for_dones, false)) unblock(i);
  }
}

// ---- emits from the module's own threads
// -------------------------------------------------------------

kante_status Instance::emitForeign(std::uint32_t output, MessageRef message, std::uint8_t hops,
                                   std::uint64_t token) {
  {
    const std::lock_guard lock(foreign_mutex_);
    if (output >= foreign_blocked_.size()) return KANTE_E_NOT_FOUND;
    if (foreign_closed_ || foreign_.size() >= kForeignMessagesMax ||
        foreign_bytes_ + message.bytes() > kForeignBytesMax) {
      foreign_blocked_[output] = true;
      return KANTE_E_AGAIN;
    }
    foreign_bytes_ += message.bytes();
    foreign_.push_back({output, std::move(message), hops, token});
    if (has_foreign_.exchange(true, std::memory_order_acq_rel)) return KANTE_OK;
  }
  onShard([this] {
    if (phase_ != Phase::kEnded) shard().runLater(*this);
  });
  return KANTE_OK;
}

// True when all that was there is routed; what comes meanwhile is for the next time, so that a
// thread that emits without end does not hold the strand.
bool Instance::routeForeign(Credit credit) {
  std::size_t there = 0;
  {
    const std::lock_guard lock(foreign_mutex_);
    there = foreign_.size();
  }
  for (; there > 0; --there) {
    Foreign next;
    {
      const std::lock_guard lock(foreign_mutex_);
      next = std::move(foreign_.front());
      foreign_.pop_front();
      if (next.message) foreign_bytes_ -= next.message.bytes();
    }
    if (next.output == kSettlement) {
      settleNow(next.token, next.status, next.reason);
      continue;
    }
    if (route(next.output, next.message, next.hops, next.token, credit) == KANTE_E_AGAIN) {
      const std::lock_guard lock(foreign_mutex_);
      foreign_bytes_ += next.message.bytes();
      foreign_.push_front(std::move(next));
      return false;
    }
  }
  std::vector<std::uint32_t> writable;
  {
    const std::lock_guard lock(foreign_mutex_);
    if (!foreign_.empty()) {
      shard().runLater(*this);
      return true;
    }
    has_foreign_.store(false, std::memory_order_release);
    for (std::uint32_t i = 0; i < foreign_blocked_.size(); ++i) {
      if (foreign_blocked_[i]) writable.push_back(i);
      foreign_blocked_[i] = false;
    }
  }
  for (const std::uint32_t output : writable) {
    outputs_[output].blocked = true;
    unblock(output);
  }
  return true;
}

}  // namespace kante
