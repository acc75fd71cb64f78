#include "host/container/engine_facts.h"

#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <utility>

#include "host/base/json.h"
#include "host/container/engine_call.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr JsonBounds kBounds{EngineOrder::kAnswerBytesMax, 32};

Error notA(const std::string& pointer, const char* wanted) {
  return fail(Errc::kCorrupt,
              "the engine's answer has no " + std::string(wanted) + " at " + pointer);
}

// The members of one object of an answer.  null is as good as absent: Go writes it for empty lists.
class Facts {
 public:
  Facts(const json::object& object, std::string at) : object_(object), at_(std::move(at)) {}

  const json::value* find(const char* name) const {
    const auto* value = object_.if_contains(name);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  Result<std::string> text(const char* name) const {
    const auto* value = find(name);
    if (value == nullptr || !value->is_string()) return notA(at(name), "string");
    return std::string(value->as_string());
  }
  Result<std::string> textOr(const char* name, const char* absent) const {
    if (find(name) == nullptr) return std::string(absent);
    return text(name);
  }
  Result<std::int64_t> number(const char* name) const {
    const auto* value = find(name);
    if (value == nullptr || !value->is_int64()) return notA(at(name), "number");
    return value->as_int64();
  }
  Result<bool> flag(const char* name) const {
    const auto* value = find(name);
    if (value == nullptr) return false;
    if (!value->is_bool()) return notA(at(name), "boolean");
    return value->as_bool();
  }
  Result<Facts> object(const char* name) const {
    const auto* value = find(name);
    if (value == nullptr || !value->is_object()) return notA(at(name), "object");
    return Facts(value->as_object(), at(name));
  }
  Result<std::int64_t> time(const char* name) const {
    KANTE_TRY(written, text(name));
    const auto read = written.empty() ? std::optional<std::int64_t>(0) : parseEngineTime(written);
    if (!read) return notA(at(name), "time");
    return *read;
  }
  Result<std::vector<std::string>> texts(const char* name) const {
    std::vector<std::string> out;
    const auto* value = find(name);
    if (value == nullptr) return out;
    if (!value->is_array()) return notA(at(name), "list");
    for (const auto& one : value->as_array()) {
      if (!one.is_string()) return notA(at(name), "list of strings");
      out.emplace_back(one.as_string());
    }
    return out;
  }
  Result<std::map<std::string, std::string>> map(const char* name) const {
    std::map<std::string, std::string> out;
    const auto* value = find(name);
    if (value == nullptr) return out;
    if (!value->is_object()) return notA(at(name), "object");
    for (const auto& [key, one] : value->as_object()) {
      if (!one.is_string()) return notA(at(name), "object of strings");
      out.emplace(key, one.as_string());
    }
    return out;
  }
  std::string at(const char* name) const { return jsonPointer(at_, name); }

 private:
  const json::object& object_;
  std::string at_;
};

Result<json::object> objectOf(std::string_view text) {
  auto parsed = parseJsonObject(text, kBounds);
  if (!parsed)
    return fail(Errc::kCorrupt, "the engine's answer is no JSON object: " + parsed.error().text);
  return parsed;
}

template <typename T>
Result<std::vector<T>> readList(std::string_view text, Result<T> (*read)(const Facts&)) {
  const auto parsed = parseJson(text, kBounds);
  if (!parsed || !parsed->is_array()) return fail(Errc::kCorrupt, "the engine's answer is no list");
  std::vector<T> out;
  for (std::size_t i = 0; i < parsed->as_array().size(); ++i) {
    const auto& one = parsed->as_array()[i];
    if (!one.is_object()) return notA(jsonPointer("", i), "object");
    KANTE_TRY(item, read(Facts(one.as_object(), jsonPointer("", i))));
    out.push_back(std::move(item));
  }
  return out;
}

// Docker's words first, then what Podman says besides.
Result<ContainerPhase> phaseOf(const Facts& facts, const char* name) {
  static constexpr std::array<std::pair<std::string_view, ContainerPhase>, 11> kPhases{{
      {"created", ContainerPhase::kCreated},
      {"running", ContainerPhase::kRunning},
      {"paused", ContainerPhase::kPaused},
      {"restarting", ContainerPhase::kRestarting},
      {"removing", ContainerPhase::kRemoving},
      {"exited", ContainerPhase::kExited},
      {"dead", ContainerPhase::kDead},
      {"configured", ContainerPhase::kCreated},
      {"initialized", ContainerPhase::kCreated},
      {"stopping", ContainerPhase::kRunning},
      {"stopped", ContainerPhase::kExited},
  }};
  KANTE_TRY(word, facts.text(name));
  for (const auto& [known, phase] : kPhases)
    if (known == word) return phase;
  return fail(Errc::kCorrupt, "the engine says \"" + word + "\" at " + facts.at(name) +
                                  ", which is no state of a container");
}

std::string withoutSlash(std::string name) {
  if (name.starts_with('/')) name.erase(0, 1);
  return name;
}

Result<ImageFacts> imageFacts(const Facts& facts) {
  ImageFacts out;
  KANTE_TRY(id, facts.text("Id"));
  KANTE_TRY(tags, facts.texts("RepoTags"));
  out.id = std::move(id);
  out.tags = std::move(tags);
  return out;
}

Result<ContainerEntry> containerEntry(const Facts& facts) {
  ContainerEntry out;
  KANTE_TRY(id, facts.text("Id"));
  KANTE_TRY(names, facts.texts("Names"));
  KANTE_TRY(labels, facts.map("Labels"));
  KANTE_TRY(phase, phaseOf(facts, "State"));
  out.id = std::move(id);
  // One that is being made or removed may have none for a moment.
  out.name = names.empty() ? out.id : withoutSlash(std::move(names.front()));
  out.labels = std::move(labels);
  out.phase = phase;
  return out;
}

// Reads up to `count` digits from the front.
std::optional<int> digits(std::string_view& text, std::size_t count) {
  int value = 0;
  if (text.size() < count) return std::nullopt;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + count, value);
  if (failed != std::errc{} || end != text.data() + count || text[0] == '-') return std::nullopt;
  text.remove_prefix(count);
  return value;
}

