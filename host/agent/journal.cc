#include "host/agent/journal.h"

#include <boost/json.hpp>
#include <charconv>

#include "host/agent/deployment.h"
#include "host/base/json.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr char kCurrentKey[] = "current";
constexpr char kEntryPrefix[] = "entry/";
constexpr char kHandoverKey[] = "handover";
constexpr char kStatePrefix[] = "state/";
constexpr char kOverridePrefix[] = "override/";
// What the store takes as one value: documents as JSON strings within a record, and layers.
constexpr std::size_t kRecordBytesMax = 16u << 20;
constexpr JsonBounds kRecordBounds{kRecordBytesMax, kDeploymentDepthMax + 8};
constexpr std::size_t kReasonBytesMax = 4096;

std::string keyOf(std::uint64_t n) {
  const std::string digits = std::to_string(n);
  return kEntryPrefix + std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0') + digits;
}

json::array toArray(const std::vector<std::string>& texts) {
  json::array out;
  for (const std::string& text : texts) out.emplace_back(text);
  return out;
}

json::object toJson(const DocumentMark& mark) {
  return {{"series", mark.series}, {"counter", mark.counter}, {"digest", mark.digest}};
}

DocumentMark markOf(const json::value& from) {
  const json::object& object = from.as_object();
  return {object.at("series").as_string().c_str(), object.at("counter").to_number<std::uint64_t>(),
          object.at("digest").as_string().c_str()};
}

// The first of several layers and marks is alone as well, for builds that know only one.
void encodeAll(const Journal::Entry& entry, json::object& out) {
  const auto& layers = entry.said.layers;
  if (!layers.empty()) out["layer"] = layers.front();
  if (layers.size() > 1) out["layer_names"] = toArray(layers);
  if (!entry.marks.empty()) out["mark"] = toJson(entry.marks.front());
  if (entry.marks.size() < 2) return;
  json::array marks;
  for (const DocumentMark& mark : entry.marks) marks.push_back(toJson(mark));
  out["marks"] = std::move(marks);
}

std::string encode(const Journal::Entry& entry) {
  json::object out{{"n", entry.said.n},
                   {"id", entry.said.id},
                   {"version", entry.said.version},
                   {"who", entry.said.who},
                   {"when_wall_ns", entry.said.when_wall_ns},
                   {"state", entry.said.state},
                   {"reason", entry.said.reason},
                   {"changed", toArray(entry.said.changed)},
                   {"origin", entry.origin},
                   {"digests", toArray(entry.digests)},
                   {"document", entry.document}};
  if (!entry.base.empty()) out["base"] = entry.base;
  if (!entry.layers.empty()) out["layers"] = encodeLayers(entry.layers);
  if (entry.cut_off) out["cut_off"] = true;
  encodeAll(entry, out);
  return writeJson(out);
}

std::vector<std::string> texts(const json::object& object, const char* member) {
  std::vector<std::string> out;
  for (const auto& one : object.at(member).as_array()) out.emplace_back(one.as_string());
  return out;
}

// What records of builds without layers and signed documents lack, or without changes of several.
bool decodeMore(const json::object& object, Journal::Entry& entry) {
  if (object.contains("layer_names")) {
    entry.said.layers = texts(object, "layer_names");
  } else if (const auto* layer = object.if_contains("layer")) {
    entry.said.layers.emplace_back(layer->as_string());
  }
  if (const auto* base = object.if_contains("base")) entry.base = base->as_string();
  if (const auto* cut_off = object.if_contains("cut_off")) entry.cut_off = cut_off->as_bool();
  if (const auto* marks = object.if_contains("marks")) {
    for (const auto& mark : marks->as_array()) entry.marks.push_back(markOf(mark));
  } else if (const auto* mark = object.if_contains("mark")) {
    entry.marks.push_back(markOf(*mark));
  }
  if (const auto* layers = object.if_contains("layers")) {
    auto decoded = decodeLayers(layers->as_object());
    if (!decoded) return false;
    entry.layers = std::move(*decoded);
  }
  return true;
}

