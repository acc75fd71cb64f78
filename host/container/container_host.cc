#include "host/container/container_host.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <utility>

#include "host/base/log.h"
#include "host/base/metrics.h"
#include "host/container/container_host_state.h"
#include "host/hub/device_api.h"

namespace kante {
namespace {

ModuleState stateOf(ContainerState state, bool engine_is_away) {
  switch (state) {
    case ContainerState::kUnknown:
      return engine_is_away ? ModuleState::kBackoff : ModuleState::kStarting;
    case ContainerState::kPulling:
    case ContainerState::kStarting: return ModuleState::kStarting;
    case ContainerState::kRunning: return ModuleState::kRunning;
    case ContainerState::kStopping: return ModuleState::kDraining;
    case ContainerState::kStopped: return ModuleState::kStopped;
    case ContainerState::kBackoff: return ModuleState::kBackoff;
    case ContainerState::kFailed: return ModuleState::kFailed;
  }
  return ModuleState::kFailed;
}

}  // namespace

ContainerHost::State::State(Options given)
    : options(std::move(given)),
      containers({.control = options.control,
                  .engine = options.engine,
                  .clock = options.clock,
                  .gateway = options.gateway,
                  .changed = [this] { changed(); },
                  .on_line =
                      [this](const std::string& module, const ContainerLine& line) {
                        options.log.info("module/" + module, line.text);
                      },
                  .on_pulled = options.on_pulled,
                  .login = options.login}) {}

// ---- what the engine brings ------------------------------------------------------------------

void ContainerHost::State::changed() {
  tellEvents();
  lookAtWaiting();
  lookAtRequests();
  lookAtLeaving();
}

void ContainerHost::State::tellEvents() {
  std::map<std::string, Told> now;
  for (const ContainerStatus& one : containers.modules()) {
    if (one.module.empty()) continue;
    const Told& before = told[one.module];
    now[one.module] = {one.state, one.deaths};
    const auto say = [&](const char* kind, const std::string& text) {
      if (options.event) options.event(kind, one.module, text);
    };
    if (one.deaths > before.deaths) {
      options.log.error("module/" + one.module, "ended: " + one.reason);
      say("module.crashed", one.reason);
    }
    if (one.state == before.state) continue;
    if (one.state == ContainerState::kRunning) say("module.started", "container " + one.container);
    if (one.state == ContainerState::kFailed) say("module.failed", one.reason);
    if (one.state == ContainerState::kBackoff && one.deaths == before.deaths) {
      options.log.warn("module/" + one.module, one.reason);
      say("module.failed", one.reason);
    }
  }
  told = std::move(now);
}

void ContainerHost::State::lookAtLeaving() {
  if (change || leaving.empty()) return;
  std::set<std::string> there;
  for (const ContainerStatus& one : containers.modules()) there.insert(one.module);
  for (const std::string& module : std::set<std::string>(leaving)) {
    if (there.contains(module) || wishes.contains(module)) continue;
    leaving.erase(module);
    options.leave(module);
  }
}

// ---- one container ---------------------------------------------------------------------------

void ContainerHost::State::await(const std::string& module, ContainerState until, Done done) {
  Request& request = requests.emplace_back();
  request.module = module;
  request.until = until;
  request.done = std::move(done);
  request.deadline = std::make_unique<boost::asio::steady_timer>(options.control, kStartMax);
  request.deadline->async_wait([weak = weak_from_this(), timer = request.deadline.get()](
                                   const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || !self) return;
    const auto late =
        std::find_if(self->requests.begin(), self->requests.end(),
                     [timer](const Request& one) { return one.deadline.get() == timer; });
    if (late == self->requests.end()) return;
    const Done tell = std::move(late->done);
    const std::string why =
        "the container of " + late->module + " is not " + name(late->until) + " yet";
    self->requests.erase(late);
    tell(fail(Errc::kTimeout, why));
  });
  lookAtRequests();
}

