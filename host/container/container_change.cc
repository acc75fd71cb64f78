// From what runs to what should, of a deployment that has containers.
#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "host/base/clock.h"
#include "host/base/json.h"
#include "host/base/log.h"
#include "host/container/container_host_state.h"

namespace kante {
namespace {

bool isContainer(const ModuleSpec& spec) { return spec.placement == Placement::kContainer; }

Error ofModule(const std::string& module, const Error& why) {
  return fail(why.code, "module " + module + ": " + why.text);
}

}  // namespace

std::vector<ModuleSpec> containersOf(const RuntimeTarget& target) {
  std::vector<ModuleSpec> out;
  std::copy_if(target.modules.begin(), target.modules.end(), std::back_inserter(out), isContainer);
  return out;
}

RuntimeTarget othersOf(RuntimeTarget target) {
  std::set<std::string> containers;
  for (const ModuleSpec& spec : containersOf(target)) containers.insert(spec.name);
  std::erase_if(target.modules, isContainer);
  for (ModuleSpec& spec : target.modules)
    std::erase_if(spec.start_after,
                  [&](const std::string& name) { return containers.contains(name); });
  return target;
}

Result<std::set<std::string>> lateContainers(const RuntimeTarget& target) {
  std::map<std::string, const ModuleSpec*> all;
  for (const ModuleSpec& spec : target.modules) all[spec.name] = &spec;
  std::set<std::string> late;
  for (bool grown = true; grown;) {
    grown = false;
    for (const auto& [name, spec] : all) {
      if (!isContainer(*spec) || late.contains(name)) continue;
      grown = std::any_of(spec->start_after.begin(), spec->start_after.end(), [&](const auto& one) {
        const auto found = all.find(one);
        return late.contains(one) || (found != all.end() && !isContainer(*found->second));
      });
      if (!grown) continue;
      late.insert(name);
      break;
    }
  }
  for (const auto& [name, spec] : all) {
    if (isContainer(*spec)) continue;
    for (const std::string& one : spec->start_after)
      if (late.contains(one))
        return fail(Errc::kUnsupported,
                    "module " + name + " waits for the container " + one +
                        ", which waits for a module of this host itself; take one of the two out "
                        "of start_after");
  }
  return late;
}

// ---- before anything starts ------------------------------------------------------------------

void ContainerHost::State::apply(RuntimeTarget target, Applied applied) {
  if (over) return applied(fail(Errc::kState, "the host is shutting down"));
  if (change) return applied(fail(Errc::kState, "another change is under way"));
  if (wishes.empty() && leaving.empty() && refused.empty() && containersOf(target).empty())
    return applyOthers(std::move(target), std::move(applied));
  change = std::make_unique<Change>(options.control);
  ++change_n;
  change->applied = std::move(applied);
  change->others = othersOf(target);
  if (const Status prepared = prepare(target); !prepared) return takeBack(prepared.error());
  for (const auto& [name, wish] : change->wishes)
    if (isNew(name) && wish.spec.desire == Desire::kRunning && !mayBackOff(name))
      change->images.push_back(name);
  if (change->images.empty()) return firstContainers();
  connect();
}

// No engine is needed, or looked for.
void ContainerHost::State::applyOthers(RuntimeTarget target, Applied applied) {
  auto shared = std::make_shared<const RuntimeTarget>(std::move(target));
  options.others.apply(*shared, [weak = weak_from_this(), shared,
                                 applied = std::move(applied)](Result<ApplyReport> report) {
    if (const auto self = weak.lock(); self && report) self->keepOthers(*shared);
    applied(std::move(report));
  });
}

void ContainerHost::State::keepOthers(RuntimeTarget applied) {
  others = std::move(applied);
  others.states.clear();
  others.may_back_off.clear();
  others.goes_back = others.beyond_loads_max = false;
}

Status ContainerHost::State::prepare(const RuntimeTarget& target) {
  KANTE_TRY(late, lateContainers(target));
  change->late = std::move(late);
  for (const ModuleSpec& spec : containersOf(target)) KANTE_CHECK(takeIn(spec));
  return {};
}

// At a start of the gateway one for which something is missing does not keep the others down.
Status ContainerHost::State::takeIn(const ModuleSpec& spec) {
  if (!wishes.contains(spec.name)) change->entered.insert(spec.name);
  auto wish = wishFor(spec);
  if (wish) {
    change->wishes.emplace(spec.name, std::move(*wish));
    return {};
  }
  const Error why = ofModule(spec.name, wish.error());
  if (!mayBackOff(spec.name)) return why;
  options.log.error("containers", why.text);
  if (options.event) options.event("module.failed", spec.name, wish.error().text);
  change->refused.emplace(spec.name, std::make_pair(spec, wish.error().text));
  change->late.erase(spec.name);
  return {};
}

Result<ContainerWish> ContainerHost::State::wishFor(const ModuleSpec& spec) {
  leaving.erase(spec.name);
  KANTE_TRY(place, options.enter(spec));
  CreateOrder order;
  order.gateway = options.gateway;
  order.module = spec.name;
  order.image = spec.container.image;
  order.env = spec.container.env;
  KANTE_TRY(create, parseJsonObject(spec.container.create_options, {1u << 20, 32}));
  order.create_options = std::move(create);
  order.memory_mb = spec.limits.memory_mb;
  order.cpu_percent = spec.limits.cpu_percent;
  order.threads = spec.limits.threads;
  order.grants = spec.container.grants;
  order.pointer = jsonPointer("/modules", spec.name);
  order.network = place.network;
  order.environment = std::move(place.environment);
  order.binds = std::move(place.binds);
  order.hosts = std::move(place.hosts);
  ContainerWish wish;
  wish.spec = spec;
  KANTE_TRY(body, makeCreateBody(order));
  wish.wanted.module = spec.name;
  wish.wanted.image = spec.container.image;
  wish.wanted.body = std::move(body);
  wish.wanted.restart = static_cast<WantedContainer::Restart>(spec.restart);
  wish.wanted.pull = static_cast<WantedContainer::Pull>(spec.container.pull);
  wish.wanted.desire = static_cast<WantedContainer::Desire>(spec.desire);
  wish.wanted.stop_s = (spec.stop_ms + 999) / 1000;
  return wish;
}

// Whether its container has to be made or begun.
bool ContainerHost::State::isNew(const std::string& module) const {
  const auto before = wishes.find(module);
  if (before == wishes.end()) return true;
  const WantedContainer& was = before->second.wanted;
  const WantedContainer& is = change->wishes.at(module).wanted;
  return was.body.spec != is.body.spec || was.desire != is.desire;
}

bool ContainerHost::State::mayBackOff(const std::string& module) const {
  return change->others.on_start_failure == OnStartFailure::kBackOff ||
         change->others.may_back_off.contains(module);
}

// ---- images ----------------------------------------------------------------------------------

// Asked by itself: nothing may have needed the engine yet.
void ContainerHost::State::connect() {
  change->call = options.engine.connect([this](const Result<EngineFacts>& facts) {
    if (!facts)
      return takeBack(
          ofModule(change->images.back(), within("a container needs an engine", facts.error())));
    getImages();
  });
}

void ContainerHost::State::getImages() {
  if (change->images.empty()) return firstContainers();
  const std::string module = change->images.back();
  const WantedContainer& wanted = change->wishes.at(module).wanted;
  change->call =
      options.engine.inspectImage(wanted.image, [this, module](const Result<ImageFacts>& image) {
        const WantedContainer& one = change->wishes.at(module).wanted;
        if (image) return gotImage(module, {});
        if (image.error().code != Errc::kNotFound) return gotImage(module, image.error());
        if (one.pull == WantedContainer::Pull::kNever)
          return gotImage(module, fail(Errc::kNotFound,
                                       "image " + one.image +
                                           " is not there and is never pulled; load it into the "
                                           "engine"));
        const auto login = loginFor(options.login, one.image);
        if (!login) return gotImage(module, login.error());
        options.log.info("module/" + module, "its image is pulled", {{"image", one.image}});
        change->call = options.engine.pullImage(
            one.image, *login ? &**login : nullptr,
            [this](const PullProgress& step) { change->progress = textOf(step); },
            [this, module](const Status& pulled) {
              if (pulled && options.on_pulled)
                options.on_pulled(change->wishes.at(module).wanted.image);
              gotImage(module, pulled);
            });
      });
}

void ContainerHost::State::gotImage(const std::string& module, const Status& got) {
  change->call.reset();
  change->progress.clear();
  if (!got) return takeBack(ofModule(module, got.error()));
  change->images.pop_back();
  getImages();
}

// ---- containers, the others, containers ------------------------------------------------------

void ContainerHost::State::firstContainers() {
  wantAll(change->late, change->wishes);
  std::set<std::string> first;
  for (const auto& [name, wish] : change->wishes)
    if (!change->late.contains(name) && isNew(name)) first.insert(name);
  waitFor(first, &State::switchOthers);
}

void ContainerHost::State::switchOthers() {
  options.others.apply(change->others,
                       [weak = weak_from_this(), n = change_n](Result<ApplyReport> report) {
                         const auto self = weak.lock();
                         if (!self || !self->change || self->change_n != n) return;
                         if (!report) return self->takeBack(report.error());
                         self->change->report = std::move(*report);
                         self->lastContainers();
                       });
}

void ContainerHost::State::lastContainers() {
  std::set<std::string> last;
  for (const std::string& name : change->late)
    if (isNew(name)) last.insert(name);
  if (!last.empty()) wantAll({}, change->wishes);
  waitFor(last, &State::finish);
}

// All that are in `wishes` or were before; those that are not yet to change stay as they were.
void ContainerHost::State::wantAll(const std::set<std::string>& not_yet,
                                   const ContainerWishes& next) {
  std::vector<WantedContainer> all;
  for (const auto& [name, wish] : next)
    if (!not_yet.contains(name)) all.push_back(wish.wanted);
  for (const auto& [name, wish] : wishes)
    if (not_yet.contains(name) || !next.contains(name)) all.push_back(wish.wanted);
  asked = true;
  if (const Status wanted = containers.want(std::move(all)); !wanted)
    options.log.error("containers", wanted.error().text);
}

void ContainerHost::State::waitFor(const std::set<std::string>& modules, void (State::*then)()) {
  change->waiting = modules;
  std::erase_if(change->waiting, [this](const std::string& name) {
    return change->wishes.at(name).spec.desire == Desire::kStopped;
  });
  if (change->waiting.empty()) return (this->*then)();
  change->then = then;
  const bool patient = change->others.on_start_failure == OnStartFailure::kRefuse;
  change->deadline.expires_after(patient ? kStartMax : kPatience);
  change->deadline.async_wait(
      [weak = weak_from_this(), n = change_n](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (error || !self || !self->change || self->change_n != n) return;
        const std::string late = *self->change->waiting.begin();
        if (!self->mayBackOff(late))
          return self->goBack(ofModule(late, fail(Errc::kTimeout, "its container does not run")));
        self->change->waiting.clear();
        self->lookAtWaiting();
      });
  lookAtWaiting();
}

// At a start of the gateway it may go on starting while the others run.
bool ContainerHost::State::hasSettled(const ContainerStatus& now) {
  if (mayBackOff(now.module)) return true;
  constexpr std::int64_t kSettleNs = std::chrono::nanoseconds(kSettle).count();
  const std::int64_t now_ns = options.clock.bootNs();
  const auto since = change->running_since_ns.emplace(now.module, now_ns).first->second;
  if (now_ns - since >= kSettleNs) return true;
  change->settle.expires_after(std::chrono::nanoseconds(kSettleNs - (now_ns - since)));
  change->settle.async_wait(
      [weak = weak_from_this(), n = change_n](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (!error && self && self->change && self->change_n == n) self->lookAtWaiting();
      });
  return false;
}

void ContainerHost::State::lookAtWaiting() {
  if (!change || change->then == nullptr) return;
  const auto engine = containers.engine();
  for (const ContainerStatus& now : containers.modules()) {
    if (!change->waiting.contains(now.module)) continue;
    const ContainerWish& wish = change->wishes.at(now.module);
    const bool runs = now.state == ContainerState::kRunning && now.spec == wish.wanted.body.spec &&
                      hasSettled(now);
    // One that has done what it is for.
    const bool did = now.state == ContainerState::kStopped && now.deaths > 0;
    const bool failed = now.state == ContainerState::kBackoff ||
                        now.state == ContainerState::kFailed || !engine.why.empty();
    if (failed && !mayBackOff(now.module))
      return goBack(
          ofModule(now.module, fail(Errc::kState, now.reason.empty() ? engine.why : now.reason)));
    const bool waits = now.state == ContainerState::kPulling;  // For long, maybe.
    if (runs || did || failed || (waits && mayBackOff(now.module)))
      change->waiting.erase(now.module);
  }
  if (!change->waiting.empty()) return;
  change->deadline.cancel();
  (this->*std::exchange(change->then, nullptr))();
}

// ---- the end ---------------------------------------------------------------------------------

// The others may have switched already.
void ContainerHost::State::goBack(const Error& why) {
  change->deadline.cancel();
  const bool switched = change->then == &State::finish;
  change->then = nullptr;
  if (!switched) return takeBack(why);
  RuntimeTarget before = others;
  before.states = std::move(change->report.states);
  before.goes_back = true;
  before.on_start_failure = OnStartFailure::kBackOff;
  before.beyond_loads_max = true;
  options.others.apply(before, [weak = weak_from_this(), n = change_n,
                                why](const Result<ApplyReport>& report) {
    const auto self = weak.lock();
    if (!self || !self->change || self->change_n != n) return;
    if (report) return self->takeBack(why);
    self->takeBack(fail(
        why.code, why.text + "; and what ran before did not come back: " + report.error().text));
  });
}

void ContainerHost::State::takeBack(const Error& why) {
  change->call.reset();
  std::vector<WantedContainer> before;
  for (const auto& [name, wish] : wishes) before.push_back(wish.wanted);
  if (asked) (void)containers.want(std::move(before));
  leaving.insert(change->entered.begin(), change->entered.end());
  end(why);
  lookAtLeaving();
}

void ContainerHost::State::finish() {
  ApplyReport report = std::move(change->report);
  for (const auto& [name, wish] : change->wishes) {
    const auto before = wishes.find(name);
    if (wish.spec.desire == Desire::kStopped) {
      if (before != wishes.end() && before->second.spec.desire == Desire::kRunning)
        report.stopped.push_back(name);
      continue;
    }
    auto& list = before == wishes.end() ? report.started
                 : isNew(name)          ? report.replaced
                                        : report.untouched;
    list.push_back(name);
  }
  for (const auto& [name, wish] : wishes) {
    if (change->wishes.contains(name)) continue;
    report.stopped.push_back(name);
    leaving.insert(name);
  }
  wishes = std::move(change->wishes);
  refused = std::move(change->refused);
  keepOthers(std::move(change->others));
  wantAll({}, wishes);
  end(std::move(report));
  lookAtLeaving();
}

void ContainerHost::State::end(Result<ApplyReport> result) {
  const std::unique_ptr<Change> ended = std::move(change);
  ended->applied(std::move(result));
}

}  // namespace kante
