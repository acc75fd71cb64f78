#include "host/container/container_life.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <utility>

#include "host/base/clock.h"

namespace kante {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

std::string labelOf(const ContainerFacts& facts, const char* label) {
  const auto found = facts.labels.find(label);
  return found == facts.labels.end() ? "" : found->second;
}

// How a life ended that nobody had asked to end.
std::string endOf(const ContainerFacts& facts) {
  if (!facts.error.empty()) return facts.error;
  const bool by_signal = facts.exit_code > 128 && facts.exit_code <= 128 + 64;
  return (facts.oom_killed ? "had no more memory, " : "") +
         (by_signal ? "ended by signal " + std::to_string(facts.exit_code - 128)
                    : "exited with " + std::to_string(facts.exit_code));
}

bool sameWish(const WantedContainer& a, const WantedContainer& b) {
  return a.body.spec == b.body.spec && a.restart == b.restart && a.pull == b.pull &&
         a.desire == b.desire;
}

}  // namespace

bool ContainerLife::isOurs() const {
  return facts_ && labelOf(*facts_, kGatewayLabel) == world_.options.gateway;
}

bool ContainerLife::runs() const {
  return facts_ &&
         (facts_->phase == ContainerPhase::kRunning || facts_->phase == ContainerPhase::kPaused ||
          facts_->phase == ContainerPhase::kRestarting);
}

bool ContainerLife::isResting() const { return known_ && !call_ && (!isOurs() || !runs()); }

ContainerStatus ContainerLife::status() const {
  ContainerStatus out;
  out.container = name_;
  if (wanted_) out.module = wanted_->module;
  if (!wanted_ && facts_) out.module = labelOf(*facts_, kModuleLabel);
  out.state = state_;
  out.started_wall_ns = facts_ ? facts_->started_ns : 0;
  out.restarts = restarts_;
  out.deaths = deaths_;
  out.reason = reason_;
  if (wanted_) out.image = wanted_->image;
  out.image_id = image_id_;
  out.progress = progress_;
  if (facts_) out.spec = labelOf(*facts_, kSpecLabel);
  return out;
}

void ContainerLife::set(ContainerState state) {
  if (state != ContainerState::kPulling) progress_.clear();
  state_ = state;
  world_.changed();
}

// What the engine is doing for it ends first, but for a pull: nobody may want that image.
void ContainerLife::want(std::optional<WantedContainer> wanted) {
  const bool same = wanted && wanted_ && sameWish(*wanted, *wanted_);
  const bool pulls_in_vain =
      state_ == ContainerState::kPulling && !(wanted && wanted_ && wanted->image == wanted_->image);
  const bool is_fresh = !wanted_ && !facts_;
  if (wanted) stop_s_ = wanted->stop_s;
  wanted_ = std::move(wanted);
  if (same) return;
  if (pulls_in_vain) call_.reset();
  retry_.reset();
  restart_due_ = false;
  short_lives_ = attempts_ = 0;
  due_ = !is_fresh;
  if (!call_ || state_ != ContainerState::kPulling) set(ContainerState::kUnknown);
  if (known_) look();
}

Status ContainerLife::restart() {
  if (!known_) return fail(Errc::kUnavailable, name_ + ": the container engine is away");
  if (wanted_->desire == WantedContainer::Desire::kStopped)
    return fail(Errc::kState, name_ + ": is stopped by its deployment");
  const bool begins = state_ == ContainerState::kPulling || state_ == ContainerState::kStarting;
  if (call_ && begins) return {};
  restart_due_ = call_ != nullptr;
  if (restart_due_) {
    set(ContainerState::kStarting);
    return {};
  }
  retry_.reset();
  short_lives_ = attempts_ = 0;
  due_ = true;
  set(ContainerState::kStarting);
  if (isOurs() && runs())
    end(&ContainerLife::lookAfter);
  else
    look();
  return {};
}

void ContainerLife::stop() {
  if (wanted_) wanted_->desire = WantedContainer::Desire::kStopped;
  retry_.reset();
  if (state_ == ContainerState::kPulling) call_.reset();
  if (known_) step();
}

void ContainerLife::disconnect() {
  call_.reset();
  logs_.reset();
  known_ = look_again_ = false;
}

// ---- looking ---------------------------------------------------------------------------------

template <typename T>
std::function<void(Result<T>)> ContainerLife::then(void (ContainerLife::*next)(Result<T>)) {
  return [this, next](Result<T> result) {
    call_.reset();
    if (!result && result.error().code == Errc::kUnavailable) return world_.lost(result.error());
    (this->*next)(std::move(result));
  };
}

void ContainerLife::look() {
  if (call_) {
    look_again_ = true;
    return;
  }
  call_ = world_.options.engine.inspect(name_, then(&ContainerLife::looked));
}

