// The life of a runner: its start, its end, and what tells whether it still lives.
#include "host/sandbox/runner_link.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <chrono>

#include "host/base/clock.h"
#include "host/runtime/event_name.h"

namespace kante {

namespace {
constexpr std::int64_t kLookEveryNs = 1'000'000'000;

std::int64_t hardLimitNs() { return std::chrono::nanoseconds(RunnerLink::kHardLimit).count(); }
}  // namespace

RunnerLink::Rings::Rings(RunnerChannel& channel)
    : page(channel.files.page()),
      peer(channel.files.runnerPage()),
      peer_sleep(peer.end),
      own_sleep(page.end),
      ring_out(channel.files.ringToRunner(), channel.files.ringBytes(), page.end, peer.end,
               peer_sleep),
      ring_in(channel.files.ringFromRunner(), channel.files.ringBytes(), page.end, peer.end,
              peer_sleep),
      writer(ring_out),
      reader(ring_in, FrameReader::From::kRunner) {}

Result<std::shared_ptr<RunnerLink>> RunnerLink::make(Parts parts) {
  KANTE_TRY(channel, RunnerChannel::make(parts.order.name, parts.order.ring_bytes));
  return std::shared_ptr<RunnerLink>(new RunnerLink(std::move(parts), std::move(channel)));
}

RunnerLink::RunnerLink(Parts parts, std::shared_ptr<RunnerChannel> channel)
    : parts_(std::move(parts)),
      channel_(std::move(channel)),
      process_(
          std::make_shared<RunnerProcess>(parts_.control, parts_.source, parts_.order, channel_)),
      has_share_(parts_.order.cpu_percent != 0),
      deadline_(parts_.shard->reactor()),
      share_(parts_.order.cpu_percent),
      pause_(parts_.shard->reactor()) {}

RunnerLink::~RunnerLink() = default;

void RunnerLink::onShard(std::function<void(RunnerLink&)> task) {
  shard().post([self = shared_from_this(), task = std::move(task)] { task(*self); });
}

// ---- start

kante_status RunnerLink::create(const kante_host& host, LifeOwner& owner, kante_msg* config) {
  host_ = &host;
  owner_ = &owner;
  config_ = MessageRef::retain(config);
  phase_ = Phase::kStarting;
  self_ = shared_from_this();
  boost::asio::post(parts_.control, [self = self_] { self->launch(); });
  return KANTE_PENDING;
}

// Control thread.
void RunnerLink::launch() {
  RunnerProcess::Callbacks callbacks;
  callbacks.loaded = [weak = weak_from_this()](LoadedRunner runner) {
    if (const auto self = weak.lock())
      self->onShard([runner = std::move(runner)](RunnerLink& link) { link.loaded(runner); });
  };
  callbacks.log = [weak = weak_from_this()](std::string_view line) {
    const auto self = weak.lock();
    if (!self) return;
    self->onShard([text = std::string(line)](RunnerLink& link) {
      if (link.host_ != nullptr) link.host_->log(link.host_, 2, {text.data(), text.size()});
    });
  };
  callbacks.ended = [weak = weak_from_this()](const Exited& exited, const std::string& killed_for) {
    const auto self = weak.lock();
    if (!self) return;
    self->onShard([exited, killed_for](RunnerLink& link) { link.ended(exited, killed_for); });
  };
  process_->start(std::move(callbacks));
}

void RunnerLink::loaded(LoadedRunner runner) {
  if (phase_ != Phase::kStarting) return;
  pid_.store(runner.pid, std::memory_order_relaxed);
  inputs_ = std::move(runner.inputs);
  outputs_ = std::move(runner.outputs);
  output_.resize(outputs_.size());
  rings_.emplace(*channel_);
  progress_ns_ = SystemClock().bootNs();
  for (std::size_t i = 0; i < output_.size(); ++i)
    rings_->page.routed[i].store(output_[i].routed, std::memory_order_relaxed);
  if (const Status added = shard().polling().add(*this, channel_->doorbell.get());
      added.has_error()) {
    return kill(added.error().text);
  }
  phase_ = Phase::kCreating;
  FrameOut frame;
  frame.kind = Frame::kCreate;
  frame.arg = std::uint64_t{parts_.order.defer_max_s} * 1000;
  frame.words = config_.words();
  frame.word_count = config_.wordCount();
  (void)write(frame, std::exchange(config_, MessageRef()));  // The ring is empty.
}

// ---- end

void RunnerLink::destroy(std::function<void()> gone) {
  if (phase_ == Phase::kNew || phase_ == Phase::kGone) {
    phase_ = Phase::kGone;
    host_ = nullptr;
    owner_ = nullptr;
    return gone();
  }
  gone_ = std::move(gone);
  const bool asked = isOpen();
  phase_ = Phase::kEnding;
  loseSetAside();  // Its instance has no routes any more.
  if (!asked) return kill("was stopped before it was ready");
  boost::asio::post(parts_.control, [process = process_] { process->expectEnd(); });
  owed_.destroy = true;
  writeOwed();
  publish();
  deadline_.set(kDestroyWithin, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->kill("did not end when it was asked to");
  });
}

