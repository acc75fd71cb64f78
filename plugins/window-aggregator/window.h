// The open window of one key.
#pragma once

#include <kante/time.hpp>

#include "config.h"
#include "series.h"

struct Window {
  std::uint64_t count = 0;    // Messages, with or without the fields.
  std::int64_t start_ns = 0;  // Creation times of the oldest and the newest message.
  std::int64_t end_ns = 0;
  std::int64_t closed_ns =
      INT64_MIN;                      // End of the key's last closed window: what is older is late.
  std::vector<Series> series;         // In the order of Config::fields.
  std::vector<std::uint64_t> tokens;  // Durable inputs that wait for the aggregate.
  std::size_t token_bytes = 0;        // Of these.

  void add(std::int64_t created_ns) {
    start_ns = count == 0 ? created_ns : std::min(start_ns, created_ns);
    end_ns = count == 0 ? created_ns : std::max(end_ns, created_ns);
    ++count;
  }
  void reset() {
    closed_ns = std::max(closed_ns, end_ns);
    count = 0;
    series.clear();
    tokens.clear();
    token_bytes = 0;
  }

  std::size_t samples() const {
    std::size_t total = 0;
    for (const Series& one : series) total += one.samples();
    return total;
  }

  kante::Draft aggregate(const std::string& key, const Config& config, const char* reason) const {
    kante::json::Value body;
    if (!key.empty()) body["key"] = key;
    body["window"] = {{"start", kante::isoTime(start_ns)},
                      {"end", kante::isoTime(end_ns)},
                      {"count", count},
                      {"reason", reason}};
    kante::json::Value& fields = body["fields"] = kante::json::Object();
    for (std::size_t i = 0; i < series.size(); ++i)
      fields[config.fields[i].name] = series[i].summary();
    kante::Draft draft = kante::Draft::json(body);
    if (!key.empty()) draft.property("key", key);
    return draft;
  }

  kante::json::Value toJson(const std::string& key) const {
    kante::json::Array fields;
    for (const Series& one : series) fields.push_back(one.toJson());
    return {{"key", key},       {"count", count},         {"start_ns", start_ns},
            {"end_ns", end_ns}, {"closed_ns", closed_ns}, {"fields", fields}};
  }
  // Throws Failure for anything else than what toJson() gave with as many fields.
  static Window fromJson(const kante::json::Value& json, std::size_t field_count) {
    kante::Fields fields(json);
    Window window;
    fields.string("key");
    window.count = static_cast<std::uint64_t>(fields.integer("count", {0, INT64_MAX}));
    window.start_ns = fields.integer("start_ns", {INT64_MIN, INT64_MAX});
    window.end_ns = fields.integer("end_ns", {INT64_MIN, INT64_MAX});
    window.closed_ns = fields.integer("closed_ns", {INT64_MIN, INT64_MAX});
    const kante::json::Value* series = fields.value("fields");
    if (series == nullptr || !series->isArray()) fields.refuse("fields", "should be an array");
    for (const kante::json::Value& one : *series->array())
      window.series.push_back(Series::fromJson(one));
    if (window.series.size() != (window.count == 0 ? 0 : field_count)) {
      fields.refuse("fields", "should be as many as the configuration has");
    }
    fields.end();
    return window;
  }
};