std::optional<Journal::Entry> decode(const std::string& text) {
  const auto parsed = parseJsonObject(text, kRecordBounds);
  if (!parsed) return {};
  try {
    const json::object& object = *parsed;
    Journal::Entry entry;
    entry.said.n = object.at("n").to_number<std::uint64_t>();
    entry.said.id = object.at("id").as_string();
    entry.said.version = object.at("version").to_number<std::uint64_t>();
    entry.said.who = object.at("who").as_string();
    entry.said.when_wall_ns = object.at("when_wall_ns").to_number<std::int64_t>();
    entry.said.state = object.at("state").as_string();
    entry.said.reason = object.at("reason").as_string();
    entry.said.changed = texts(object, "changed");
    entry.origin = object.at("origin").to_number<std::uint64_t>();
    entry.digests = texts(object, "digests");
    entry.document = object.at("document").as_string();
    if (!decodeMore(object, entry)) return {};
    return entry;
  } catch (const std::exception&) {
    return {};
  }
}

}  // namespace

Result<Journal> Journal::open(DurableMap& map, std::vector<std::string>& damage,
                              const std::string& last_end) {
  KANTE_TRY(all, map.readAll());
  Journal journal(map);
  for (const auto& [key, value] : all) {
    if (key == kCurrentKey) {
      const auto end = value.data() + value.size();
      const auto [used, error] = std::from_chars(value.data(), end, journal.current_);
      if (error != std::errc() || used != end) {
        damage.push_back("the journal does not say which deployment holds");
        journal.current_ = 0;
      }
      continue;
    }
    if (key == kHandoverKey) continue;
    if (key.starts_with(kStatePrefix)) {
      journal.state_keys_.insert(key);
      continue;
    }
    if (key.starts_with(kOverridePrefix)) {
      const std::string module = key.substr(sizeof kOverridePrefix - 1);
      if (auto override_ = decodeOverride(value)) {
        journal.overrides_[module] = std::move(*override_);
      } else {
        damage.push_back("where module " + module + " was moved to cannot be read");
      }
      continue;
    }
    auto entry = decode(value);
    if (!entry || entry->said.n == 0 || keyOf(entry->said.n) != key) {
      damage.push_back("the journal's record " + key + " cannot be read");
      continue;
    }
    journal.entries_.emplace(entry->said.n, std::move(*entry));
  }
  if (journal.current_ != 0 && !journal.entries_.contains(journal.current_)) {
    damage.push_back("the committed deployment is missing from the journal");
    journal.current_ = 0;
  }
  journal.openHandover(all, damage);
  journal.settleLeftovers(last_end);
  return journal;
}

// What was being applied when the process ended.
void Journal::settleLeftovers(const std::string& last_end) {
  for (auto& [n, entry] : entries_) {
    const bool holds = n == current_;
    if (holds && entry.said.state != kCommitted) {
      entry.said.state = kCommitted;
      entry.said.reason.clear();
      (void)write(entry);  // The same is concluded at the next start.
    } else if (!holds && entry.said.state == kApplying && !(handover_ && handover_->n == n)) {
      entry.said.state = kRolledBack;
      entry.said.reason = "the host ended while it was being applied";
      // Of several nobody knows which it was, even if a module is known to have done it.
      entry.cut_off = last_end.empty() || entry.marks.size() > 1;
      if (!last_end.empty()) entry.said.reason += ": " + last_end;
      interrupted_ = n;
      (void)write(entry);
    }
  }
}

Status Journal::write(const Entry& entry) { return map_->put(keyOf(entry.said.n), encode(entry)); }

std::uint64_t Journal::next() const { return entries_.empty() ? 1 : entries_.rbegin()->first + 1; }

std::uint64_t Journal::begin(Entry entry, Done done) {
  const std::uint64_t n = next();
  entry.said.n = n;
  entry.said.state = kApplying;
  if (entry.origin == 0) entry.origin = n;
  const auto added = entries_.emplace(n, std::move(entry)).first;
  if (Status written = write(added->second); !written) {
    entries_.erase(added);
    done(within("journal", written.error()));
    return n;
  }
  trim();
  map_->sync(std::move(done));
  return n;
}

