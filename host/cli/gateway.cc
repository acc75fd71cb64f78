#include "host/cli/gateway.h"

#include <fmt/format.h>

#include "host/cli/gateway_state.h"

namespace kante::cli {
namespace {

constexpr std::chrono::seconds kDrainMax{30};  // For modules to end.
constexpr std::chrono::seconds kFlushMax{2};   // For the uplink to send what is left.
constexpr std::chrono::milliseconds kFlushLook{20};
// The same when the next life begins at once: what it finds unacknowledged it sends again.
constexpr std::chrono::milliseconds kHandoverFlushMax{200};

std::int64_t monotonicUs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

}  // namespace

Result<std::unique_ptr<Gateway>> Gateway::open(asio::io_context& control, Log& log,
                                               Options options) {
  auto state = std::make_unique<State>(control, log, std::move(options));
  const Status opened = [&state]() -> Status {
    KANTE_CHECK(state->openDisk());
    KANTE_CHECK(state->openModules());
    KANTE_CHECK(state->openAgent());
    return state->openApi();
  }();
  if (opened) return std::unique_ptr<Gateway>(new Gateway(std::move(state)));
  if (state->options.next_life && state->noteTrialFailed(opened.error()))
    state->options.next_life();
  return opened.error();
}

Gateway::Gateway(std::unique_ptr<State> state) : state_(std::move(state)) {}
Gateway::~Gateway() = default;

Status Gateway::start(std::function<void(Status)> ready) {
  State& state = *state_;
  const Status started = state.startParts(std::move(ready));
  if (started || !state.options.next_life || !state.noteTrialFailed(started.error()))
    return started;
  state.post([&state] { state.options.next_life(); });
  return {};
}

Status Gateway::State::startParts(std::function<void(Status)> ready) {
  State* state = this;
  state->methods->expectMore("the host starts its modules; try again in a second");
  KANTE_CHECK(state->api->start());
  if (state->uplink) KANTE_CHECK(state->uplink->start());
  if (state->hub) KANTE_CHECK(state->hub->start());
  state->watch->start();
  state->startDeployment([state, ready = std::move(ready)](Status outcome) {
    if (state->hub) state->hub->serve();
    state->methods->everybodyCame();
    state->watch->look();
    reportDistrust(*state->modules, *state->distrust, state->events);
    state->update->started(outcome);
    state->documents->start();
    ready(std::move(outcome));
  });
  return {};
}

// What is stored comes up first, so that a newer file is a change like any other and can be taken
// back.
void Gateway::State::startDeployment(std::function<void(Status)> ready) {
  // A file that needs another life for itself must not ask for one in each.
  const bool may_apply = !options.deployment_file.empty() && !agent->wasHandedOver();
  agent->start([this, may_apply, ready = std::move(ready)](Result<ApplyOutcome> outcome) mutable {
    const bool none = !outcome && outcome.error().code == Errc::kNotFound;
    if (!outcome && !none) log.error("agent", outcome.error().text);
    if (may_apply) return applyFile(std::move(ready));
    if (none) log.info("agent", "nothing is deployed yet; kante deploy apply FILE does it");
    ready(outcome || none ? Status() : Status(outcome.error()));
  });
}

// Modules of who is not trusted any more are told of, and stopped where that is asked for.
void Gateway::State::trustChanged() {
  distrust->forget();
  reportDistrust(*modules, *distrust, events);
  agent->reconsider();
}

void Gateway::State::applyFile(std::function<void(Status)> ready) {
  const std::string& file = options.deployment_file;
  const auto text = readFile(file, kDeploymentBytesMax);
  const auto parsed = text ? parseDeployment(*text) : Result<Deployment>(text.error());
  if (!parsed) return ready(within(file, parsed.error()));
  const DeploymentStatus stored = agent->status();
  const bool newer = stored.id == parsed->id && parsed->version > stored.version;
  // One that never held, because the host ended meanwhile, is begun again.
  const bool holds = agent->document() != "null" || stored.state == DeploymentState::kFailed;
  if (holds && !newer) {
    if (stored.id != parsed->id || stored.version != parsed->version) {
      log.warn("agent",
               "the given deployment is left aside, because another one is stored; kante "
               "deploy apply replaces it",
               {{"given", parsed->id}, {"stored", stored.id}});
    }
    return ready({});
  }
  ApplyRequest request;
  request.document = *text;
  request.who = "gateway";
  request.base_directory = std::filesystem::absolute(file).parent_path();
  request.answer = ApplyRequest::Answer::kWhenItRuns;  // A start does not wait for a watch.
  agent->apply(std::move(request), [file, ready = std::move(ready)](Result<ApplyOutcome> outcome) {
    ready(outcome ? Status() : Status(within(file, outcome.error())));
  });
}

Agent::Handover Gateway::State::handover() {
  Agent::Handover out;
  if (!options.next_life) return out;
  out.begins = [this] {
    notifySupervisor(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", monotonicUs()));
    methods->pause("the host begins a new life; try again in a second");
  };
  out.resumes = [this] {
    methods->resume();
    notifySupervisor("READY=1");
  };
  out.leave = [this] {
    log.info("host", "this life ends; the next one goes on");
    next_life = true;
    leave(options.next_life);
  };
  return out;
}

void Gateway::stop(std::function<void()> done) {
  State& state = *state_;
  state.log.info("host", "stopping");
  if (state.leaving) {  // For the next life, which the next start is.
    state.stopped = std::move(done);
    return;
  }
  state.leave(std::move(done));
}

// Another process goes on with it, as the next life of this one would.
void Gateway::State::endWith(int exit_code) {
  if (leaving) return;
  log.info("host", "this version ends");
  next_life = true;
  leave([this, exit_code] { options.end(exit_code); });
}

void Gateway::State::leave(std::function<void()> done) {
  leaving = true;
  watch->stop();
  api->stop();
  stopped = std::move(done);
  timer.expires_after(kDrainMax);
  timer.async_wait([this](const boost::system::error_code& failed) {
    if (failed || drained) return;
    log.warn("host", "modules did not end in time and are left behind");
    afterDrain();
  });
  const auto end_modules = [this] { modules->shutDown([this] { afterDrain(); }); };
  if (!hub) return end_modules();
  hub->stop(end_modules);
}

// Called by the last module's end or by the deadline; whichever comes first goes on.
void Gateway::State::afterDrain() {
  if (std::exchange(drained, true)) return;
  flush(std::chrono::steady_clock::now() +
        (next_life ? kHandoverFlushMax : std::chrono::milliseconds(kFlushMax)));
}

// Until everything is acknowledged, the link is down or the time is over.
void Gateway::State::flush(std::chrono::steady_clock::time_point deadline) {
  timer.cancel();
  if (!uplink) return stopped();
  const UplinkStatus now = uplink->status();
  const bool all = now.in_flight == 0 && (next_life || now.backlog_messages == 0);
  if (all || now.state != "connected" || std::chrono::steady_clock::now() >= deadline) {
    if (!all) {
      log.info("uplink", "what was not sent stays in the store",
               {{"messages", std::to_string(now.backlog_messages)}});
    }
    uplink->stop();
    return stopped();
  }
  timer.expires_after(kFlushLook);
  timer.async_wait([this, deadline](const boost::system::error_code& failed) {
    if (!failed) flush(deadline);
  });
}

Agent& Gateway::agent() { return *state_->agent; }
ModuleHost& Gateway::modules() { return *state_->modules; }
Methods& Gateway::methods() { return *state_->methods; }
Twins& Gateway::twins() { return *state_->twins; }
EventLog& Gateway::events() { return state_->events; }
Store& Gateway::store() { return *state_->store; }
Uplink* Gateway::uplink() { return state_->uplink.get(); }
const StatusParts& Gateway::statusParts() const { return *state_->status; }

}  // namespace kante::cli