void ContainerLife::looked(Result<ContainerFacts> facts) {
  if (!facts && facts.error().code != Errc::kNotFound) {
    known_ = true;
    return backOff(facts.error(), Count::kAttempt);
  }
  known_ = true;
  facts_.reset();
  if (facts) facts_ = std::move(*facts);
  if (std::exchange(look_again_, false)) return look();
  step();
}

void ContainerLife::step() {
  if (call_ || !known_) return;
  if (!wanted_) {
    if (isOurs()) return end(&ContainerLife::endedToRemove);
    return world_.changed();  // Gone.
  }
  if (facts_ && !isOurs()) {
    if (!isLeftAlone())
      backOff(fail(Errc::kConflict, "a container " + name_ +
                                        " is there and not of this gateway; rename or remove it"),
              Count::kAttempt);
    return;
  }
  if (std::exchange(restart_due_, false) && restart()) return;
  if (wanted_->desire == WantedContainer::Desire::kStopped) {
    if (runs()) return end(&ContainerLife::lookAfter);
    return set(ContainerState::kStopped);
  }
  if (!facts_) return create();
  if (labelOf(*facts_, kSpecLabel) != wanted_->body.spec || facts_->phase == ContainerPhase::kDead)
    return end(&ContainerLife::endedToRemove);
  image_id_ = facts_->image_id;
  if (facts_->phase == ContainerPhase::kRemoving) {
    if (!isLeftAlone()) backOff(fail(Errc::kState, "is being removed"), Count::kAttempt);
    return;
  }
  if (runs()) return running();
  if (facts_->phase == ContainerPhase::kCreated) return begin();
  ended();
}

// ---- the way up ------------------------------------------------------------------------------

void ContainerLife::create() {
  if (isLeftAlone()) return;
  set(ContainerState::kStarting);
  call_ = world_.options.engine.inspectImage(wanted_->image, then(&ContainerLife::hasImage));
}

void ContainerLife::hasImage(Result<ImageFacts> image) {
  if (!wanted_) return step();
  if (image) return make();
  if (image.error().code != Errc::kNotFound) return backOff(image.error(), Count::kAttempt);
  if (wanted_->pull == WantedContainer::Pull::kOnCreate) return pull();
  backOff(fail(Errc::kNotFound, "image " + wanted_->image +
                                    " is not there and is never pulled; load it into the engine"),
          Count::kAttempt);
}

void ContainerLife::pull() {
  const auto login = loginFor(world_.options.login, wanted_->image);
  if (!login) return backOff(login.error(), Count::kAttempt);
  set(ContainerState::kPulling);
  call_ = world_.options.engine.pullImage(
      wanted_->image, *login ? &**login : nullptr,
      [this](const PullProgress& step) {
        progress_ = textOf(step);
        world_.changed();
      },
      then(&ContainerLife::pulled));
}

void ContainerLife::pulled(Status status) {
  if (!wanted_) return step();
  if (!status) return backOff(status.error(), Count::kAttempt);
  if (world_.options.on_pulled) world_.options.on_pulled(wanted_->image);
  attempts_ = short_lives_;
  make();
}

void ContainerLife::make() {
  set(ContainerState::kStarting);
  last_line_ns_ = 0;
  same_time_ = 0;
  const std::string network =
      world_.engine.knows_host_gateway ? "" : networkToResolve(wanted_->body.json);
  if (network.empty()) return makeOf(wanted_->body.json);
  call_ = world_.options.engine.gatewayOf(network, then(&ContainerLife::foundGateway));
}

// A network without a gateway leads nowhere: then the name does not, either.
void ContainerLife::foundGateway(Result<std::string> address) {
  if (!wanted_) return step();
  if (!address && address.error().code != Errc::kNotFound)
    return backOff(address.error(), Count::kAttempt);
  makeOf(withGateway(wanted_->body.json, address ? *address : ""));
}

void ContainerLife::makeOf(const std::string& body) {
  call_ = world_.options.engine.create(name_, body, then(&ContainerLife::made));
}

void ContainerLife::made(Result<std::string> id) {
  if (!id) return backOff(id.error(), Count::kAttempt);
  look();
}

void ContainerLife::begin() {
  if (isLeftAlone()) return;
  set(ContainerState::kStarting);
  call_ = world_.options.engine.start(facts_->id, then(&ContainerLife::begun));
}

void ContainerLife::begun(Status status) {
  due_ = false;
  if (!status) return backOff(status.error(), Count::kLife);
  if (std::exchange(has_begun_, true)) ++restarts_;
  followLogs();  // Whatever became of it: also the last words of a short life are words.
  look();
}

