#include "host/cli/module_kit.h"

#include <kante/test_host.hpp>

namespace kante::cli {
namespace {

constexpr std::uint32_t kUnknownEvent = 4'711;
constexpr std::size_t kBreachesTold = 5;  // Of one check.

std::vector<std::string> namesOf(const char* const* names) {
  std::vector<std::string> out;
  for (; *names != nullptr; ++names) out.emplace_back(*names);
  return out;
}

// One module under test.  A check returns what is wrong, empty when nothing is.
class Kit {
 public:
  Kit(const kante_entry& entry, const KitManifest& manifest, const std::string& config)
      : entry_(entry), manifest_(manifest), config_(config) {}

  std::string repeatsItsManifest() {
    TestHost host(entry_);  // Throws for what is no entry at all.
    if (manifest_.id != entry_.id)
      return std::string("its id is ") + entry_.id + ", the manifest's " + manifest_.id;
    if (manifest_.version != entry_.version) {
      return std::string("its version is ") + entry_.version + ", the manifest's " +
             manifest_.version;
    }
    if (manifest_.inputs != namesOf(entry_.inputs))
      return "its inputs are not those of the manifest";
    if (manifest_.outputs != namesOf(entry_.outputs))
      return "its outputs are not those of the manifest";
    return "";
  }

  std::string begins() {
    TestHost host(entry_);
    if (const std::string refused = start(host); !refused.empty()) return refused;
    return breaches(host);
  }

  std::string declinesUnknownEvents() {
    TestHost host(entry_);
    if (const std::string refused = start(host); !refused.empty()) return refused;
    kante_event event{};
    event.struct_size = sizeof event;
    event.type = kUnknownEvent;
    const auto status = host.raw(event);
    if (status != KANTE_E_UNSUPPORTED)
      return std::string("an event of type 4711 was answered ") + statusName(status);
    return breaches(host);
  }

  // Messages of every kind, on every input, from memory and durable routes: any answer, but a
  // lawful one.
  std::string takesAnyMessage() {
    TestHost host(entry_);
    if (const std::string refused = start(host); !refused.empty()) return refused;
    for (const Draft& draft : drafts()) sendEverywhere(host, draft);
    host.advance(std::chrono::seconds(10));
    return breaches(host);
  }

