// The life of an instance: create, events one at a time, drain, destroy.
#include "host/placement/instance.h"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstring>
#include <ctime>

#include "host/base/encoding.h"
#include "host/runtime/event_name.h"

namespace kante {

namespace {

std::int64_t monotonicNs() {
  timespec at{};
  ::clock_gettime(CLOCK_MONOTONIC, &at);
  return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

// Tells receivers of messages apart in this process; comes round after 16 million instances.
std::uint32_t nextReceiver() {
  static std::atomic<std::uint32_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) % Ways::kReceiverMax + 1;
}

Error otherNames() {
  return {Errc::kCorrupt, "its inputs or outputs are not those of its manifest"};
}

bool sameNames(std::vector<std::string> a, std::vector<std::string> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

}  // namespace

Instance::Instance(Parts parts, Callbacks callbacks)
    : parts_(std::move(parts)),
      callbacks_(std::move(callbacks)),
      host_(makeHostTable(*this)),
      is_here_(parts_.spec.placement == Placement::kInProcess),
      receiver_(nextReceiver()),
      who_("module/" + parts_.spec.name),
      again_timer_(parts_.lane->shard().reactor()) {
  // Ids from the module's own threads must differ from those of every shard and every other
  // instance.
  const std::string random = randomBytes(8);
  std::memcpy(&foreign_stamp_.id_high, random.data(), 8);
}

Instance::~Instance() { KANTE_ASSERT(phase_ == Phase::kNew || phase_ == Phase::kEnded); }

void Instance::onShard(std::function<void()> task) {
  shard().post([self = shared_from_this(), task = std::move(task)] { task(); });
}

// ---- begin

void Instance::begin(std::shared_ptr<const State> state, MessageRef desired,
                     std::uint64_t desired_version) {
  onShard(
      [this, state = std::move(state), desired = std::move(desired), desired_version]() mutable {
        create(std::move(state), std::move(desired), desired_version);
      });
}

bool Instance::hasNamesOfManifest() const {
  return sameNames(parts_.life->outputs(), parts_.spec.outputs) &&
         sameNames(parts_.life->inputs(), parts_.spec.inputs);
}

void Instance::create(std::shared_ptr<const State> state, MessageRef desired,
                      std::uint64_t desired_version) {
  if (is_here_ && !hasNamesOfManifest()) return fail(otherNames());
  start_ = {std::move(state), std::move(desired), desired_version};
  outputs_.resize(parts_.spec.outputs.size());
  foreign_blocked_.resize(parts_.spec.outputs.size());
  intakes_.resize(parts_.spec.inputs.size());
  intake_at_ = std::vector<std::atomic<Intake*>>(parts_.spec.inputs.size());
  holding_ = true;
  phase_ = Phase::kCreating;
  auto config = jsonMessage(parts_.spec.config);
  if (config.has_error()) return fail(within("config", config.error()));
  explanation_.clear();
  const kante_status status = parts_.life->create(host_, *this, config->get());
  if (status == KANTE_PENDING && !is_here_) return;
  createEnded(status, std::string(explanation_), promised_ready_);
}

void Instance::createEnded(kante_status status, const std::string& text, bool promised_ready) {
  if (phase_ != Phase::kCreating) return;
  if (status != KANTE_OK) {
    return fail({Errc::kState, "create() answered " + std::to_string(status) +
                                   (text.empty() ? "" : ": " + text)});
  }
  if (!hasNamesOfManifest()) return fail(otherNames());
  promised_ready_ = promised_ready;
  if (!start_.state) return started();
  Event restore;
  restore.event.type = KANTE_EVENT_RESTORE;
  restore.event.arg = start_.state->format;
  restore.state = std::move(start_.state);
  restore.after = [this](kante_status answered, const std::string& why) {
    restoreEnded(answered, why);
  };
  dispatch(restore);
}

void Instance::restoreEnded(kante_status status, const std::string& text) {
  if (phase_ != Phase::kCreating) return;
  if (status < KANTE_OK && status != KANTE_E_UNSUPPORTED) {
    return fail({Errc::kState, "refuses the state of the version before it: " +
                                   (text.empty() ? std::to_string(status) : text)});
  }
  started();
}

void Instance::started() {
  if (start_.desired) {
    Event event;
    event.event.type = KANTE_EVENT_DESIRED;
    event.event.arg = start_.desired_version;
    event.message = std::move(start_.desired);
    postEvent(std::move(event));
  }
  phase_ = Phase::kStarting;
  if (!promised_ready_ || said_ready_) {
    becomeReady();
  } else {
    holding_ = false;  // It needs its events to get ready.
    shard().runLater(*this);
  }
}

void Instance::startFailed(Error error) {
  if (phase_ != Phase::kEnded) fail(std::move(error));
}

// The module goes, and everything that waits for it is told so.
void Instance::close() {
  phase_ = Phase::kEnded;
  timers_.clear();
  again_timer_.cancel();
  parts_.life->destroy([self = shared_from_this()] {
    self->takeBackInputs();
    self->gone_ = true;
    for (const auto& task : std::exchange(self->when_gone_, {})) task();
  });
  for (const auto& intake : intakes_) {
    if (intake) intake->close();
  }
  saved_ = nullptr;
  for (Event& event : std::exchange(unsent_, {})) events_.push_back(std::move(event));
  for (Event& event : std::exchange(events_, {})) {
    if (event.after) event.after(KANTE_E_CANCELED, "the module was ended");
  }
  for (Owed& owed : std::exchange(owed_, {})) {
    if (owed.after) owed.after(KANTE_E_CANCELED, "the module was ended");
  }
  if (parts_.close_opened) parts_.control(parts_.close_opened);
  for (Output& output : outputs_) output.routes = nullptr;
  table_.reset();
  const std::lock_guard lock(foreign_mutex_);
  const auto emits = std::count_if(foreign_.begin(), foreign_.end(),
                                   [](const Foreign& one) { return one.output != kSettlement; });
  dropped_no_route_.fetch_add(static_cast<std::uint64_t>(emits),
                              std::memory_order_relaxed);  // Never active.
  foreign_.clear();
  foreign_bytes_ = 0;
}

void Instance::whenGone(std::function<void()> task) {
  if (gone_) return task();
  when_gone_.push_back(std::move(task));
}

void Instance::fail(Error error) {
  close();
  parts_.control([self = shared_from_this(), error = std::move(error)] {
    if (self->callbacks_.failed) self->callbacks_.failed(error);
  });
}

void Instance::ready() {
  if (onStrand()) {
    said_ready_ = true;
    if (phase_ == Phase::kStarting) becomeReady();
  } else {
    onShard([this] {
      said_ready_ = true;
      if (phase_ == Phase::kStarting) becomeReady();
    });
  }
}

// Only in create(): asked for later it promises nothing.
void Instance::promisedReady() {
  if (onStrand() && phase_ == Phase::kCreating) promised_ready_ = true;
}

void Instance::becomeReady() {
  phase_ = Phase::kActive;
  parts_.control([self = shared_from_this()] {
    if (self->callbacks_.ready) self->callbacks_.ready();
  });
}

void Instance::activate(std::shared_ptr<RouteTable> table) {
  onShard([this, table = std::move(table), lane_inputs = parts_.lane->inputNames()] {
    if (phase_ == Phase::kEnded) return;
    const std::vector<std::string>& inputs = parts_.life->inputs();
    input_map_.clear();
    for (const std::string& name : lane_inputs) {
      const auto at = std::find(inputs.begin(), inputs.end(), name);
      input_map_.push_back(at == inputs.end() ? UINT32_MAX
                                              : static_cast<std::uint32_t>(at - inputs.begin()));
    }
    const std::vector<std::string>& names = parts_.life->outputs();
    std::vector<OutputRoutes>* routes = table->outputsOf(parts_.spec.name);
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const auto at = std::find(parts_.spec.outputs.begin(), parts_.spec.outputs.end(), names[i]);
      const auto index = static_cast<std::size_t>(at - parts_.spec.outputs.begin());
      outputs_[i].routes = routes == nullptr ? nullptr : &(*routes)[index];
      // What it waited for may be on no route any more.
      outputs_[i].waits_for.clear();
      unblock(static_cast<std::uint32_t>(i));
    }
    parts_.life->routesAreThere();
    table_ = table;  // Only now may the table before it go.
    if (drain_ == Drain::kNo) parts_.lane->setConsumer(this);
    holding_ = false;
    if (drain_ == Drain::kNo) openIntakes(inputs);
    shard().runLater(*this);
  });
}

// ---- events

kante_status Instance::call(const kante_event& event) {
  if (!explanation_.empty()) explanation_.clear();
  const bool timed = times_.sampleThis() && is_here_;
  const std::int64_t began = timed ? monotonicNs() : 0;
  const kante_status status = parts_.life->onEvent(event);
  if (timed) times_.record(monotonicNs() - began);
  return status;
}

// A module in this process has the descriptor itself, one elsewhere a copy: ours closes.
kante_status Instance::handOver(Event& event) {
  if (!explanation_.empty()) explanation_.clear();
  const kante_status status = parts_.life->onOpened(event.event, event.descriptor->get());
  if (!is_here_ && status == KANTE_E_AGAIN) return status;
  if (is_here_) (void)event.descriptor->release();
  event.descriptor.reset();
  return status;
}

kante_status Instance::callInput(const kante_event& event, std::uint8_t hops) {
  if (!explanation_.empty()) explanation_.clear();
  const bool timed = times_.sampleThis() && is_here_;
  const std::int64_t began = timed ? monotonicNs() : 0;
  current_ = event.msg;
  current_hops_ = hops;
  const kante_status status = parts_.life->onInput(event, hops);
  current_ = nullptr;
  if (timed) times_.record(monotonicNs() - began);
  return status;
}

void Instance::postEvent(Event event) {
  if (phase_ == Phase::kEnded) return;
  if (handed_on_ && !isOwn(event)) {
    if (event.after) event.after(KANTE_E_CANCELED, "the module's successor has taken over");
    return;
  }
  events_.push_back(std::move(event));
  if (!holding_) shard().runLater(*this);
}

void Instance::dispatch(Event& event) {
  kante_event& raw = event.event;
  raw.struct_size = sizeof raw;
  if (event.state) {
    raw.name = {event.state->bytes.data(), event.state->bytes.size()};
  } else {
    raw.name = toStr(event.name);
  }
  if (event.message) {
    raw.msg = event.message.get();
    raw.words = event.message.words();
    raw.word_count = event.message.wordCount();
  }
  if (auto* open = std::exchange(event.open, nullptr))
    doneDelivered(*open, event.message ? event.message.bytes() : 0);
  if (raw.type == KANTE_EVENT_TIMER) {
    raw.arg = timerExpired(raw.id);
    if (raw.arg == 0) return;  // Cancelled meanwhile.
  }
  if (!is_here_ && !unsent_.empty()) return unsent_.push_back(std::move(event));
  const kante_status status = event.descriptor ? handOver(event) : call(raw);
  if (!is_here_) {
    if (status == KANTE_E_AGAIN) {
      no_room_ = true;
      return unsent_.push_back(std::move(event));
    }
    if (status == KANTE_PENDING && isOwed(raw.type))
      return owed_.push_back({raw.type, raw.token, std::move(event.after)});
  }
  if (status != KANTE_OK && status != KANTE_E_UNSUPPORTED && !event.after) {
    errors_.fetch_add(1, std::memory_order_relaxed);
    log(3, eventName(raw.type) + " answered " + statusName(status) +
               (explanation_.empty() ? "" : ": " + explanation_));
  }
  if (event.after) event.after(status, explanation_);
}

bool Instance::run(Shard&) {
  if (phase_ == Phase::kEnded) return false;
  StoreDoor::Scope together(door_);
  if (has_foreign_.load(std::memory_order_acquire)) (void)routeForeign(Credit::kNeeded);
  if (!writable_.empty() && !no_room_) tellWritable();
  for (std::uint32_t n = 0; n < Lane::kSlice && mayDispatch(); ++n) {
    Event event = std::move(events_.front());
    events_.pop_front();
    dispatch(event);
    if (phase_ == Phase::kEnded) return false;
    together.cut();
  }
  if (drain_ == Drain::kWanted && events_.empty() && unsent_.empty() &&
      (!ownsLane() || (parts_.lane->size() == 0 && sent_.empty())))
    sendDrain();
  if ((leave_ == Leave::kWithRoom || leave_ == Leave::kWithoutRoom) && isQuiet()) beginSave();
  return mayDispatch();
}

Consumer::Outcome Instance::consume(Delivery& delivery) {
  Link& link = *delivery.link;
  Shard& here = shard();
  if ((drain_ == Drain::kWanted || leave_ != Leave::kNo) && parts_.lane->size() == 0) [[unlikely]] {
    here.runLater(*this);
  }
  if (link.limits.ttl_s != 0 &&
      here.bootNs() - delivery.queued_boot_ns > std::int64_t{link.limits.ttl_s} * 1'000'000'000) {
    count(link.dropped, DropReason::kTtl);
    return Outcome::kDone;
  }
  kante_msg* message = delivery.message.get();
  const std::int64_t expiry = delivery.message.view().expiryNs();
  // Left when the hop was made, less what it waited: a step of the wall clock expires nothing here.
  if (expiry != 0 && expiry - delivery.hop.arrived_ns < here.bootNs() - delivery.queued_boot_ns) {
    count(link.dropped, DropReason::kTtl);
    return Outcome::kDone;
  }
  const std::uint32_t input = link.input < input_map_.size() ? input_map_[link.input] : UINT32_MAX;
  if (input == UINT32_MAX) {
    count(link.dropped, DropReason::kNoRoute);
    return Outcome::kDone;
  }
  const bool only = message->references.load(std::memory_order_relaxed) == 1;
  message->ways.arrived(receiver_, delivery.hop.hops,
                        only ? Ways::Holders::kOne : Ways::Holders::kSeveral);
  kante_event event{};
  event.struct_size = sizeof event;
  event.type = KANTE_EVENT_INPUT;
  event.id = input;
  event.name = toStr(delivery.hop.source->telemetry_name);
  event.msg = message;
  event.words = message->data();
  event.word_count = message->words;
  const kante_status status = callInput(event, delivery.hop.hops);
  if (!is_here_) return keep(delivery, status);
  if (status == KANTE_E_AGAIN) {
    rest();
    return Outcome::kAgain;
  }
  again_ms_ = 0;
  messages_in_.store(messages_in_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (status < 0) [[unlikely]] {
    errors_.fetch_add(1, std::memory_order_relaxed);
    log(3, "an input from " + delivery.hop.source->telemetry_name + " answered " +
               statusName(status) + (explanation_.empty() ? "" : ": " + explanation_));
  }
  return Outcome::kDone;
}

void Instance::rest() {
  again_ms_ = again_ms_ == 0 ? kAgainFirstMs : std::min(again_ms_ * 2, kAgainLastMs);
  again_timer_.set(std::chrono::milliseconds(again_ms_), [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->phase_ != Phase::kEnded && self->ownsLane()) self->parts_.lane->resume();
  });
}

void Instance::desired(MessageRef document, std::uint64_t version) {
  onShard([this, document = std::move(document), version]() mutable {
    for (Event& waiting : events_) {  // The whole document again: the newest stands for all.
      if (waiting.event.type != KANTE_EVENT_DESIRED) continue;
      waiting.event.arg = version;
      waiting.message = std::move(document);
      return;
    }
    Event event;
    event.event.type = KANTE_EVENT_DESIRED;
    event.event.arg = version;
    event.message = std::move(document);
    postEvent(std::move(event));
  });
}

void Instance::method(std::uint64_t call_id, std::string name, MessageRef arguments) {
  onShard([this, call_id, name = std::move(name), arguments = std::move(arguments)]() mutable {
    if (phase_ == Phase::kEnded)  // Its host is not told yet, or stops it.
      return refuseCall(call_id, died_ ? 503 : 404, "the module is not running");
    if (events_.size() + owed_.size() >= kEventsMax)
      return refuseCall(call_id, 429, "too many events wait for the module");
    Event event;
    event.event.type = KANTE_EVENT_METHOD;
    event.event.token = next_token_++;
    event.name = std::move(name);
    event.message = std::move(arguments);
    const std::uint64_t token = event.event.token;
    {
      const std::lock_guard lock(calls_mutex_);
      calls_[token] = call_id;
    }
    event.after = [this, token, call_id](kante_status status, const std::string&) {
      if (status >= 0) return;
      {
        const std::lock_guard lock(calls_mutex_);
        if (calls_.erase(token) == 0) return;
      }
      const bool unknown = status == KANTE_E_UNSUPPORTED || status == KANTE_E_NOT_FOUND;
      refuseCall(call_id, unknown ? 404 : 500,
                 unknown ? "the module has no such method" : "the module failed");
    };
    postEvent(std::move(event));
  });
}

void Instance::refuseCall(std::uint64_t call_id, int status, const std::string& text) {
  parts_.control([self = shared_from_this(), call_id, status, text] {
    auto body = jsonMessage(boost::json::serialize(boost::json::object({{"message", text}})));
    self->parts_.services.reply(call_id, status, body.has_value() ? *body : MessageRef());
  });
}

}  // namespace kante
