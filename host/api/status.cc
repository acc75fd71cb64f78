#include "host/api/status.h"

#include <algorithm>
#include <boost/json/value.hpp>

#include "host/agent/agent.h"
#include "host/agent/documents.h"
#include "host/api/metrics_text.h"
#include "host/api/process_metrics.h"
#include "host/api/server.h"
#include "host/api/views.h"
#include "host/base/clock.h"
#include "host/base/events.h"
#include "host/base/json.h"
#include "host/base/trusted_clock.h"
#include "host/bundle/distrust.h"
#include "host/hub/gateways/children.h"
#include "host/hub/iothub/contract.h"
#include "host/hub/mqtt/broker.h"
#include "host/identity/registered_access.h"
#include "host/placement/module_host.h"
#include "host/store/store.h"
#include "host/uplink/uplink.h"

namespace kante {

namespace json = boost::json;

namespace {

constexpr const char* kDropReasons[] = {"ttl",    "overflow", "stalled", "store_full", "budget",
                                        "denied", "no_route", "loop",    "quarantine", "ended"};
constexpr double kStoreNearlyFull = 0.9;
constexpr JsonBounds kConfigBounds{1 << 20, 24};

double uptime(const StatusParts& parts) {
  return static_cast<double>(parts.clock.bootNs() - parts.started_boot_ns) / 1e9;
}

std::string distrustOf(const StatusParts& parts, const ModuleStatus& module) {
  if (parts.distrust == nullptr || module.digest.empty()) return {};
  return parts.distrust->why(module.digest);
}

void moduleProblems(const StatusParts& parts, std::vector<Problem>& out) {
  for (const ModuleStatus& module : parts.modules.modules()) {
    const std::string about = "module/" + module.name;
    const std::string why = module.last_exit.empty() ? "" : ": " + module.last_exit;
    const std::string look = "kante module logs " + module.name;
    if (module.state == ModuleState::kFailed) {
      out.push_back({Severity::kFail, about, "Module " + module.name + " has failed" + why,
                     look + ", then kante module restart " + module.name});
    } else if (module.state == ModuleState::kBackoff) {
      out.push_back({Severity::kWarn, about,
                     "Module " + module.name + " ended and waits to be started again" + why, look});
    }
    if (!module.complaint.empty()) {
      out.push_back({Severity::kWarn, about,
                     "Module " + module.name + " says that it is not well: " + module.complaint,
                     look});
    }
    if (const std::string doubt = distrustOf(parts, module); !doubt.empty()) {
      out.push_back(
          {Severity::kWarn, about, "Module " + module.name + " is distrusted: " + doubt,
           "deploy a bundle of a trusted signer, or stop it: kante module stop " + module.name});
    }
    if (!module.override_reason.empty()) {
      out.push_back(
          {Severity::kWarn, about,
           "Module " + module.name + " does not run as deployed: " + module.override_reason, look});
    }
  }
}

// Each new version of a module takes one for good; at the bound the host has to begin a new life.
void loadProblems(const ModuleHost& modules, std::vector<Problem>& out) {
  const std::size_t used = modules.loadsUsed();
  const std::size_t most = modules.loadsMax();
  if (used * 4 < most * 3) return;
  out.push_back({Severity::kWarn, "loads",
                 std::to_string(used) + " of " + std::to_string(most) +
                     " libraries that this life of the host may load are loaded",
                 "a restart of the host at a time that suits you gives them back, or raise "
                 "[runtime] in_process_loads_max"});
}

void storeProblems(const StoreStatus& store, std::vector<Problem>& out) {
  if (store.failing) {
    out.push_back({Severity::kFail, "store", "The store cannot be written: " + store.failure,
                   "look at the disk under [gateway] data_dir (df, dmesg)"});
  }
  if (!store.set_aside.empty()) {
    out.push_back({Severity::kWarn, "store",
                   "The store was broken at this start and a new one began; what it held is in " +
                       store.set_aside,
                   "remove that directory when it is of no use"});
  }
  if (!store.durable) {
    out.push_back({Severity::kWarn, "store", "The disk is too small for durable routes",
                   "free space, or lower [store] max_bytes"});
  }
  const double fill = store.max_bytes == 0
                          ? 0
                          : static_cast<double>(store.bytes) / static_cast<double>(store.max_bytes);
  if (fill >= kStoreNearlyFull) {
    out.push_back({Severity::kWarn, "store",
                   "The store is " + std::to_string(static_cast<int>(fill * 100)) + " % full",
                   "kante queue list says what fills it"});
  }
}

void clockProblems(const StatusParts& parts, std::vector<Problem>& out) {
  if (parts.wall == nullptr) return;
  const ClockReading now = parts.wall->read();
  if (now.trusted) return;
  out.push_back({Severity::kWarn, "clock", "The wall clock is not trusted: " + now.reason(),
                 "set the time, and let chrony or systemd-timesyncd keep it; timers, TTLs and "
                 "modules go on without it"});
}

// A gateway of modules in process alone needs none, so this is a warning at most.
void sandboxProblems(const StatusParts& parts, std::vector<Problem>& out) {
  if (parts.sandbox == nullptr || parts.sandbox->missing.empty()) return;
  const SandboxStatus& sandbox = *parts.sandbox;
  const std::string has = sandbox.tier == 0
                              ? "There is no sandbox"
                              : "The sandbox is of tier " + std::to_string(sandbox.tier) +
                                    ", not " + std::to_string(sandbox.minimum_tier);
  out.push_back({Severity::kWarn, "sandbox", has + "; modules that need one are refused",
                 "kante check says what to change"});
}

void hostProblems(const StatusParts& parts, std::vector<Problem>& out) {
  if (parts.host == nullptr || parts.host->update.state != "failed") return;
  const HostStatus::Update& update = parts.host->update;
  out.push_back(
      {Severity::kWarn, "host",
       "The update of the host to version " + update.version + " failed: " + update.reason,
       "The version before it runs; kante host update tries another"});
}

json::object sandboxJson(const StatusParts& parts) {
  if (parts.sandbox == nullptr) return {{"tier", nullptr}, {"limits", nullptr}};
  std::size_t shared_bytes = 0;
  for (const ModuleStatus& module : parts.modules.modules()) shared_bytes += module.shared_bytes;
  return {{"tier", parts.sandbox->tier},
          {"limits", textOrNull(parts.sandbox->limits)},
          {"minimum_tier", parts.sandbox->minimum_tier},
          {"better", textOrNull(parts.sandbox->better)},
          {"shared_bytes", shared_bytes}};
}

json::object clockJson(const StatusParts& parts) {
  if (parts.wall == nullptr) return {};
  const ClockReading now = parts.wall->read();
  return {{"trusted", now.trusted},
          {"now", formatUtc(now.wall_ns)},
          {"floor", formatUtc(now.floor_s * 1'000'000'000)},
          {"floor_from", name(now.floor_from)},
          {"reason", textOrNull(now.reason())},
          {"synchronised", now.synchronised}};
}

json::object fetchingJson(const FetchProgress& now) {
  return {{"bundle", now.digest},
          {"source", textOrNull(now.source)},
          {"bytes", now.bytes},
          {"of", now.of},
          {"problem", textOrNull(now.problem)},
          {"base", textOrNull(now.base)},
          {"instead_of", now.instead_of}};
}

json::array fetchedJson(const std::vector<FetchReport>& all) {
  json::array out;
  for (const FetchReport& one : all)
    out.push_back(json::object{{"bundle", one.digest},
                               {"source", one.source},
                               {"bytes", one.bytes},
                               {"base", textOrNull(one.base)},
                               {"saved", one.saved},
                               {"problem", textOrNull(one.problem)}});
  return out;
}

json::object deploymentJson(const StatusParts& parts) {
  const DeploymentStatus deployment = parts.agent.status();
  std::string reason = deployment.reason;
  json::array refused;
  if (parts.documents != nullptr) {
    for (const DocumentError& one : parts.documents->errors())
      refused.push_back(json::object{{"reason", one.reason},
                                     {"text", one.text},
                                     {"source", one.source},
                                     {"kind", textOrNull(one.kind)},
                                     {"name", textOrNull(one.name)},
                                     {"document", textOrNull(one.document)}});
    if (reason.empty() && !parts.documents->errors().empty())
      reason =
          parts.documents->errors().back().reason + ": " + parts.documents->errors().back().text;
  }
  const std::vector<std::string> layers = parts.agent.layersInForce();
  json::object out{{"id", textOrNull(deployment.id)},
                   {"version", deployment.version},
                   {"state", name(deployment.state)},
                   {"reason", textOrNull(reason)},
                   {"layers", json::array(layers.begin(), layers.end())},
                   {"refused", std::move(refused)},
                   {"fetched", fetchedJson(deployment.fetched)}};
  if (deployment.state == DeploymentState::kFetching)
    out["fetching"] = fetchingJson(deployment.fetching);
  if (deployment.state == DeploymentState::kWatching) {
    const std::int64_t left_ns =
        std::max<std::int64_t>(deployment.watched_until_boot_ns - parts.clock.bootNs(), 0);
    out["watch_left_s"] = (left_ns + 999'999'999) / 1'000'000'000;
  }
  return out;
}

json::value secondsOrNull(std::int64_t seconds) {
  return seconds < 0 ? json::value(nullptr) : json::value(seconds);
}

json::value budgetJson(const BudgetStatus& budget) {
  if (budget.limits.messages_per_day == 0 && budget.limits.bytes_per_day == 0) return nullptr;
  return json::object{{"messages_used", budget.messages_used},
                      {"messages_per_day", budget.limits.messages_per_day},
                      {"meter_bytes", budget.limits.meter_bytes},
                      {"bytes_used", budget.bytes_used},
                      {"bytes_per_day", budget.limits.bytes_per_day},
                      {"resets_in_s", budget.resets_in_s},
                      {"reached", budget.reached}};
}

json::object priceJson(BlocksPerDay blocks) {
  const HubPrice price = cheapest(blocks);
  return {{"blocks_per_day", static_cast<std::uint64_t>(blocks.paid)},
          {"tier", price.tier},
          {"units", price.units},
          {"usd_per_month", price.usd_per_month}};
}

// Null until something was sent: there is nothing to scale.
json::value costJson(const TrafficReport& traffic) {
  if (traffic.blocks.paid <= 0) return nullptr;
  json::object out = priceJson(traffic.blocks);
  out["basis_s"] = static_cast<std::int64_t>(traffic.basis_s);
  out["messages_per_day"] = static_cast<std::uint64_t>(traffic.messages_per_day);
  out["bytes_per_day"] = static_cast<std::uint64_t>(traffic.bytes_per_day);
  out["alone"] = priceJson(traffic.alone);
  out["packed"] = priceJson(traffic.packed);
  json::array top;
  for (const TrafficSource& source : traffic.top) {
    top.push_back(
        json::object{{"source", source.source},
                     {"messages_per_day", static_cast<std::uint64_t>(source.messages_per_day)},
                     {"blocks_per_day", static_cast<std::uint64_t>(source.blocks_per_day)},
                     {"share", source.share}});
  }
  out["top"] = std::move(top);
  return out;
}

json::object uplinkJson(const StatusParts& parts) {
  if (parts.uplink == nullptr) {
    return {{"kind", "none"},
            {"state", "none"},
            {"epoch", textOrNull(parts.store != nullptr ? parts.store->epoch() : "")},
            {"seq", 0},
            {"backlog_messages", 0},
            {"backlog_bytes", 0},
            {"reason", nullptr}};
  }
  const UplinkStatus uplink = parts.uplink->status();
  return {{"kind", uplink.kind},
          {"state", uplink.state},
          {"epoch", uplink.epoch},
          {"seq", uplink.seq},
          {"backlog_messages", uplink.backlog_messages},
          {"backlog_bytes", uplink.backlog_bytes},
          {"reason", textOrNull(uplink.reason)},
          {"protocol", textOrNull(uplink.protocol)},
          {"in_flight", uplink.in_flight},
          {"acknowledged", uplink.acknowledged},
          {"connects", uplink.connects},
          {"refused", uplink.refused},
          {"alarm", textOrNull(uplink.alarm)},
          {"oldest_s", secondsOrNull(uplink.oldest_s)},
          {"drain_s", secondsOrNull(uplink.drain_s)},
          {"budget", budgetJson(uplink.budget)},
          {"cost", costJson(uplink.traffic)}};
}

// Null: no device is served.
// The gateways below this one.
json::array gatewaysJson(const StatusParts& parts) {
  json::array out;
  if (parts.children == nullptr) return out;
  for (const hub::ChildStatus& one : parts.children->status())
    out.push_back({{"id", one.id},
                   {"state", one.connected ? "connected" : "disconnected"},
                   {"version", textOrNull(one.version)},
                   {"last_seen", timeJson(one.last_seen_ns)},
                   {"lost", one.lost},
                   {"devices", one.devices}});
  return out;
}

json::value hubJson(const StatusParts& parts) {
  if (parts.broker == nullptr) return nullptr;
  const hub::BrokerStatus hub = parts.broker->status();
  return json::object{{"connections", hub.connections},
                      {"sessions", hub.sessions},
                      {"subscriptions", hub.subscriptions},
                      {"retained", hub.retained},
                      {"stored_sessions", hub.stored_sessions},
                      {"stored_messages", hub.stored_messages},
                      {"stored_bytes", hub.stored_bytes},
                      {"received", hub.received},
                      {"sent", hub.sent},
                      {"dropped", hub.dropped}};
}

json::object storeJson(const StatusParts& parts) {
  if (parts.store == nullptr) return {{"bytes", 0}, {"max_bytes", 0}};
  const StoreStatus store = parts.store->status();
  json::array queues;
  for (const QueueStats& queue : parts.store->shown()) {
    queues.push_back({{"name", queue.name},
                      {"messages", queue.messages},
                      {"bytes", queue.bytes},
                      {"detached", queue.detached}});
  }
  return {{"bytes", store.bytes},
          {"max_bytes", store.max_bytes},
          {"map_bytes", store.map_bytes},
          {"durable", store.durable},
          {"failing", store.failing},
          {"failure", textOrNull(store.failure)},
          {"set_aside", textOrNull(store.set_aside)},
          {"queues", std::move(queues)}};
}

json::object droppedJson(const StatusParts& parts) {
  json::object out;
  for (const char* reason : kDropReasons) out[reason] = 0;
  for (const auto& [reason, count] : droppedTotals(parts.modules, parts.store)) out[reason] = count;
  return out;
}

json::value engineJson(const StatusParts& parts) {
  const EngineView engine = parts.engine ? parts.engine() : EngineView();
  if (!engine.used) return nullptr;
  return json::object{{"connected", engine.connected},
                      {"version", textOrNull(engine.version)},
                      {"reason", textOrNull(engine.why)}};
}

}  // namespace

std::map<std::string, std::uint64_t> droppedTotals(const ModuleHost& modules, const Store* store) {
  std::map<std::string, std::uint64_t> out = modules.dropped();
  if (store == nullptr) return out;
  for (const auto& [reason, count] : store->dropped()) out[reason] += count;
  return out;
}

std::vector<Problem> problems(const StatusParts& parts) {
  std::vector<Problem> out;
  const DeploymentStatus deployment = parts.agent.status();
  if (deployment.state == DeploymentState::kFailed) {
    out.push_back({Severity::kFail, "deployment",
                   "The deployment could not be started: " + deployment.reason,
                   "mend what it says and apply it again, or kante deploy rollback"});
  } else if (deployment.state == DeploymentState::kRolledBack) {
    out.push_back({Severity::kWarn, "deployment",
                   "The last change was taken back: " + deployment.reason,
                   "mend what it says and apply it again"});
  }
  if (parts.documents != nullptr)
    for (const DocumentError& one : parts.documents->errors())
      out.push_back(
          {Severity::kWarn, "deployment",
           "A document from " + one.source + " was refused, " + one.reason + ": " + one.text,
           "send one that is right on the same way; docs/deployment.md explains the word"});
  moduleProblems(parts, out);
  loadProblems(parts.modules, out);
  if (parts.store != nullptr) storeProblems(parts.store->status(), out);
  clockProblems(parts, out);
  sandboxProblems(parts, out);
  hostProblems(parts, out);
  if (const EngineView engine = parts.engine ? parts.engine() : EngineView();
      engine.used && !engine.connected && !engine.why.empty())
    out.push_back({Severity::kFail, "containers", "The container engine is away: " + engine.why,
                   "start it; what runs in it is found again"});
  if (parts.uplink != nullptr) {
    const UplinkStatus uplink = parts.uplink->status();
    if (uplink.state != "connected") {
      out.push_back(
          {Severity::kWarn, "uplink",
           "The uplink is " + uplink.state + (uplink.reason.empty() ? "" : ": " + uplink.reason),
           "kante check tries the broker step by step"});
    }
    if (uplink.budget.reached) {
      out.push_back({Severity::kWarn, "uplink",
                     "The day's budget is used up; what waits is sent in " +
                         std::to_string(uplink.budget.resets_in_s / 60) + " min",
                     "kante status says which sources cost most; filter or pack them, or raise "
                     "[uplink] messages_per_day or bytes_per_day"});
    }
    if (!uplink.alarm.empty()) {
      out.push_back({Severity::kWarn, "uplink", "The uplink: " + uplink.alarm,
                     "look at the broker's access rules for this gateway"});
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const Problem& a, const Problem& b) {
    return a.severity == Severity::kFail && b.severity == Severity::kWarn;
  });
  return out;
}

json::object hostJson(const HostStatus& host) {
  const HostStatus::Update& update = host.update;
  return {{"version", KANTE_VERSION},
          {"digest", textOrNull(host.digest)},
          {"update",
           {{"state", update.state.empty() ? "none" : update.state},
            {"digest", textOrNull(update.digest)},
            {"version", textOrNull(update.version)},
            {"reason", textOrNull(update.reason)}}}};
}

// What the gateway was made with: the file, with what a deployment changed.
json::object configJson(const StatusParts& parts) {
  const auto section = parseJson(parts.section, kConfigBounds);
  const auto resolved = parseJson(parts.config, kConfigBounds);
  return {{"deployed", section ? *section : json::value()},
          {"resolved", resolved ? *resolved : json::value()}};
}

json::object statusJson(const StatusParts& parts) {
  json::array modules;
  for (const ModuleStatus& module : parts.modules.modules()) {
    json::object shown = toJson(module);
    shown["distrusted"] = textOrNull(distrustOf(parts, module));
    modules.push_back(std::move(shown));
  }
  json::array wrong;
  for (const Problem& problem : problems(parts)) {
    wrong.push_back({{"severity", problem.severity == Severity::kFail ? "fail" : "warn"},
                     {"about", problem.about},
                     {"text", problem.text},
                     {"hint", problem.hint}});
  }
  return {{"gateway", parts.gateway},
          {"version", KANTE_VERSION},
          {"uptime_s", static_cast<std::int64_t>(uptime(parts))},
          {"deployment", deploymentJson(parts)},
          {"modules", std::move(modules)},
          {"loads",
           json::object{{"used", parts.modules.loadsUsed()}, {"max", parts.modules.loadsMax()}}},
          {"uplink", uplinkJson(parts)},
          {"store", storeJson(parts)},
          {"hub", hubJson(parts)},
          {"gateways", gatewaysJson(parts)},
          {"clock", clockJson(parts)},
          {"sandbox", sandboxJson(parts)},
          {"containers", engineJson(parts)},
          {"configuration", configJson(parts)},
          {"host", parts.host == nullptr ? json::value() : json::value(hostJson(*parts.host))},
          {"dropped", droppedJson(parts)},
          {"problems", std::move(wrong)}};
}

std::string metricsText(const StatusParts& parts) {
  MetricsText out;
  out.gauge("kante_info", "What runs here",
            {{"gateway", parts.gateway}, {"version", KANTE_VERSION}}, 1);
  out.gauge("kante_uptime_seconds", "Since the host started", {}, uptime(parts));
  const DeploymentStatus deployment = parts.agent.status();
  out.gauge("kante_deployment_version", "Version of the deployment that runs",
            {{"id", deployment.id}, {"state", name(deployment.state)}},
            static_cast<double>(deployment.version));
  parts.modules.collect(out);
  if (parts.store != nullptr) parts.store->collect(out);
  if (parts.access != nullptr) parts.access->collect(out);
  if (parts.broker != nullptr) parts.broker->collect(out);
  if (parts.contract != nullptr) parts.contract->collect(out);
  if (parts.children != nullptr) parts.children->collect(out);
  if (parts.uplink != nullptr) {
    parts.uplink->collect(out);
  } else {
    out.gauge("kante_uplink_connected", "1 while the uplink is connected", {}, 0);
  }
  if (parts.wall != nullptr) {
    out.gauge("kante_clock_trusted", "1 while the wall clock is not before its floor", {},
              parts.wall->trusted() ? 1 : 0);
  }
  if (parts.sandbox != nullptr) {
    out.gauge("kante_sandbox_tier", "Of sandboxed modules, 3 is the best, 0 none",
              {{"limits", parts.sandbox->limits}}, parts.sandbox->tier);
  }
  const auto wrong = problems(parts);
  out.gauge("kante_problems", "What kante status says is wrong", {},
            static_cast<double>(wrong.size()));
  out.counter("kante_events_total", "Events since the host started", {},
              static_cast<double>(parts.events.count()));
  if (parts.server != nullptr) {
    out.gauge("kante_api_connections", "Open connections of the API", {},
              static_cast<double>(parts.server->connections()));
    out.counter("kante_api_refused_total", "Connections that the API did not let in", {},
                static_cast<double>(parts.server->refused()));
  }
  collectProcess(out);
  return out.text();
}

}  // namespace kante