bool skip(std::string_view& text, char wanted) {
  if (text.empty() || text[0] != wanted) return false;
  text.remove_prefix(1);
  return true;
}

// ".123" and no more than nine digits.
std::optional<std::int64_t> fraction(std::string_view& text) {
  std::int64_t ns = 0;
  if (!skip(text, '.')) return ns;
  std::int64_t unit = 100'000'000;
  std::size_t count = 0;
  for (; count < text.size() && text[count] >= '0' && text[count] <= '9'; ++count) {
    if (unit == 0) return std::nullopt;
    ns += (text[count] - '0') * unit;
    unit /= 10;
  }
  if (count == 0) return std::nullopt;
  text.remove_prefix(count);
  return ns;
}

// "Z" or "+hh:mm", in minutes.
std::optional<int> zone(std::string_view text) {
  if (text == "Z") return 0;
  const bool west = !text.empty() && text[0] == '-';
  if (!skip(text, '+') && !skip(text, '-')) return std::nullopt;
  const auto hours = digits(text, 2);
  if (!hours || *hours > 23 || !skip(text, ':')) return std::nullopt;
  const auto minutes = digits(text, 2);
  if (!minutes || *minutes > 59 || !text.empty()) return std::nullopt;
  return (*hours * 60 + *minutes) * (west ? -1 : 1);
}

}  // namespace

