#include "host/container/container_modules.h"

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <utility>

#include "host/container/container_life.h"

namespace kante {

namespace {
constexpr std::array kStateNames = {"unknown",  "pulling", "starting", "running",
                                    "stopping", "stopped", "backoff",  "failed"};
// Events that change what inspect() says.
constexpr std::array kTelling = {"start", "die",     "died",    "stop",   "kill",  "oom",
                                 "pause", "unpause", "destroy", "remove", "rename"};
}  // namespace

const char* name(ContainerState state) { return kStateNames.at(static_cast<std::size_t>(state)); }

std::string containerName(const std::string& gateway, const std::string& module) {
  return "kante-" + gateway + "-" + module;
}

struct ContainerModules::State : std::enable_shared_from_this<State> {
  explicit State(Options given)
      : options(std::move(given)),
        label(std::string(kGatewayLabel) + "=" + options.gateway),
        world{options, [this] { changed(); }, [this](const Error& error) { lost(error); }, facts},
        timer(options.control) {}

  void connect();
  void follow();
  void list();
  void listed(const std::vector<ContainerEntry>& there);
  void lost(const Error& error);
  void onEvent(const EngineEvent& event);
  void after(std::chrono::milliseconds wait, void (State::*next)());
  void changed();
  void tell();
  void sweepNext();
  ContainerLife& life(const std::string& container);

  const Options options;
  const std::string label;
  EngineFacts facts;
  const ContainerWorld world;
  std::map<std::string, std::shared_ptr<ContainerLife>> lives;  // By container name.
  bool begun = false;
  EngineStatus engine;
  Engine::Call call;  // Of the connection itself.
  Engine::Call events;
  boost::asio::steady_timer timer;  // The next attempt, or the next look at all.
  std::uint64_t timer_turn = 0;
  std::uint32_t attempts = 0;
  bool telling = false;
  Done stopped;
  std::vector<std::string> to_sweep, swept_images;
  Swept swept;
  Engine::Call sweeping;
};

// ---- the engine ------------------------------------------------------------------------------

void ContainerModules::State::after(std::chrono::milliseconds wait, void (State::*next)()) {
  timer.expires_after(wait);
  timer.async_wait([weak = weak_from_this(), next,
                    turn = ++timer_turn](const boost::system::error_code& failed) {
    const auto self = weak.lock();
    if (failed || !self || self->timer_turn != turn) return;
    (*self.*next)();
  });
}

void ContainerModules::State::connect() {
  call = options.engine.connect([this](const Result<EngineFacts>& found) {
    call.reset();
    if (!found) return lost(found.error());
    engine.version = found->version;
    facts = *found;
    follow();
  });
}

// Events first: what happens while the list is read is in one of them.
void ContainerModules::State::follow() {
  events = options.engine.events(
      label, [this] { list(); }, [this](const EngineEvent& event) { onEvent(event); },
      [this](const Status& end) {
        lost(end ? fail(Errc::kUnavailable, "the container engine ended its events") : end.error());
      });
}

void ContainerModules::State::list() {
  call = options.engine.listContainers(label, [this](Result<std::vector<ContainerEntry>> there) {
    call.reset();
    if (!there) return lost(there.error());
    listed(*there);
  });
}

void ContainerModules::State::listed(const std::vector<ContainerEntry>& there) {
  attempts = 0;
  if (!std::exchange(engine.connected, true)) changed();
  engine.why.clear();
  for (const auto& entry : there) life(entry.name);
  for (const auto& [container, one] : lives) one->look();
  after(options.look_again, &State::list);
}

void ContainerModules::State::lost(const Error& error) {
  call.reset();
  events.reset();
  for (const auto& [container, one] : lives) one->disconnect();
  engine.connected = false;
  engine.why = error.text;
  attempts = std::min(attempts + 1, 10u);
  after(std::chrono::milliseconds(std::min(ContainerLife::kBackoffFirstMs << (attempts - 1),
                                           ContainerLife::kBackoffLastMs)),
        &State::connect);
  changed();
}

void ContainerModules::State::onEvent(const EngineEvent& event) {
  if (!engine.connected) return;  // The list is on its way.
  const bool tells = std::find(kTelling.begin(), kTelling.end(), event.action) != kTelling.end();
  const auto found = lives.find(event.name);
  if (tells && found != lives.end()) found->second->look();
}

ContainerLife& ContainerModules::State::life(const std::string& container) {
  auto& one = lives[container];
  if (!one) one = std::make_shared<ContainerLife>(world, container);
  return *one;
}

// ---- telling ---------------------------------------------------------------------------------

void ContainerModules::State::changed() {
  if (std::exchange(telling, true)) return;
  boost::asio::post(options.control, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->tell();
  });
}