void RunnerLink::kill(const std::string& reason) {
  {
    const std::lock_guard lock(kill_mutex_);
    if (!killed_for_.empty()) return;
    killed_for_ = reason;
  }
  boost::asio::post(parts_.control, [process = process_, reason] { process->kill(reason); });
}

void RunnerLink::breach(const std::string& what) {
  broken_ = true;
  kill("broke the rules of its rings: " + what);
}

void RunnerLink::ended(const Exited& exited, const std::string& killed_for) {
  const RunnerReport report = reportOf(channel_->files.runnerPage());
  const LifeEnd end = endOf(exited, report, parts_.order.memory_mb, killed_for);
  readTheRest();
  leaveShard();
  loseSetAside();
  pid_.store(0, std::memory_order_relaxed);
  const Phase before = std::exchange(phase_, Phase::kGone);
  const std::shared_ptr<RunnerLink> self = std::exchange(self_, nullptr);
  LifeOwner* owner = owner_;
  switch (before) {
    case Phase::kEnding: {
      host_ = nullptr;
      owner_ = nullptr;
      return std::exchange(gone_, nullptr)();
    }
    case Phase::kStarting:
    case Phase::kCreating: return owner->startFailed({Errc::kState, end.reason});
    case Phase::kActive: return owner->died(end);
    case Phase::kNew:
    case Phase::kGone: return;
  }
}

void RunnerLink::lose(const SetAside::Emit& emit) {
  ++counts_.lost;
  owner_->lost(emit.output, emit.message);
}

void RunnerLink::loseSetAside() {
  set_aside_.clear([this](SetAside::Emit& emit) { lose(emit); });
}

// What it had published when it ended still counts, as far as it is right.
void RunnerLink::readTheRest() {
  if (!rings_ || broken_) return;
  reads_all_ = true;
  noteHandled();
  while (readFrames()) {
  }
  noteHandled();
}

void RunnerLink::leaveShard() {
  deadline_.cancel();
  pause_.cancel();
  if (!rings_) return;
  shard().polling().remove(*this, channel_->doorbell.get());
  shard().deschedule(*this);
}

// ---- does it still live?

std::size_t RunnerLink::sharedBytes() const {
  return 2 * (kSharedPageBytes + std::size_t{channel_->files.ringBytes()});
}

std::uint64_t RunnerLink::callbacks() const {
  return channel_->files.runnerPage().sequence.load(std::memory_order_acquire);
}

std::uint32_t RunnerLink::callbackEvent() const {
  return channel_->files.runnerPage().event.load(std::memory_order_relaxed);
}