  std::string waitsForCredit() {
    TestHost host(entry_);
    if (const std::string refused = start(host); !refused.empty()) return refused;
    for (const std::string& output : manifest_.outputs) host.setCredit(output, 0);
    for (int i = 0; i < 2'000; ++i) sendEverywhere(host, Draft::json({{"value", i}}));
    host.advance(std::chrono::seconds(10));
    for (const std::string& output : manifest_.outputs) host.grant(output);
    return breaches(host);
  }

  std::string livesWithoutExtensions() {
    TestHost host(entry_);
    for (const char* id : {KANTE_EXT_TWIN, KANTE_EXT_TIMERS, KANTE_EXT_METRICS, KANTE_EXT_STORAGE,
                           KANTE_EXT_STATE, KANTE_EXT_LIFECYCLE, KANTE_EXT_INVOKE}) {
      host.without(id);
    }
    if (host.create(json::parse(config_)) != KANTE_OK) {
      return host.explained().empty()
                 ? "it refuses a host without extensions and does not explain why"
                 : "";
    }
    sendEverywhere(host, Draft::json({{"value", 1}}));
    host.call("unknown-method");
    return breaches(host);
  }

  std::string answersMethodsAndDesired() {
    TestHost host(entry_);
    if (const std::string refused = start(host); !refused.empty()) return refused;
    host.call("unknown-method", {{"a", 1}});
    host.call("");
    host.desire(json::Object());
    host.desire({{"$version", 2}, {"never-heard-of", {{"a", json::Array{1, nullptr}}}}});
    host.health();
    return breaches(host);
  }

  std::string runsTwice() {
    TestHost first(entry_);
    TestHost second(entry_);
    std::string refused = start(first);
    if (refused.empty()) refused = start(second);
    if (!refused.empty()) return refused;
    sendEverywhere(first, Draft::json({{"value", 1}}));
    first.destroy();
    sendEverywhere(second, Draft::json({{"value", 2}}));
    return breaches(first) + breaches(second);
  }

  std::string handsItsStateOver() {
    TestHost old_instance(entry_);
    if (const std::string refused = start(old_instance); !refused.empty()) return refused;
    sendEverywhere(old_instance, Draft::json({{"value", 1}}));
    const auto state = old_instance.save();
    TestHost next(entry_);
    if (const std::string refused = start(next); !refused.empty()) return refused;
    if (state && next.restore(*state) != KANTE_OK)
      return "it refuses the state that it saved: " + next.explained();
    TestHost other(entry_);
    start(other);
    other.restore({~std::uint64_t{0}, std::string(1'000, '\xff')});
    return breaches(old_instance) + breaches(next) + breaches(other);
  }

  std::string drains() {
    TestHost host(entry_);
    if (const std::string refused = start(host); !refused.empty()) return refused;
    sendEverywhere(host, Draft::json({{"value", 1}}));
    host.drain();
    const bool quiet = host.runUntil(
        [&] {
          host.advance(std::chrono::milliseconds(100));
          return host.drained();
        },
        std::chrono::seconds(5));
    if (!quiet) return "drained() was not called within 5 s after DRAIN";
    return breaches(host);
  }

 private:
  std::string start(TestHost& host) const {
    if (host.create(json::parse(config_)) == KANTE_OK) return "";
    return "it refuses its configuration (" + host.explained() +
           "); --config names one that it takes";
  }

  // Ends the module and joins what it did wrong.
  static std::string breaches(TestHost& host) {
    host.destroy();
    std::string out;
    std::size_t told = 0;
    for (const std::string& breach : host.takeViolations()) {
      if (++told > kBreachesTold) return out + "; and more";
      out += (out.empty() ? "" : "; ") + breach;
    }
    return out;
  }

  static std::vector<Draft> drafts() {
    return {Draft(),
            Draft::json({{"value", 1}}).property("a", "b"),
            Draft::json(json::Array{1, "two", nullptr}),
            Draft("application/json", "{\"cut"),
            Draft("application/octet-stream", std::string("\0\xff\xfe", 3)),
            Draft("text/plain", std::string(KANTE_BODY_BYTES_MAX, 'x'))};
  }

  void sendEverywhere(TestHost& host, const Draft& draft) const {
    for (const std::string& input : manifest_.inputs) {
      host.send(input, draft);
      host.send(input, draft, {.durable = true, .redeliveries = 1});
    }
  }

  const kante_entry& entry_;
  const KitManifest& manifest_;
  const std::string& config_;
};

}  // namespace

void runModuleKit(const kante_entry& entry, const KitManifest& manifest,
                  const std::string& config_json,
                  const std::function<void(const std::string&)>& begin,
                  const std::function<void(const KitFinding&)>& done) {
  static constexpr std::pair<const char*, std::string (Kit::*)()> kChecks[] = {
      {"repeats its manifest", &Kit::repeatsItsManifest},
      {"begins with its configuration", &Kit::begins},
      {"declines unknown events", &Kit::declinesUnknownEvents},
      {"takes any message", &Kit::takesAnyMessage},
      {"waits for credit", &Kit::waitsForCredit},
      {"lives without extensions", &Kit::livesWithoutExtensions},
      {"answers methods and desired properties", &Kit::answersMethodsAndDesired},
      {"runs twice in one process", &Kit::runsTwice},
      {"hands its state over", &Kit::handsItsStateOver},
      {"drains", &Kit::drains},
  };
  Kit kit(entry, manifest, config_json);
  for (const auto& [name, check] : kChecks) {
    begin(name);
    std::string wrong;
    try {
      wrong = (kit.*check)();
    } catch (const std::exception& error) {
      wrong = error.what();
    }
    done({name, wrong.empty(), wrong});
  }
}

}  // namespace kante::cli
