// `kante fleet`: many gateways through nothing but their broker, in steps that stop when one fails.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "host/agent/deployment.h"
#include "host/agent/document.h"
#include "host/agent/iotedge_layer.h"
#include "host/agent/iotedge_manifest.h"
#include "host/base/clock.h"
#include "host/base/fd.h"
#include "host/base/json.h"
#include "host/bundle/document_file.h"
#include "host/cli/command.h"
#include "host/cli/fleet_link.h"
#include "host/cli/fleet_patch.h"
#include "host/cli/fleet_put.h"
#include "host/cli/json_view.h"
#include "host/cli/named_bundles.h"
#include "host/cli/output.h"
#include "host/uplink/topics.h"

namespace kante::cli {
namespace {

namespace json = boost::json;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kPemBytesMax = 1 << 20;
constexpr JsonBounds kReportBounds{8u << 20, 32};
constexpr JsonBounds kContentBounds{kDocumentPayloadBytesMax, kDocumentDepthMax};
constexpr std::string_view kTopicPrefix = "kante/v1/";

struct FleetOptions {
  BrokerOptions broker;
  std::vector<std::string> targets;
  bool as_json = false;
  std::string file, type = "merge", name, key, certificate;
  std::optional<std::uint32_t> priority;
  std::optional<std::string> condition;
  std::vector<std::string> trust;
  std::size_t canary = 0;
  unsigned step = 100;
  bool stop_on_failure = false;
  unsigned timeout_s = 300;
};

struct Outcome {
  std::string state = "waiting";  // waiting, committed, failed, pending
  std::string reason;
};

// What is known of a gateway, by what it reports.
struct Seen {
  json::value reported;  // Null: it never did.
  std::string state;     // "online", "offline", or empty.
};

std::string topicOf(const std::string& gateway, const std::string& rest) {
  return gatewayTopic(gateway, rest);
}

std::map<std::string, Seen> seenIn(const FleetLink::Messages& messages) {
  std::map<std::string, Seen> all;
  for (const auto& [topic, message] : messages) {
    if (!topic.starts_with(kTopicPrefix)) continue;
    const std::size_t end = topic.find('/', kTopicPrefix.size());
    if (end == std::string::npos) continue;
    const std::string gateway = topic.substr(kTopicPrefix.size(), end - kTopicPrefix.size());
    const std::string rest = topic.substr(end + 1);
    if (!isName(gateway)) continue;
    auto object = parseJson(message.payload, kReportBounds);
    if (!object || !object->is_object()) continue;
    if (rest == "deployment/reported") all[gateway].reported = std::move(*object);
    if (rest == "state") all[gateway].state = textOf(*object, "state");
  }
  return all;
}

json::value reportedBy(const std::string& gateway, const FleetLink::Messages& messages) {
  const auto found = messages.find(topicOf(gateway, "deployment/reported"));
  if (found == messages.end()) return {};
  auto object = parseJson(found->second.payload, kReportBounds);
  return object && object->is_object() ? std::move(*object) : json::value();
}

bool hasTarget(const std::string& gateway, const Seen& seen, const std::string& target) {
  if (target.find('=') == std::string::npos) return gateway == target;
  return hasTag(tagsIn(seen.reported), target);
}

// A word with '=' is a tag, another one an id, which need not have been heard of yet.
std::vector<std::string> gatewaysFor(const FleetOptions& options,
                                     const std::map<std::string, Seen>& seen) {
  std::vector<std::string> names;
  for (const std::string& target : options.targets) {
    if (target.find('=') == std::string::npos) names.push_back(target);
    for (const auto& [gateway, known] : seen)
      if (hasTarget(gateway, known, target)) names.push_back(gateway);
  }
  if (options.targets.empty())
    for (const auto& [gateway, known] : seen) names.push_back(gateway);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::vector<std::string> filtersFor(const FleetOptions& options, const char* rest) {
  const bool by_id = !options.targets.empty() &&
                     std::none_of(options.targets.begin(), options.targets.end(),
                                  [](const auto& t) { return t.find('=') != std::string::npos; });
  std::vector<std::string> filters;
  if (!by_id) return {std::string(kTopicPrefix) + "+/" + rest};
  for (const std::string& id : options.targets) filters.push_back(topicOf(id, rest));
  return filters;
}

Result<std::unique_ptr<FleetLink>> connect(const FleetOptions& options,
                                           std::initializer_list<const char*> topics) {
  for (const std::string& target : options.targets)
    if (target.find('=') == std::string::npos && !isName(target))
      return fail(Errc::kInvalid, "--target " + target + ": is neither an id nor KEY=VALUE");
  std::vector<std::string> filters;
  for (const char* topic : topics)
    for (std::string& filter : filtersFor(options, topic)) filters.push_back(std::move(filter));
  return FleetLink::connect(options.broker, filters);
}

constexpr std::size_t kCellCharactersMax = 60;
constexpr std::size_t kReasonCharactersMax = 500;

// Whoever may publish for one gateway must not make the table of all unreadable.
std::string cell(const std::string& text) { return cut(printable(text), kCellCharactersMax); }

// ---- status ------------------------------------------------------------------------------------

Result<int> status(const FleetOptions& options) {
  KANTE_TRY(link, connect(options, {"state", "deployment/reported"}));
  const auto seen = seenIn(link->messages());
  json::array all;
  Table table({{"GATEWAY"},
               {"LINK"},
               {"DEPLOYMENT"},
               {"VERSION", Table::Align::kRight},
               {"STATE"},
               {"TAGS"},
               {"ERROR"}});
  for (const std::string& gateway : gatewaysFor(options, seen)) {
    const auto found = seen.find(gateway);
    const Seen known = found == seen.end() ? Seen() : found->second;
    json::object one{{"gateway", gateway},
                     {"link", known.state.empty() ? json::value() : json::value(known.state)},
                     {"reported", known.reported}};
    all.push_back(std::move(one));
    std::string tags;
    const json::value& said = member(known.reported, "tags");
    if (said.is_object())
      for (const auto& tag : said.get_object())
        tags += (tags.empty() ? "" : " ") + std::string(tag.key()) + "=" + asText(tag.value());
    const json::value& errors = member(known.reported, "errors");
    const std::string error = errors.is_array() && !errors.get_array().empty()
                                  ? textOf(errors.get_array().back(), "text")
                                  : "";
    table.add({cell(gateway), known.state.empty() ? "never seen" : cell(known.state),
               cell(textOf(known.reported, "id")), cell(textOf(known.reported, "version")),
               cell(textOf(known.reported, "state")), cell(tags), cell(error)});
  }
  if (options.as_json) {
    fmt::print("{}\n", writeJson(json::object{{"gateways", std::move(all)}}));
  } else {
    fmt::print("{}", table.text());
  }
  return 0;
}

// ---- what is sent ------------------------------------------------------------------------------

struct Key {
  std::string key, certificate;
};

struct Letter {
  std::string topic;
  std::string file;
  std::uint64_t counter = 0;  // 0: it was signed elsewhere.
  // Signs again what the topic held before, under a later counter; null: it stays replaced.
  std::function<Result<Letter>()> before = nullptr;
};

Result<Key> readKey(const FleetOptions& options) {
  if (options.key.empty() || options.certificate.empty())
    return fail(Errc::kInvalid, "--key and --cert sign what the gateways get; give both");
  KANTE_TRY(key, readFile(options.key, kPemBytesMax));
  KANTE_TRY(certificate, readFile(options.certificate, kPemBytesMax));
  return Key{std::move(key), std::move(certificate)};
}

Result<Letter> write(Document document, const std::string& gateway, const Key& key,
                     std::uint64_t above = 0) {
  document.gateway = gateway;
  document.tag.clear();
  document.counter =
      std::max(static_cast<std::uint64_t>(SystemClock().wallNs() / 1'000'000), above + 1);
  const std::string payload = writeDocument(document);
  const auto checked = parseDocument(payload);
  if (!checked) return checked.error();
  KANTE_TRY(file, signDocument(payload, key.key, key.certificate));
  const bool layer = document.kind == DocumentKind::kLayer;
  return Letter{topicOf(gateway, layer ? "deployment/layer/" + document.name : "deployment/set"),
                std::move(file), document.counter};
}

using MakeLetter =
    std::function<Result<Letter>(const std::string& gateway, const FleetLink::Messages& messages)>;

// Whoever may have signed what is retained: --trust, or else who signs now.
Result<std::shared_ptr<TrustStore>> trustOf(const FleetOptions& options, const Key& key) {
  auto trusted = options.trust.empty() ? TrustStore::fromPem(key.certificate)
                                       : TrustStore::load(options.trust, {});
  if (!trusted) return within("--trust", trusted.error());
  return std::make_shared<TrustStore>(std::move(*trusted));
}

FleetGateway stateOf(const std::string& gateway, const FleetLink::Messages& messages) {
  return {gateway, reportedBy(gateway, messages), SystemClock().wallNs() / 1'000'000'000};
}

// The payload of what is retained on deployment/set.
Result<std::string> retainedFor(const std::string& gateway, const FleetLink::Messages& messages,
                                const TrustStore& trust) {
  const auto set = messages.find(topicOf(gateway, "deployment/set"));
  if (set == messages.end())
    return fail(Errc::kNotFound, "nothing is retained on deployment/set; apply a complete one");
  KANTE_TRY(file,
            openDocument(set->second.payload, trust, judgementTime(SystemClock(), buildTimeS())));
  return std::move(file.payload);
}

// Null where what is retained is not what it runs.
std::function<Result<Letter>()> beforeOf(const std::string& payload, const std::string& gateway,
                                         const FleetLink::Messages& messages, const Key& key,
                                         std::uint64_t counter) {
  auto before = retainedThatRuns(payload, stateOf(gateway, messages));
  if (!before) return nullptr;
  return [before = std::move(*before), gateway, key, counter] {
    return write(before, gateway, key, counter);
  };
}

std::filesystem::path folderOf(const std::string& file) {
  return std::filesystem::path(file).parent_path();
}

// One that is signed already goes as it is; else it is signed for each gateway.
Result<MakeLetter> lettersOf(const FleetOptions& options) {
  KANTE_TRY(text, readFile(options.file, kDocumentFileBytesMax));
  if (text.starts_with("KANTEDC1")) {
    KANTE_TRY(file, lookAtDocument(text));
    KANTE_TRY(document, parseDocument(file.payload));
    const bool layer = document.kind == DocumentKind::kLayer;
    if (!layer && document.kind != DocumentKind::kDeployment)
      return fail(Errc::kInvalid,
                  "only deployments and layers stay at the broker; use fleet patch");
    const std::string rest = layer ? "deployment/layer/" + document.name : "deployment/set";
    return MakeLetter(
        [text, rest, document](const std::string& gateway,
                               const FleetLink::Messages& messages) -> Result<Letter> {
          KANTE_CHECK(checkTarget(document, gateway, reportedBy(gateway, messages)));
          return Letter{topicOf(gateway, rest), text};
        });
  }
  Document document;
  KANTE_TRY(content, parseJson(text, kContentBounds));
  const bool is_layered = isLayeredManifest(content);
  if (is_layered) {
    KANTE_TRY(targeted, withTarget(std::move(content), options.priority, options.condition));
    content = std::move(targeted);
  } else if (options.priority || options.condition) {
    return fail(Errc::kInvalid, "--priority and --condition are for layered manifests of IoT Edge");
  }
  document.name = options.name;
  const bool is_layer =
      is_layered || content.is_null() || textOf(content, "schema") == "kante.layer/1";
  document.kind = is_layer ? DocumentKind::kLayer : DocumentKind::kDeployment;
  KANTE_CHECK(nameDigests(document.kind, content, folderOf(options.file)));
  document.content = writeJson(content, MemberOrder::kSorted);
  if (is_layered) {
    if (options.name.empty()) document.name = configurationId(content);
    if (document.name.empty()) return fail(Errc::kInvalid, "a layer needs --name");
    KANTE_TRY(translated, translateLayer(content, {}, "null"));
    for (const std::string& line : translated.report)
      fmt::print(stderr, "  ! {}\n", printable(line));
  } else if (is_layer) {
    if (options.name.empty()) return fail(Errc::kInvalid, "a layer needs --name");
  } else if (isIotEdgeManifest(content)) {
    const auto translated = translateManifest(content, {}, "null");
    if (!translated) return translated.error();
  } else {
    const auto deployment = parseDeployment(document.content);
    if (!deployment) return deployment.error();
  }
  KANTE_TRY(key, readKey(options));
  KANTE_TRY(trust, trustOf(options, key));
  return MakeLetter([document, key, trust](const std::string& gateway,
                                           const FleetLink::Messages& messages) -> Result<Letter> {
    KANTE_TRY(letter, write(document, gateway, key));
    if (document.kind != DocumentKind::kDeployment) return letter;
    if (const auto retained = retainedFor(gateway, messages, *trust))
      letter.before = beforeOf(*retained, gateway, messages, key, letter.counter);
    return letter;
  });
}

Result<MakeLetter> patchedLettersOf(const FleetOptions& options) {
  KANTE_TRY(text, readFile(options.file, kDocumentPayloadBytesMax));
  KANTE_TRY(patch, parseJson(text, kContentBounds));
  KANTE_TRY(key, readKey(options));
  KANTE_TRY(trust, trustOf(options, key));
  const auto kind = options.type == "merge" ? DocumentKind::kMergePatch : DocumentKind::kJsonPatch;
  KANTE_CHECK(nameDigests(kind, patch, folderOf(options.file)));
  return MakeLetter(
      [=](const std::string& gateway, const FleetLink::Messages& messages) -> Result<Letter> {
        KANTE_TRY(retained, retainedFor(gateway, messages, *trust));
        KANTE_TRY(document, patchRetained(retained, patch, kind, stateOf(gateway, messages)));
        KANTE_TRY(letter, write(std::move(document), gateway, key));
        letter.before = beforeOf(retained, gateway, messages, key, letter.counter);
        return letter;
      });
}

// ---- in steps ----------------------------------------------------------------------------------

// What a gateway says of a document that was sent to it.
struct Sent {
  std::string digest;
  std::uint64_t count = 0;  // Of the messages that had come before.
};

Outcome verdict(const FleetLink::Messages& messages, const std::string& gateway, const Sent& sent) {
  const auto report = messages.find(topicOf(gateway, "deployment/reported"));
  if (report == messages.end() || report->second.number <= sent.count) return {};
  const json::value said = reportedBy(gateway, messages);
  const json::value& errors = member(said, "errors");
  if (errors.is_array())
    for (const json::value& error : errors.get_array())
      if (textOf(error, "document") == sent.digest)
        return {"failed", textOf(error, "reason") + ": " + textOf(error, "text")};
  // Of two that it took one after the other the report may name only the last one, but all layers
  // that lie there.
  const json::value& last = member(said, "taken");
  bool taken = textOf(last, "document") == sent.digest;
  const json::value& with = member(last, "with");
  if (with.is_array())
    for (const json::value& one : with.get_array())
      taken = taken || textOf(one, "document") == sent.digest;
  const json::value& layers = member(said, "layers");
  if (layers.is_object())
    for (const auto& [name, document] : layers.get_object())
      taken = taken || (document.is_string() && document.get_string() == sent.digest);
  if (taken && textOf(said, "state") == "committed") return {"committed", ""};
  return {};
}

// Of one whose time is over.
std::string whyPending(const FleetLink::Messages& messages, const std::string& gateway,
                       const Sent& sent) {
  const auto report = messages.find(topicOf(gateway, "deployment/reported"));
  if (report == messages.end() || report->second.number <= sent.count)
    return "it did not report; what waits for it at the broker it takes when it comes";
  return "it says \"" + textOf(reportedBy(gateway, messages), "state") +
         "\" so far; kante fleet status tells what comes of it";
}

class Rollout {
 public:
  Rollout(const FleetOptions& options, FleetLink& link, MakeLetter make)
      : options_(options), link_(link), make_(std::move(make)) {}

  int run(const std::vector<std::string>& gateways) {
    for (const std::string& gateway : gateways) outcomes_[gateway];
    const std::size_t step = std::max<std::size_t>(1, (gateways.size() * options_.step + 99) / 100);
    for (std::size_t done = 0; done < gateways.size() && !stopped_;) {
      const bool canary = done == 0 && options_.canary != 0;
      const std::size_t count = std::min(canary ? options_.canary : step, gateways.size() - done);
      fmt::print(stderr, "{}: {} of {} gateways\n", canary ? "canary" : "step", count,
                 gateways.size());
      const bool good = batch({gateways.begin() + static_cast<std::ptrdiff_t>(done),
                               gateways.begin() + static_cast<std::ptrdiff_t>(done + count)});
      done += count;
      stopped_ = !good && options_.stop_on_failure && done < gateways.size();
    }
    // Who comes late must not take what another one did not keep.
    const bool failed = std::any_of(outcomes_.begin(), outcomes_.end(),
                                    [](const auto& one) { return one.second.state == "failed"; });
    for (auto& [gateway, outcome] : outcomes_)
      if (options_.stop_on_failure && failed && outcome.state == "pending" && putBack(gateway))
        outcome.reason = "what it had before waits for it again";
    return tell();
  }

 private:
  bool batch(const std::vector<std::string>& gateways) {
    std::map<std::string, Sent> waiting;
    for (const std::string& gateway : gateways) {
      auto letter = make_(gateway, link_.messages());
      const std::uint64_t count = link_.count();
      const Status sent =
          letter ? link_.publish(letter->topic, letter->file) : Status(letter.error());
      if (sent) {
        waiting[gateway] = {documentDigest(letter->file), count};
        before_[gateway] = std::move(letter->before);
      } else {
        settle(gateway, {"failed", sent.error().text});
      }
    }
    const auto deadline = SteadyClock::now() + std::chrono::seconds(options_.timeout_s);
    link_.waitFor(deadline, [&](const FleetLink::Messages& messages) {
      std::erase_if(waiting, [&](const auto& one) {
        const Outcome now = verdict(messages, one.first, one.second);
        if (now.state == "waiting") return false;
        settle(one.first, now);
        return true;
      });
      return waiting.empty();
    });
    for (const std::string& gateway : gateways)
      if (outcomes_[gateway].state == "failed") (void)putBack(gateway);
    for (const auto& [gateway, sent] : waiting)
      settle(gateway, {"pending", whyPending(link_.messages(), gateway, sent)});
    return std::all_of(gateways.begin(), gateways.end(), [this](const std::string& gateway) {
      return outcomes_[gateway].state == "committed";
    });
  }

  // What a gateway did not keep does not stay for it either: the next patch is one of what it runs.
  bool putBack(const std::string& gateway) {
    const auto found = before_.find(gateway);
    if (found == before_.end() || !found->second) return false;
    const auto letter = found->second();
    const Status sent =
        letter ? link_.publish(letter->topic, letter->file) : Status(letter.error());
    fmt::print(stderr, "  {}: {}\n", gateway,
               sent ? "what it had before is retained for it again"
                    : "what it had before could not be retained again: " + sent.error().text);
    return !sent.has_error();
  }

  void settle(const std::string& gateway, const Outcome& outcome) {
    outcomes_[gateway] = outcome;
    fmt::print(
        stderr, "  {}: {}{}\n", gateway, outcome.state,
        outcome.reason.empty() ? "" : ": " + cut(printable(outcome.reason), kReasonCharactersMax));
  }

  int tell() {
    std::map<std::string, std::size_t> counts;
    json::array all;
    for (const auto& [gateway, outcome] : outcomes_) {
      const std::string state = outcome.state == "waiting" ? "untouched" : outcome.state;
      ++counts[state];
      all.push_back(json::object{
          {"gateway", gateway},
          {"state", state},
          {"reason", outcome.reason.empty() ? json::value() : json::value(outcome.reason)}});
    }
    if (stopped_) fmt::print(stderr, "stopped: the rest is untouched\n");
    if (options_.as_json) {
      fmt::print("{}\n", writeJson(json::object{{"gateways", std::move(all)},
                                                {"committed", counts["committed"]},
                                                {"failed", counts["failed"]},
                                                {"pending", counts["pending"]},
                                                {"untouched", counts["untouched"]},
                                                {"stopped", stopped_}}));
    } else {
      fmt::print(stderr, "{} committed, {} failed, {} pending, {} untouched\n", counts["committed"],
                 counts["failed"], counts["pending"], counts["untouched"]);
    }
    return counts["committed"] == outcomes_.size() ? 0 : 1;
  }

  const FleetOptions& options_;
  FleetLink& link_;
  const MakeLetter make_;
  std::map<std::string, Outcome> outcomes_;
  std::map<std::string, std::function<Result<Letter>()>> before_;
  bool stopped_ = false;
};

Result<int> rollOut(const FleetOptions& options,
                    Result<MakeLetter> (*letters)(const FleetOptions&)) {
  auto make = letters(options);
  if (!make) return within(options.file, make.error());
  KANTE_TRY(link, connect(options, {"state", "deployment/reported", "deployment/set"}));
  const auto gateways = gatewaysFor(options, seenIn(link->messages()));
  if (gateways.empty())
    return fail(Errc::kNotFound, "no gateway with " + options.targets.front() +
                                     " has reported; kante fleet status shows those that have");
  return Rollout(options, *link, std::move(*make)).run(gateways);
}

void addBrokerOptions(CLI::App& command, FleetOptions& options, bool needs_target) {
  addBrokerOptions(command, options.broker);
  CLI::Option* target = command.add_option("--target", options.targets,
                                           "Gateways by id, or KEY=VALUE: those with this tag");
  target->type_name("ID|TAG");
  if (needs_target) target->required();
  command.add_flag("--json", options.as_json, "Print one JSON object");
}

void addTrust(CLI::App& command, FleetOptions& options, const char* whose) {
  command.add_option(
      "--trust", options.trust,
      std::string("PEM file of deployers whose documents ") + whose + " (default: --cert)");
}

void addRollout(CLI::App& command, FleetOptions& options) {
  command.add_option("FILE", options.file, "JSON")->required();
  command.add_option("--key", options.key, "The deployer's key, PEM")->type_name("K");
  command.add_option("--cert", options.certificate, "Its certificate, PEM")->type_name("C");
  command.add_option("--canary", options.canary, "So many first, alone")->type_name("N");
  command.add_option("--step", options.step, "Then so many percent at a time")
      ->check(CLI::Range(1, 100))
      ->type_name("P");
  command.add_flag("--stop-on-failure", options.stop_on_failure,
                   "No further step once one was not committed");
  command.add_option("--timeout", options.timeout_s, "Seconds for each step")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
}

int finish(const char* command, const Result<int>& result) {
  return result ? *result : reportFailure(command, result.error());
}

}  // namespace

void addFleetCommands(CLI::App& app, Context& context) {
  CLI::App* fleet = app.add_subcommand("fleet", "Many gateways, through their broker alone");
  fleet->require_subcommand(1);
  const auto options = std::make_shared<FleetOptions>();
  CLI::App* apply =
      fleet->add_subcommand("apply", "Give gateways a deployment or a layer, in steps");
  addBrokerOptions(*apply, *options, true);
  addRollout(*apply, *options);
  addTrust(*apply, *options, "come back where the new one does not stay");
  apply->add_option("--name", options->name, "Of the layer");
  apply->add_option("--priority", options->priority, "Of a layered manifest of IoT Edge")
      ->type_name("N");
  apply
      ->add_option("--condition", options->condition,
                   "Likewise, as IoT Hub's targetCondition: tags.site='muc'")
      ->type_name("C");
  apply->callback([options, &context] {
    context.exit_code = finish("fleet apply", rollOut(*options, lettersOf));
  });
  CLI::App* patch = fleet->add_subcommand(
      "patch", "Change what waits at the broker for gateways, and sign it anew, in steps");
  addBrokerOptions(*patch, *options, true);
  addRollout(*patch, *options);
  patch->add_option("--type", options->type, "merge (RFC 7386) or json (RFC 6902)")
      ->check(CLI::IsMember({"merge", "json"}))
      ->capture_default_str();
  addTrust(*patch, *options, "may be changed");
  patch->callback([options, &context] {
    context.exit_code = finish("fleet patch", rollOut(*options, patchedLettersOf));
  });
  addFleetPut(*fleet, context);
  CLI::App* look = fleet->add_subcommand("status", "What gateways report");
  addBrokerOptions(*look, *options, false);
  look->callback(
      [options, &context] { context.exit_code = finish("fleet status", status(*options)); });
}

}  // namespace kante::cli