std::optional<std::int64_t> parseEngineTime(std::string_view text) {
  const auto year = digits(text, 4);
  if (!year || !skip(text, '-')) return std::nullopt;
  const auto month = digits(text, 2);
  if (!month || !skip(text, '-')) return std::nullopt;
  const auto day = digits(text, 2);
  if (!day || !skip(text, 'T')) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  const auto hour = digits(text, 2);
  if (!hour || !skip(text, ':')) return std::nullopt;
  const auto minute = digits(text, 2);
  if (!minute || !skip(text, ':')) return std::nullopt;
  const auto second = digits(text, 2);
  if (!second || !date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const auto ns = fraction(text);
  if (!ns) return std::nullopt;
  const auto offset = zone(text);
  if (!offset) return std::nullopt;
  if (*year <= 1970) return 0;
  if (*year > 2200) return std::nullopt;  // More than 64 bits of nanoseconds hold.
  const std::int64_t seconds =
      std::int64_t{std::chrono::sys_days(date).time_since_epoch().count()} * 86'400 + *hour * 3600 +
      *minute * 60 + *second - *offset * 60;
  return seconds * 1'000'000'000 + *ns;
}

std::optional<ApiVersion> parseApiVersion(std::string_view text) {
  ApiVersion out;
  const auto number = [&text](unsigned& to) {
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), to);
    if (failed != std::errc{} || to > 9999) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
  };
  if (!number(out.major) || !skip(text, '.') || !number(out.minor) || !text.empty())
    return std::nullopt;
  return out;
}

namespace {

// Of /version.
bool isOldPodman(const json::object& engine) {
  const json::value* parts = engine.if_contains("Components");
  if (parts == nullptr || !parts->is_array()) return false;
  for (const json::value& part : parts->get_array()) {
    if (!part.is_object()) continue;
    const Facts facts(part.get_object(), "/Components");
    const auto name = facts.textOr("Name", "");
    const auto version = facts.textOr("Version", "");
    if (!name || *name != "Podman Engine" || !version) continue;
    const auto known =
        parseApiVersion(version->substr(0, version->find('.', version->find('.') + 1)));
    return known && *known < ApiVersion{4, 7};
  }
  return false;
}

}  // namespace

Result<EngineFacts> readEngineFacts(std::string_view text) {
  KANTE_TRY(object, objectOf(text));
  const Facts facts(object, "");
  EngineFacts out;
  KANTE_TRY(version, facts.text("Version"));
  KANTE_TRY(newest, facts.text("ApiVersion"));
  KANTE_TRY(oldest, facts.textOr("MinAPIVersion", "1.12"));
  const auto last = parseApiVersion(newest);
  const auto first = parseApiVersion(oldest);
  if (!last) return notA("/ApiVersion", "version");
  if (!first) return notA("/MinAPIVersion", "version");
  out.knows_host_gateway = !isOldPodman(object);
  out.version = std::move(version);
  out.newest = *last;
  out.oldest = *first;
  return out;
}

// Podman has no daemon that could be away, and no such member.
Result<bool> readRunsOn(std::string_view text) {
  KANTE_TRY(object, objectOf(text));
  const json::value* kept = object.if_contains("LiveRestoreEnabled");
  return kept == nullptr || !kept->is_bool() || kept->get_bool();
}

Result<ImageFacts> readImageFacts(std::string_view text) {
  KANTE_TRY(object, objectOf(text));
  return imageFacts(Facts(object, ""));
}

Result<std::vector<ImageFacts>> readImageList(std::string_view text) {
  return readList<ImageFacts>(text, imageFacts);
}

Result<ContainerFacts> readContainerFacts(std::string_view text) {
  KANTE_TRY(object, objectOf(text));
  const Facts facts(object, "");
  KANTE_TRY(config, facts.object("Config"));
  KANTE_TRY(state, facts.object("State"));
  KANTE_TRY(id, facts.text("Id"));
  KANTE_TRY(name, facts.text("Name"));
  KANTE_TRY(image, facts.text("Image"));
  KANTE_TRY(labels, config.map("Labels"));
  KANTE_TRY(terminal, config.flag("Tty"));
  KANTE_TRY(phase, phaseOf(state, "Status"));
  KANTE_TRY(exit_code, state.number("ExitCode"));
  KANTE_TRY(oom, state.flag("OOMKilled"));
  KANTE_TRY(error, state.textOr("Error", ""));
  KANTE_TRY(started, state.time("StartedAt"));
  KANTE_TRY(finished, state.time("FinishedAt"));
  ContainerFacts out;
  out.id = std::move(id);
  out.name = withoutSlash(std::move(name));
  out.labels = std::move(labels);
  out.phase = phase;
  out.image_id = std::move(image);
  out.exit_code = exit_code;
  out.oom_killed = oom;
  out.has_terminal = terminal;
  out.error = std::move(error);
  out.started_ns = started;
  out.finished_ns = finished;
  return out;
}