void ContainerHost::State::lookAtRequests() {
  std::vector<std::pair<Done, Status>> answers;
  const auto engine = containers.engine();
  for (const ContainerStatus& now : containers.modules()) {
    for (auto one = requests.begin(); one != requests.end();) {
      const bool fits = one->module == now.module;
      const bool failed = now.state == ContainerState::kBackoff ||
                          now.state == ContainerState::kFailed || !engine.why.empty();
      if (!fits || (now.state != one->until && !failed)) {
        ++one;
        continue;
      }
      const std::string& why = now.reason.empty() ? engine.why : now.reason;
      answers.emplace_back(std::move(one->done),
                           now.state == one->until ? Status() : fail(Errc::kState, why));
      one = requests.erase(one);
    }
  }
  for (auto& [done, status] : answers) done(std::move(status));
}

void ContainerHost::State::setDesire(const std::string& module, Desire desire, Done done) {
  if (over) return done(fail(Errc::kState, "the host is shutting down"));
  if (change) return done(fail(Errc::kState, "another change is under way"));
  ContainerWish& wish = wishes.at(module);
  wish.spec.desire = desire;
  wish.wanted.desire = static_cast<WantedContainer::Desire>(desire);
  wantAll({}, wishes);
  await(module, desire == Desire::kRunning ? ContainerState::kRunning : ContainerState::kStopped,
        std::move(done));
}

ModuleStatus ContainerHost::State::moduleStatus(const ContainerWish& wish,
                                                const ContainerStatus* now) const {
  ModuleStatus out;
  out.name = wish.spec.name;
  out.id = wish.spec.id;
  out.version = wish.spec.version;
  out.placement = Placement::kContainer;
  const auto engine = containers.engine();
  const bool away = !engine.connected && !engine.why.empty();
  out.state = stateOf(now == nullptr ? ContainerState::kUnknown : now->state, away);
  if (now != nullptr) {
    out.restarts = now->restarts;
    out.deaths = now->deaths;
    out.last_exit = now->reason;
    out.started_wall_ns = now->started_wall_ns;
  }
  // For a deployment that is to come, or for a container that is made again.
  std::string progress = now == nullptr ? "" : now->progress;
  if (change && !change->images.empty() && change->images.back() == wish.spec.name)
    progress = change->progress;
  if (!progress.empty()) out.last_exit = "its image is pulled: " + progress;
  if (away && out.state == ModuleState::kRunning)
    out.complaint = "the container engine is away: " + engine.why;
  else if (away)
    out.last_exit = "the container engine is away: " + engine.why;
  return out;
}

// ---- ContainerHost ---------------------------------------------------------------------------

ContainerHost::ContainerHost(Options options)
    : state_(std::make_shared<State>(std::move(options))) {}
ContainerHost::~ContainerHost() = default;

void ContainerHost::apply(RuntimeTarget target, Applied applied) {
  state_->apply(std::move(target), std::move(applied));
}

ModuleHost::Turn ContainerHost::turn() const {
  if (state_->over) return Turn::kOver;
  return state_->change ? Turn::kTaken : state_->options.others.turn();
}

void ContainerHost::askHealth() { state_->options.others.askHealth(); }

void ContainerHost::restart(const std::string& name, Done done) {
  if (!has(name)) return state_->options.others.restart(name, std::move(done));
  if (const Status begun = state_->containers.restart(name); !begun) return done(begun);
  state_->await(name, ContainerState::kRunning, std::move(done));
}

void ContainerHost::stop(const std::string& name, Done done) {
  if (!has(name)) return state_->options.others.stop(name, std::move(done));
  state_->setDesire(name, Desire::kStopped, std::move(done));
}

void ContainerHost::start(const std::string& name, Done done) {
  if (!has(name)) return state_->options.others.start(name, std::move(done));
  state_->setDesire(name, Desire::kRunning, std::move(done));
}

void ContainerHost::move(const std::string& name, Placement placement, const std::string& reason,
                         Done done) {
  if (has(name) || placement == Placement::kContainer)
    return done(fail(Errc::kUnsupported,
                     "a container is made of an image and a module of a bundle; deploy \"" + name +
                         "\" with the other one to change what it runs as"));
  state_->options.others.move(name, placement, reason, std::move(done));
}

ModuleHost::Room ContainerHost::roomFor(const RuntimeTarget& target) const {
  return state_->options.others.roomFor(othersOf(target));
}

