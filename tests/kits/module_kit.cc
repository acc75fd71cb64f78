#include "tests/kits/module_kit.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <future>

#include "tests/support/eventually.h"

namespace kante {

// ---- upstream ----

DurableSink::Offer KitUpstream::offer(const MessageRef& message, const Hop& hop,
                                      std::uint8_t priority, std::uint32_t ttl_s,
                                      Committed committed) {
  if (busy_.load()) return Offer::kBusy;
  if (full_.load()) return Offer::kFull;
  {
    const std::lock_guard lock(mutex_);
    taken_.push_back({std::string(message.view().body()), hop.source->telemetry_name,
                      message.view().id(), static_cast<int>(hop.hops), priority, ttl_s});
  }
  if (committed) committed(true);
  return Offer::kTaken;
}

void KitUpstream::onRoom(std::function<void()> waker) {
  {
    const std::lock_guard lock(mutex_);
    if (busy_.load()) return wakers_.push_back(std::move(waker));
  }
  waker();
}

void KitUpstream::setBusy(bool busy) {
  std::vector<std::function<void()>> wakers;
  {
    const std::lock_guard lock(mutex_);
    busy_.store(busy);
    if (!busy) wakers.swap(wakers_);
  }
  for (const auto& waker : wakers) waker();
}

std::size_t KitUpstream::count() const {
  const std::lock_guard lock(mutex_);
  return taken_.size();
}

std::vector<KitUpstream::Taken> KitUpstream::taken() const {
  const std::lock_guard lock(mutex_);
  return taken_;
}

std::vector<std::uint64_t> KitUpstream::numbers(const std::string& source) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::uint64_t> out;
  for (const Taken& one : taken_) {
    if (one.source == source) out.push_back(std::strtoull(one.body.c_str(), nullptr, 10));
  }
  return out;
}

// ---- services ----

void KitServices::report(const std::string& module, const MessageRef& patch, Answer answer) {
  if (hold_answers) return held.push_back(std::move(answer));
  reported[module] = std::string(patch.view().body());
  answer(KANTE_OK, MessageRef(), 1);
}

void KitServices::storageGet(const std::string& module, const std::string& key, Answer answer) {
  if (hold_answers) return held.push_back(std::move(answer));
  const auto at = values.find(module + " " + key);
  if (at == values.end()) return answer(KANTE_E_NOT_FOUND, MessageRef(), 0);
  answer(KANTE_OK, at->second, 0);
}

void KitServices::storagePut(const std::string& module, const std::string& key,
                             const MessageRef& value, Answer answer) {
  values[module + " " + key] = value;
  answer(KANTE_OK, MessageRef(), 0);
}

void KitServices::storageErase(const std::string& module, const std::string& key, Answer answer) {
  values.erase(module + " " + key);
  answer(KANTE_OK, MessageRef(), 0);
}

void KitServices::invoke(const std::string&, const std::string& target, const std::string& name,
                         const MessageRef& arguments, std::uint32_t, Answer answer) {
  if (hold_answers) return held.push_back(std::move(answer));
  const auto served = methods[target.substr(target.find('/') + 1)].lock();
  if (!served) return answer(KANTE_E_NOT_FOUND, MessageRef(), 404);
  calls[++last_call] = [answer](int status, const std::string& body) {
    auto result = jsonMessage(body);
    answer(KANTE_OK, *result, static_cast<std::uint64_t>(status));
  };
  (*served)(last_call, name, arguments);
}

void KitServices::reply(std::uint64_t call, int status, const MessageRef& result) {
  auto waiting = calls.extract(call);
  if (!waiting.empty()) {
    waiting.mapped()(status, result ? std::string(result.view().body()) : std::string());
  }
}

std::pair<MessageRef, std::uint64_t> KitServices::desiredAtStart(const std::string& module) {
  const auto at = desired.find(module);
  if (at == desired.end()) return {};
  return {*jsonMessage(at->second.first), at->second.second};
}

std::shared_ptr<void> KitServices::subscribeDesired(const std::string& module, OnDesired callback) {
  on_desired[module] = std::make_shared<OnDesired>(std::move(callback));
  return on_desired[module];
}

std::shared_ptr<void> KitServices::serveMethods(const std::string& module, OnMethod callback) {
  auto served = std::make_shared<OnMethod>(std::move(callback));
  methods[module] = served;
  return served;
}

// ---- kit ----

std::vector<PlacementUnderTest> placementsUnderTest() {
  std::vector<PlacementUnderTest> all = {inProcess(), apart()};
#ifdef KANTE_KIT_RUNNERS
  static const bool there = SandboxLives::areThere();
  if (there) {
    all.push_back(
        {"Sandbox", Placement::kSandbox, makeModuleHost, PlacementUnderTest::Lives::kInRunners});
  }
#endif
  return all;
}