void ContainerLife::running() {
  has_begun_ = true;
  due_ = false;
  retry_.reset();
  if (!logs_) {
    if (last_line_ns_ == 0) {  // Adopted.
      last_line_ns_ = world_.options.clock.wallNs();
      same_time_ = 0;
    }
    followLogs();
  }
  if (state_ != ContainerState::kRunning) set(ContainerState::kRunning);
}

// ---- the way down ----------------------------------------------------------------------------

void ContainerLife::ended() {
  // The engine may notice only after the end what was behind it.
  if (judged_ns_ == facts_->started_ns && facts_->oom_killed) reason_ = endOf(*facts_);
  if (isLeftAlone()) return;
  // What was there before this object is begun as a deployment is; so is what an order begins.
  if (due_ || !has_begun_) return begin();
  if (judged_ns_ == facts_->started_ns) return;
  judged_ns_ = facts_->started_ns;
  ++deaths_;
  reason_ = endOf(*facts_);
  const bool well = facts_->exit_code == 0 && !facts_->oom_killed;
  if (wanted_->restart == WantedContainer::Restart::kNever ||
      (wanted_->restart == WantedContainer::Restart::kOnFailure && well))
    return set(well ? ContainerState::kStopped : ContainerState::kFailed);
  if (facts_->finished_ns - facts_->started_ns < kLongLifeNs)
    return backOff(fail(Errc::kState, reason_), Count::kLife);
  short_lives_ = attempts_ = 0;
  begin();
}

// One that does not run is ended already, and then the engine says so at once.
void ContainerLife::end(void (ContainerLife::*next)(Status)) {
  set(ContainerState::kStopping);
  call_ = world_.options.engine.stop(facts_->id, stop_s_, then(next));
}

void ContainerLife::endedToRemove(Status) {  // By force, if it did not end.
  call_ = world_.options.engine.remove(facts_->id, then(&ContainerLife::lookAfter));
}

void ContainerLife::lookAfter(Status status) {
  if (!status && status.error().code != Errc::kNotFound)
    return backOff(status.error(), Count::kAttempt);
  look();
}

void ContainerLife::backOff(const Error& error, Count count) {
  reason_ = error.text;
  restart_due_ = false;
  if (count == Count::kLife) ++short_lives_;
  if (short_lives_ >= kShortLivesMax) return set(ContainerState::kFailed);
  attempts_ = std::min(attempts_ + 1, 10u);
  const std::uint32_t ms = std::min(kBackoffFirstMs << (attempts_ - 1), kBackoffLastMs);
  set(ContainerState::kBackoff);
  retry_ = std::make_unique<boost::asio::steady_timer>(world_.options.control,
                                                       std::chrono::milliseconds(ms));
  retry_->async_wait(
      [weak = weak_from_this(), timer = retry_.get()](const boost::system::error_code& stopped) {
        const auto self = weak.lock();
        if (stopped || !self || self->retry_.get() != timer) return;
        self->retry_.reset();
        self->due_ = true;
        if (self->known_) self->look();
      });
}

// ---- logs ------------------------------------------------------------------------------------

void ContainerLife::followLogs() {
  Engine::LogOrder order;
  order.framing = facts_->has_terminal ? LogFrames::Framing::kRaw : LogFrames::Framing::kFrames;
  // Podman's times are whole seconds: those of the last one come again.
  order.since_ns = last_line_ns_;
  known_lines_ = same_time_;
  order.until = Engine::LogOrder::Until::kEnd;
  logs_ = world_.options.engine.logs(
      facts_->id, order, [this](const ContainerLine& said) { line(said); },
      [this](const Status&) { logs_.reset(); });
}

void ContainerLife::line(const ContainerLine& said) {
  if (said.wall_ns == last_line_ns_ && known_lines_ > 0) {
    --known_lines_;
    return;
  }
  known_lines_ = 0;
  if (said.wall_ns > last_line_ns_) same_time_ = 0;
  if (said.wall_ns >= last_line_ns_) ++same_time_;
  last_line_ns_ = std::max(last_line_ns_, said.wall_ns);
  if (!wanted_) return;
  const std::int64_t now = world_.options.clock.bootNs();
  if (second_began_ns_ == 0 || now - second_began_ns_ >= kSecondNs) {
    second_began_ns_ = now;
    lines_ = 0;
    if (const std::uint64_t count = std::exchange(left_out_, 0); count > 0) {
      ContainerLine more = said;
      more.text = "(" + std::to_string(count) + " lines left out: too many a second)";
      world_.options.on_line(wanted_->module, more);
    }
  }
  if (lines_ >= kLinesPerSecond) {
    ++left_out_;
    return;
  }
  ++lines_;
  world_.options.on_line(wanted_->module, said);
}

}  // namespace kante