void Journal::commit(std::uint64_t n, Done done) {
  before_commit_ = current_;
  if (Status written = map_->put(kCurrentKey, std::to_string(n)); !written)
    return done(within("journal", written.error()));
  current_ = n;
  Entry committed = entries_.at(n);
  committed.said.state = kCommitted;
  // Concluded from "current" if it is not written.
  (void)write(committed);
  if (handover_ && handover_->n == n) takenOver();
  // Nobody reads that it holds before it does.
  map_->sync(
      [this, n, alive = std::weak_ptr(alive_), done = std::move(done)](const Status& synced) {
        if (alive.expired()) return;
        const auto entry = entries_.find(n);
        if (synced && entry != entries_.end()) {
          entry->second.said.state = kCommitted;
          trim();
        }
        done(synced);
      });
}

void Journal::fail(std::uint64_t n, const std::string& reason, Again again) {
  const auto found = entries_.find(n);
  if (found == entries_.end()) return;
  if (current_ == n) {
    current_ = before_commit_;
    (void)(current_ == 0 ? map_->erase(kCurrentKey)
                         : map_->put(kCurrentKey, std::to_string(current_)));
  }
  found->second.said.state = kRolledBack;
  found->second.cut_off = again == Again::kMay;
  found->second.said.reason = reason.substr(0, kReasonBytesMax);
  found->second.document.clear();  // Nobody can bring it back.
  found->second.base.clear();
  found->second.layers.clear();
  found->second.digests.clear();
  (void)write(found->second);
  map_->sync([](const Status&) {});  // If it does not get there, a restart concludes the same.
}

// Keeps the last of each kind, so that no number of failures takes away what could come back.
void Journal::trim() {
  std::size_t committed = 0;
  std::size_t others = 0;
  std::vector<std::uint64_t> too_old;
  for (auto at = entries_.rbegin(); at != entries_.rend(); ++at) {
    std::size_t& count = at->second.said.state == kCommitted ? committed : others;
    if (++count > Agent::kHistoryMax && at->first != current_) too_old.push_back(at->first);
  }
  for (const std::uint64_t n : too_old) {
    (void)map_->erase(keyOf(n));
    entries_.erase(n);
  }
}

const Journal::Entry* Journal::find(std::uint64_t n) const {
  const auto found = entries_.find(n);
  return found == entries_.end() ? nullptr : &found->second;
}

void Journal::setOverride(const std::string& module, const std::optional<Override>& override_,
                          Done done) {
  if (!override_ && overrides_.erase(module) == 0) return done({});
  const std::string key = kOverridePrefix + module;
  if (override_) overrides_[module] = *override_;
  const Status written = override_ ? map_->put(key, encodeOverride(*override_)) : map_->erase(key);
  if (!written) return done(within("module " + module, written.error()));
  map_->sync(std::move(done));
}

const Journal::Entry* Journal::current() const { return find(current_); }

const Journal::Entry* Journal::beforeCurrent() const {
  const Entry* now = current();
  if (now == nullptr) return nullptr;
  // Seen from what the current one brought back, so that going back twice goes two steps.
  for (auto at = entries_.rbegin(); at != entries_.rend(); ++at) {
    const Entry& entry = at->second;
    // The same may have been deployed twice, with something else in between.
    const bool same = entry.baseText() == now->baseText() && entry.layers == now->layers;
    if (entry.said.n < now->origin && entry.origin == entry.said.n &&
        entry.said.state == kCommitted && !same)
      return &entry;
  }
  return nullptr;
}

std::vector<HistoryEntry> Journal::history() const {
  std::vector<HistoryEntry> all;
  for (auto at = entries_.rbegin(); at != entries_.rend(); ++at) all.push_back(at->second.said);
  return all;
}

std::set<std::string> Journal::digests() const {
  std::set<std::string> all;
  for (const auto& [n, entry] : entries_)
    if (entry.said.state != kRolledBack) all.insert(entry.digests.begin(), entry.digests.end());
  return all;
}

}  // namespace kante