// A callback that does not end, or events that nobody takes.
void RunnerLink::tick() {
  if (broken_ || !isOpen()) return;
  reportViolations();
  if (phase_ == Phase::kEnding) return;  // That has a deadline of its own.
  const RunnerPage& peer = rings_->peer;
  Progress now;
  now.head = peer.end.head.load(std::memory_order_relaxed);
  now.tail = peer.end.tail.load(std::memory_order_relaxed);
  now.handled = peer.handled.load(std::memory_order_relaxed);
  now.sequence = peer.sequence.load(std::memory_order_relaxed);
  const bool in_callback = (now.sequence & 1) != 0;
  const bool is_idle =
      !in_callback && now.tail == rings_->page.end.head.load(std::memory_order_relaxed);
  const bool is_same = in_callback ? now.sequence == progress_.sequence : now == progress_;
  const std::int64_t now_ns = SystemClock().bootNs();
  if (is_idle || !is_same) progress_ns_ = now_ns;
  progress_ = now;
  if (now_ns - progress_ns_ < hardLimitNs()) return;
  const auto ms = std::chrono::milliseconds(kHardLimit).count();
  kill(in_callback ? fmt::format("{} took longer than {} ms", eventName(callbackEvent()), ms)
                   : fmt::format("has taken none of its events for {} ms", ms));
}

void RunnerLink::reportViolations() {
  looked_ns_ = shard().bootNs();
  const RunnerReport report = reportOf(rings_->peer);
  if (report.violations == violations_) return;
  const std::uint32_t more = report.violations - violations_;
  violations_ = report.violations;
  owner_->violated(fmt::format("{}, which its sandbox refuses{}", violationText(report),
                               more == 1 ? "" : fmt::format(" ({} refusals)", more)));
}

// ---- on its shard

bool RunnerLink::run(Shard&) {
  if (!isOpen() || broken_) return false;
  noteHandled();
  const bool more = has_share_ ? readWithinShare() : readFrames();
  if (rings_->ring_in.giveBack(RingReader::Returning::kEighth) == Wake::kYes) oweWake();
  giveRoom();
  publish();
  tellRouted();
  if (shard().bootNs() - looked_ns_ >= kLookEveryNs) reportViolations();
  if (const auto& broken = rings_->ring_out.broken(); broken && !broken_) breach(*broken);
  return more && !broken_;
}

// Only lines that do not change while nothing comes; the count of handled inputs, which changes all
// the time, where it matters.
bool RunnerLink::hasWork() const {
  if (broken_ || !isOpen()) return false;
  const RunnerPage& peer = rings_->peer;
  if (peer.end.head.load(std::memory_order_acquire) != seen_head_ && mayRead()) return true;
  const bool wants_room = said_again_ || !owed_.empty() || rings_->writer.unfinished();
  if (wants_room && peer.end.tail.load(std::memory_order_acquire) != seen_tail_) return true;
  return (asleep_ || wants_room) && unhandled() > 0 &&
         peer.handled.load(std::memory_order_acquire) != handled_;
}

void RunnerLink::fallAsleep() {
  if (broken_ || !isOpen()) return;
  if (rings_->ring_in.giveBack(RingReader::Returning::kEverything) == Wake::kYes) wakeRunner();
  const bool wants_room =
      said_again_ || !owed_.empty() || rings_->writer.unfinished() || unhandled() > 0;
  asleep_ = true;
  rings_->own_sleep.announce((mayRead() ? kWantsData : 0) | (wants_room ? kWantsSpace : 0));
}

void RunnerLink::wakeUp() {
  if (!asleep_) return;
  if (hasWork()) shard().runLater(*this);
  asleep_ = false;
  rings_->own_sleep.awake();
}

// A runner cannot ring often for nothing without being noticed.
void RunnerLink::rang() {
  ++counts_.rings;
  if (broken_ || !isOpen() || hasWork()) return;
  ++counts_.vain_rings;
  const std::int64_t now = shard().bootNs();
  if (now - vain_since_ns_ >= 1'000'000'000) {
    vain_since_ns_ = now;
    vain_ = 0;
  }
  if (++vain_ < kVainRingsPerSecond) return;
  broken_ = true;
  kill(fmt::format("rang its doorbell {} times in a second for nothing", kVainRingsPerSecond));
}

}  // namespace kante