Result<std::vector<ContainerEntry>> readContainerList(std::string_view text) {
  return readList<ContainerEntry>(text, containerEntry);
}

Result<std::string> readCreated(std::string_view text) {
  KANTE_TRY(object, objectOf(text));
  return Facts(object, "").text("Id");
}

Result<std::string> readGateway(std::string_view text) {
  KANTE_TRY(object, objectOf(text));
  const json::value* addresses = object.if_contains("IPAM");
  const json::value* list = addresses != nullptr && addresses->is_object()
                                ? addresses->get_object().if_contains("Config")
                                : nullptr;
  if (list == nullptr || !list->is_array()) return std::string();
  for (const json::value& one : list->get_array()) {
    if (!one.is_object()) return notA("/IPAM/Config", "list of objects");
    KANTE_TRY(gateway, Facts(one.get_object(), "/IPAM/Config").textOr("Gateway", ""));
    if (!gateway.empty()) return gateway;
  }
  return std::string();
}

Result<std::int64_t> readWaitEnd(std::string_view text) {
  KANTE_TRY(object, objectOf(text));
  const Facts facts(object, "");
  if (facts.find("Error") != nullptr) {
    KANTE_TRY(error, facts.object("Error"));
    KANTE_TRY(message, error.textOr("Message", ""));
    if (!message.empty()) return fail(Errc::kIo, "the engine says: " + message);
  }
  return facts.number("StatusCode");
}

Result<EngineEvent> readEvent(std::string_view line) {
  KANTE_TRY(object, objectOf(line));
  const Facts facts(object, "");
  KANTE_TRY(actor, facts.object("Actor"));
  KANTE_TRY(attributes, actor.map("Attributes"));
  EngineEvent out;
  KANTE_TRY(action, facts.text("Action"));
  KANTE_TRY(id, actor.text("ID"));
  out.action = std::move(action);
  out.id = std::move(id);
  if (const auto name = attributes.find("name"); name != attributes.end()) out.name = name->second;
  return out;
}

Result<PullProgress> readPullProgress(std::string_view line) {
  KANTE_TRY(object, objectOf(line));
  const Facts facts(object, "");
  KANTE_TRY(error, facts.textOr("error", ""));
  if (!error.empty()) return fail(Errc::kIo, "the engine says: " + error);
  PullProgress out;
  KANTE_TRY(layer, facts.textOr("id", ""));
  KANTE_TRY(text, facts.textOr("status", ""));
  out.layer = std::move(layer);
  out.text = std::move(text);
  if (facts.find("progressDetail") == nullptr) return out;
  KANTE_TRY(detail, facts.object("progressDetail"));
  if (detail.find("current") != nullptr) {
    KANTE_TRY(current, detail.number("current"));
    if (current > 0) out.bytes = static_cast<std::uint64_t>(current);
  }
  if (detail.find("total") != nullptr) {
    KANTE_TRY(total, detail.number("total"));
    if (total > 0) out.bytes_total = static_cast<std::uint64_t>(total);
  }
  return out;
}

std::string textOf(const PullProgress& progress) {
  std::string out = progress.layer.empty() ? progress.text : progress.layer + ": " + progress.text;
  if (progress.bytes_total > 0)
    out += " " + std::to_string(progress.bytes * 100 / progress.bytes_total) + " %";
  return out;
}

}  // namespace kante
