// What tests of the agent stand on: a gateway without modules, with real bundles and a recording
// host.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/agent/agent.h"
#include "host/base/clock.h"
#include "host/base/durable_map.h"
#include "host/base/log.h"
#include "host/bundle/bundle_store.h"
#include "host/hub/twins.h"
#include "host/placement/module_host.h"
#include "tests/host/bundle/bundle_kit.h"

namespace kante::test {

// Takes every order; answers at once, or when told to.
class RecordingHost final : public ModuleHost {
 public:
  void apply(RuntimeTarget target, Applied applied) override {
    targets.push_back(std::move(target));
    if (hold) {
      held = std::move(applied);
      return;
    }
    answer(applied);
  }
  void answer(const Applied& applied) {
    if (its_turn != Turn::kFree) return applied(fail(Errc::kState, "another change is under way"));
    if (refuses && refuses(targets.back()))
      return applied(fail(Errc::kState, "module x does not become ready"));
    if (failures.empty()) return applied(report);
    const Error error = failures.front();
    failures.pop_front();
    applied(error);
  }
  void release() { answer(std::exchange(held, nullptr)); }

  void restart(const std::string&, Done done) override { done({}); }
  void stop(const std::string&, Done done) override { done({}); }
  void start(const std::string&, Done done) override { done({}); }
  void move(const std::string& name, Placement placement, const std::string& reason,
            Done done) override {
    moves.push_back(name + " " + kante::name(placement) + " " + reason);
    if (failures.empty()) return done({});
    const Error error = failures.front();
    failures.pop_front();
    done(error);
  }
  Room roomFor(const RuntimeTarget&) const override { return room; }
  Status check(const RuntimeTarget&) override { return checked; }
  Turn turn() const override { return its_turn; }
  void saveAll(SavedAll all) override { all(saved); }
  void resume() override { ++resumed; }
  void shutDown(std::function<void()> done) override { done(); }
  std::vector<ModuleStatus> modules() const override { return statuses; }
  void askHealth() override { ++asked; }
  std::vector<RouteStatus> routes() const override { return {}; }
  DropCounts dropped() const override { return {}; }
  std::size_t loadsUsed() const override { return 0; }
  std::size_t loadsMax() const override { return 64; }
  void collect(MetricWriter&) const override {}

  std::vector<RuntimeTarget> targets;
  std::vector<std::string> moves;                     // "NAME PLACEMENT REASON"
  std::deque<Error> failures;                         // What the next orders end with.
  std::function<bool(const RuntimeTarget&)> refuses;  // Null: none.
  bool hold = false;
  Applied held;
  Room room = Room::kEnough;
  Turn its_turn = Turn::kFree;  // Otherwise orders fail.
  Status checked;
  Result<Saved> saved = Saved();
  int resumed = 0;
  ApplyReport report;  // Of every order that is taken.
  std::vector<ModuleStatus> statuses;
  int asked = 0;  // How modules are.
};

// A map whose disk can be full or fail.
class FragileMap final : public DurableMap {
 public:
  Result<std::map<std::string, std::string>> readAll() override { return values; }
  Status put(const std::string& key, const std::string& value) override {
    if (full) return fail(Errc::kIo, "the disk is full");
    values[key] = value;
    ++writes;
    return {};
  }
  Status erase(const std::string& key) override {
    if (full) return fail(Errc::kIo, "the disk is full");
    values.erase(key);
    ++writes;
    return {};
  }
  void sync(std::function<void(Status)> done) override {
    if (sync_failures.empty()) return done({});
    const bool fails = sync_failures.front();
    sync_failures.pop_front();
    done(fails ? Status(fail(Errc::kIo, "the disk fails")) : Status());
  }

  std::map<std::string, std::string> values;
  std::deque<bool> sync_failures;  // Whether each of the next calls fails.
  bool full = false;
  int writes = 0;
};

class Gateway {
 public:
  Gateway();
  // As after a restart of the process; what is on disk stays.
  void restart();

  // Writes a signed bundle beside the documents.
  void makeBundle(const std::string& file, const std::string& id, std::uint64_t counter = 7,
                  const std::string& more = {});
  static std::string digestOf(const std::string& id, std::uint64_t counter = 7,
                              const std::string& more = {});

  Result<ApplyOutcome> apply(const std::string& document,
                             ApplyRequest::Mode mode = ApplyRequest::Mode::kApply);
  Result<ApplyOutcome> rollback(std::uint64_t n = 0);
  Result<ApplyOutcome> patch(Agent::PatchKind kind, const std::string& patch);
  Result<ApplyOutcome> start();
  // Lets time pass, in steps of what the agent asked to be called after.
  void pass(std::chrono::milliseconds time);
  ApplyRequest request(const std::string& document) const;

  TempDir dir;
  const Identity& signer;  // One for all gateways: making keys takes its time.
  std::optional<TrustStore> trust;
  FragileMap journal;
  FragileMap twin_map;
  ManualClock clock;
  Log log{Log::Format::kSilent};
  RecordingHost host;
  std::optional<BundleStore> bundles;
  std::unique_ptr<Twins> twins;
  Upstream upstream = Upstream::kServed;
  Agent::Handover handover;
  std::function<std::string(const std::string&)> barred;
  Tags tags;
  std::function<void()> changed;
  std::function<bool()> uplink_connected;
  std::string last_end;
  Fetcher* fetcher = nullptr;
  std::vector<ImageRule> images;
  decltype(Agent::Parts::get_image) get_image;
  std::map<std::string, std::string> secrets;
  GatewaySection section;
  std::function<Status(const std::string&)> check_section;
  std::chrono::milliseconds delay{0};
  std::weak_ptr<std::function<void()>> task;  // Due after `delay`.
  std::unique_ptr<Agent> agent;
};

// "x" of bundle a.kmod and "y" of b.kmod, with these members more in x, and these routes.
std::string document(int version, const std::string& more_of_x = {},
                     const std::string& routes = "{}", const std::string& id = "line-4");

// What the manifests of a.kmod and b.kmod have.
inline constexpr char kPorts[] = R"("inputs":["in"],"outputs":["out","alert"],"methods":["reset"])";

}  // namespace kante::test