FileDescriptor sealedFile(const std::string& path) {
  auto bytes = readFile(path, 64u << 20);
  KANTE_ASSERT(bytes.has_value());
  FileDescriptor memory(::memfd_create("kit", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  KANTE_ASSERT(memory && writeAll(memory.get(), *bytes).has_value());
  ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  return memory;
}

std::string kitLibrary(const std::string& library) {
  return std::string(KANTE_KIT_MODULES) + "/" + library + ".so";
}

FileDescriptor sealedLibrary(const std::string& library) { return sealedFile(kitLibrary(library)); }

ModuleKit::ModuleKit(const PlacementUnderTest& placement, const Options& options)
    : placement_(placement.placement) {
  follower_ = log.follow([this](const LogLine& line) {
    const std::lock_guard lock(mutex_);
    lines_.emplace_back(line.who, line.text);
  });
  ModuleHostOptions host;
  host.gateway_id = "kit";
  host.shards = options.shards;
  host.loads_max = options.loads_max;
  host.callback_warn_ms = options.callback_warn_ms;
  host.callback_limit_ms = options.callback_limit_ms;
  host.health_ms = options.health_ms;
  host.control = &io_;
  host.log = &log;
  host.services = &services;
  host.crash_page = crash_page.get();
  host.upstream = &upstream;
  devices_ = std::move(*DeviceOpener::make(io_, log, -1));
  host.devices = devices_.get();
  if (!options.data_dir.empty()) {
    StoreOptions where;
    where.directory = options.data_dir + "/store";
    where.max_bytes = 64u << 20;
    auto opened = Store::open(where, clock_, log);
    KANTE_ASSERT(opened.has_value());
    store_ = std::move(*opened);
    host.store = store_.get();
    host.door = std::make_shared<StoreDoor>(*store_);
  }
  host.load = [](const std::string& digest, const std::string& id) {
    return LoadedModule::load(sealedLibrary(digest.substr(0, digest.find('#'))), id);
  };
  host.sandbox = [this](const ModuleSpec& spec,
                        Shard& shard) -> Result<std::shared_ptr<ModuleLife>> {
    KANTE_TRY(library, LoadedModule::load(
                           sealedLibrary(spec.digest.substr(0, spec.digest.find('#'))), spec.id));
    return std::shared_ptr<ModuleLife>(far.make(spec.name, std::move(library), shard));
  };
  if (placement.lives == PlacementUnderTest::Lives::kInRunners) {
    onControl([this] { sandbox_ = std::make_unique<SandboxLives>(io_, log); });
    host.sandbox = [this](const ModuleSpec& spec, Shard& shard) {
      const std::string library = spec.digest.substr(0, spec.digest.find('#'));
      return sandbox_->make({spec.name, spec.id, kitLibrary(library), spec.defer_max_s}, shard);
    };
  }
  host.event = [this](const std::string& kind, const std::string& module, const std::string&) {
    const std::lock_guard lock(mutex_);
    events_.push_back(kind + " " + module);
  };
  onControl([&] { host_ = placement.host(std::move(host)); });
}

ModuleKit::~ModuleKit() {
  if (host_) shutDown();
  destroyHost();
  onControl([this] { sandbox_.reset(); });
  work_.reset();
  io_.stop();
  control_.join();
}

void ModuleKit::onControl(const std::function<void()>& task) {
  // Shared: set_value() may still be at work when wait() returns.
  const auto done = std::make_shared<std::promise<void>>();
  boost::asio::post(io_, [&task, done] {
    task();
    done->set_value();
  });
  done->get_future().wait();
}

ModuleSpec ModuleKit::spec(const std::string& name, const std::string& library,
                           const std::string& config, const std::string& copy) const {
  ModuleSpec spec;
  spec.name = name;
  spec.digest = "kit-" + library + (copy.empty() ? "" : "#" + copy);
  spec.id = "dev.kante.kit-" + library;
  spec.version = "1.0.0";
  spec.placement = placement_;
  spec.config = config;
  if (library == "relay" || library == "life" || library == "crash" || library == "settler")
    spec.inputs = {"in"};
  if (library != "crash") spec.outputs = {"out"};
  if (library == "source") spec.outputs.emplace_back("other");
  return spec;
}

RouteSpec ModuleKit::route(const std::string& from, const std::string& to) {
  const auto part = [](const std::string& path, int which) {
    const std::size_t slash = path.find('/');
    return which == 0 ? path.substr(0, slash) : path.substr(slash + 1);
  };
  RouteSpec route;
  route.name = from + "-" + to;
  std::replace(route.name.begin(), route.name.end(), '/', '_');
  route.text = "FROM /messages/modules/" + part(from, 0) + "/outputs/" + part(from, 1) + " INTO ";
  if (to == "$upstream") {
    route.text += to;
  } else {
    route.text += "BrokeredEndpoint(\"/modules/" + part(to, 0) + "/inputs/" + part(to, 1) + "\")";
  }
  return route;
}

Result<ApplyReport> ModuleKit::apply(RuntimeTarget target) {
  const auto applied = std::make_shared<std::promise<Result<ApplyReport>>>();
  onControl([&] {
    host_->apply(std::move(target),
                 [applied](Result<ApplyReport> result) { applied->set_value(std::move(result)); });
  });
  return applied->get_future().get();
}

ModuleHost::Turn ModuleKit::turn() {
  ModuleHost::Turn turn{};
  onControl([&] { turn = host_->turn(); });
  return turn;
}

Status ModuleKit::operate(void (ModuleHost::*operation)(const std::string&, ModuleHost::Done),
                          const std::string& name) {
  const auto done = std::make_shared<std::promise<Status>>();
  onControl([&] {
    ((*host_).*operation)(name, [done](Status status) { done->set_value(std::move(status)); });
  });
  return done->get_future().get();
}

Status ModuleKit::restart(const std::string& name) { return operate(&ModuleHost::restart, name); }
Status ModuleKit::stop(const std::string& name) { return operate(&ModuleHost::stop, name); }
Status ModuleKit::start(const std::string& name) { return operate(&ModuleHost::start, name); }

Result<ModuleHost::Saved> ModuleKit::saveAll() {
  const auto saved = std::make_shared<std::promise<Result<ModuleHost::Saved>>>();
  onControl([&] {
    host_->saveAll(
        [saved](Result<ModuleHost::Saved> result) { saved->set_value(std::move(result)); });
  });
  return saved->get_future().get();
}

void ModuleKit::resume() {
  onControl([&] { host_->resume(); });
}

ModuleHost::Room ModuleKit::roomFor(const RuntimeTarget& target) {
  ModuleHost::Room room = ModuleHost::Room::kEnough;
  onControl([&] { room = host_->roomFor(target); });
  return room;
}

Status ModuleKit::check(const RuntimeTarget& target) {
  Status checked;
  onControl([&] { checked = host_->check(target); });
  return checked;
}

void ModuleKit::shutDown() {
  const auto done = std::make_shared<std::promise<void>>();
  onControl([&] { host_->shutDown([done] { done->set_value(); }); });
  done->get_future().wait();
  destroyHost();
}

void ModuleKit::destroyHost() {
  onControl([&] { host_.reset(); });
}

std::optional<std::pair<int, std::string>> ModuleKit::call(const std::string& module,
                                                           const std::string& method,
                                                           const std::string& arguments) {
  auto answer = std::make_shared<std::promise<std::pair<int, std::string>>>();
  auto answered = answer->get_future();
  onControl([&] {
    const auto served = services.methods[module].lock();
    if (!served) return answer->set_value({404, ""});
    services.calls[++services.last_call] = [answer](int status, std::string body) {
      answer->set_value({status, std::move(body)});
    };
    (*served)(services.last_call, method, *jsonMessage(arguments));
  });
  if (answered.wait_for(std::chrono::seconds(20)) != std::future_status::ready) return std::nullopt;
  return answered.get();
}

void ModuleKit::desire(const std::string& module, const std::string& document,
                       std::uint64_t version) {
  onControl([&] {
    services.desired[module] = {document, version};
    const auto at = services.on_desired.find(module);
    if (at != services.on_desired.end()) (*at->second)(*jsonMessage(document), version);
  });
}

ModuleStatus ModuleKit::status(const std::string& module) {
  ModuleStatus found;
  onControl([&] {
    for (const ModuleStatus& status : host_->modules()) {
      if (status.name == module) found = status;
    }
  });
  return found;
}

std::uint64_t ModuleKit::dropped(const std::string& reason) {
  std::uint64_t count = 0;
  onControl([&] {
    const DropCounts counts = host_->dropped();
    if (const auto at = counts.find(reason); at != counts.end()) count = at->second;
  });
  return count;
}

RouteStatus ModuleKit::routeStatus(const std::string& name) {
  RouteStatus found;
  onControl([&] {
    for (const RouteStatus& status : host_->routes()) {
      if (status.name == name) found = status;
    }
  });
  return found;
}

std::vector<std::string> ModuleKit::lines(const std::string& module) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [who, text] : lines_) {
    if (who == "module/" + module) out.push_back(text);
  }
  return out;
}

std::size_t ModuleKit::times(const std::string& module, const std::string& text) const {
  const auto all = lines(module);
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(),
                    [&](const std::string& line) { return line.find(text) != std::string::npos; }));
}

bool ModuleKit::saw(const std::string& module, const std::string& text) const {
  return times(module, text) > 0;
}

bool ModuleKit::sees(const std::string& module, const std::string& text) const {
  return eventually([&] { return saw(module, text); });
}

std::vector<InspectedMessage> ModuleKit::inspect(const std::string& queue) {
  const auto found = store_->find(queue);
  if (found.has_error()) return {};
  std::promise<std::vector<InspectedMessage>> messages;
  (*found)->inspect(100'000, [&](Result<std::vector<InspectedMessage>> result) {
    messages.set_value(result.has_value() ? *result : std::vector<InspectedMessage>());
  });
  return messages.get_future().get();
}

RouteSpec ModuleKit::durable(RouteSpec route) {
  route.durable = true;
  return route;
}

std::vector<std::string> ModuleKit::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

}  // namespace kante