Status ContainerHost::check(const RuntimeTarget& target) {
  if (const auto late = lateContainers(target); !late) return late.error();
  return state_->options.others.check(othersOf(target));
}

void ContainerHost::saveAll(SavedAll saved) {
  state_->rested = true;
  state_->options.others.saveAll(std::move(saved));
}

void ContainerHost::resume() {
  state_->rested = false;
  state_->options.others.resume();
}

void ContainerHost::shutDown(std::function<void()> done) {
  State& state = *state_;
  state.over = true;
  if (state.change) state.end(fail(Errc::kState, "the host is shutting down"));
  const auto end_others = [&others = state.options.others, done = std::move(done)] {
    others.shutDown(done);
  };
  if (state.rested || state.wishes.empty()) return end_others();
  state.containers.stopAll([&log = state.options.log, end_others](const Status& stopped) {
    if (!stopped)
      log.warn("containers", "containers run on, because the engine is away",
               {{"why", stopped.error().text}});
    end_others();
  });
}

Result<std::vector<std::shared_ptr<Shard>>> ContainerHost::shards() {
  return state_->options.others.shards();
}
Result<std::vector<hub::Routing*>> ContainerHost::serveTopics(hub::GatewayDesk* below) {
  return state_->options.others.serveTopics(below);
}
void ContainerHost::sendTelemetry(const std::string& principal, hub::DeviceMessage message,
                                  std::function<void(Status)> done) {
  state_->options.others.sendTelemetry(principal, std::move(message), std::move(done));
}
void ContainerHost::twinChanged(const std::string& principal, const std::string& patch) {
  state_->options.others.twinChanged(principal, patch);
}

std::vector<ModuleStatus> ContainerHost::modules() const {
  std::vector<ModuleStatus> all = state_->options.others.modules();
  const std::vector<ContainerStatus> there = state_->containers.modules();
  ContainerWishes wishes = state_->wishes;
  if (state_->change) wishes.insert(state_->change->wishes.begin(), state_->change->wishes.end());
  for (const auto& [name, wish] : wishes) {
    const auto found = std::find_if(there.begin(), there.end(),
                                    [&name](const auto& one) { return one.module == name; });
    all.push_back(state_->moduleStatus(wish, found == there.end() ? nullptr : &*found));
  }
  for (const auto& [name, why] : state_->refused) {
    ModuleStatus out;
    out.name = name;
    out.id = why.first.id;
    out.version = why.first.version;
    out.placement = Placement::kContainer;
    out.state = ModuleState::kFailed;
    out.last_exit = why.second;
    all.push_back(std::move(out));
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return all;
}

std::vector<RouteStatus> ContainerHost::routes() const { return state_->options.others.routes(); }
DropCounts ContainerHost::dropped() const { return state_->options.others.dropped(); }
std::size_t ContainerHost::loadsUsed() const { return state_->options.others.loadsUsed(); }
std::size_t ContainerHost::loadsMax() const { return state_->options.others.loadsMax(); }

void ContainerHost::collect(MetricWriter& out) const {
  state_->options.others.collect(out);
  if (state_->wishes.empty()) return;
  out.gauge("kante_container_engine_connected", "1 while the container engine answers.", {},
            engine().connected ? 1 : 0);
  for (const ModuleStatus& module : modules()) {
    if (module.placement != Placement::kContainer) continue;
    out.counter("kante_module_restarts_total", "Lives that a module began again.",
                {{"module", module.name}}, module.restarts);
    out.gauge("kante_module_running", "1 while the module runs.", {{"module", module.name}},
              module.state == ModuleState::kRunning ? 1 : 0);
  }
}

bool ContainerHost::has(const std::string& module) const { return state_->wishes.contains(module); }
ContainerModules::EngineStatus ContainerHost::engine() const { return state_->containers.engine(); }
void ContainerHost::sweepImages(const std::set<std::string>& pulled,
                                const std::set<std::string>& kept, ContainerModules::Swept swept) {
  state_->containers.sweepImages(pulled, kept, std::move(swept));
}
bool ContainerHost::isUsed() const { return !state_->wishes.empty(); }

}  // namespace kante