void ContainerModules::State::tell() {
  telling = false;
  std::erase_if(lives, [](const auto& one) { return one.second->isGone(); });
  if (stopped) {
    const bool resting = std::all_of(lives.begin(), lives.end(),
                                     [](const auto& one) { return one.second->isResting(); });
    if (!engine.connected)
      std::exchange(stopped, nullptr)(fail(Errc::kUnavailable, engine.why));
    else if (resting)
      std::exchange(stopped, nullptr)({});
  }
  if (options.changed) options.changed();
}

// ---- images ----------------------------------------------------------------------------------

void ContainerModules::State::sweepNext() {
  if (to_sweep.empty()) return std::exchange(swept, nullptr)(std::move(swept_images));
  const std::string image = to_sweep.back();
  to_sweep.pop_back();
  sweeping = options.engine.removeImage(image, [this, image](const Status& removed) {
    sweeping.reset();
    if (!removed && removed.error().code == Errc::kUnavailable)
      return std::exchange(swept, nullptr)(removed.error());
    if (removed || removed.error().code == Errc::kNotFound) swept_images.push_back(image);
    sweepNext();
  });
}

// ---- ContainerModules ------------------------------------------------------------------------

ContainerModules::ContainerModules(Options options)
    : state_(std::make_shared<State>(std::move(options))) {}
ContainerModules::~ContainerModules() = default;

Status ContainerModules::want(std::vector<WantedContainer> containers) {
  if (containers.size() > kModulesMax)
    return fail(Errc::kLimit, "at most " + std::to_string(kModulesMax) + " containers");
  std::map<std::string, WantedContainer> wanted;
  for (auto& one : containers) {
    const std::string container = containerName(state_->options.gateway, one.module);
    if (!wanted.emplace(container, std::move(one)).second)
      return fail(Errc::kInvalid, container + " is wanted twice");
  }
  for (const auto& [container, one] : state_->lives)
    if (!wanted.contains(container)) one->want(std::nullopt);
  for (auto& [container, one] : wanted) {
    const bool is_new = !state_->lives.contains(container);
    ContainerLife& life = state_->life(container);
    life.want(std::move(one));
    if (is_new && state_->engine.connected) life.look();
  }
  if (!std::exchange(state_->begun, true)) state_->connect();
  state_->changed();
  return {};
}

Status ContainerModules::restart(const std::string& module) {
  const auto found = state_->lives.find(containerName(state_->options.gateway, module));
  if (found == state_->lives.end() || !found->second->wanted())
    return fail(Errc::kNotFound, "no container module " + module);
  return found->second->restart();
}

void ContainerModules::stopAll(Done done) {
  state_->stopped = std::move(done);
  for (const auto& [container, one] : state_->lives) one->stop();
  state_->changed();
}

void ContainerModules::sweepImages(const std::set<std::string>& pulled,
                                   const std::set<std::string>& kept, Swept swept) {
  if (state_->swept) return swept(fail(Errc::kState, "images are being removed already"));
  std::set<std::string> used = kept;
  for (const auto& [container, one] : state_->lives)
    if (one->wanted()) used.insert(one->wanted()->image);
  state_->to_sweep.clear();
  state_->swept_images.clear();
  std::set_difference(pulled.begin(), pulled.end(), used.begin(), used.end(),
                      std::back_inserter(state_->to_sweep));
  state_->swept = std::move(swept);
  boost::asio::post(state_->options.control, [weak = state_->weak_from_this()] {
    if (const auto self = weak.lock()) self->sweepNext();
  });
}

std::vector<ContainerStatus> ContainerModules::modules() const {
  std::vector<ContainerStatus> out;
  for (const auto& [container, one] : state_->lives) out.push_back(one->status());
  return out;
}

ContainerModules::EngineStatus ContainerModules::engine() const { return state_->engine; }

}  // namespace kante
