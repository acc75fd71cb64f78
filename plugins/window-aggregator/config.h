// The configuration of a window-aggregator.
#pragma once

#include "plugins/common/message_key.h"

struct Config {
  static constexpr std::size_t kFieldsMax = 16;
  // Of all windows together: 4 million doubles are 32 MiB.
  static constexpr std::size_t kSamplesTotalMax = 4'000'000;

  struct Field {
    std::string name;  // In the aggregate.
    std::string path;  // In the body of an input.
  };
  enum class Late { kInclude, kDrop };

  std::vector<Field> fields{{"machine.temperature", "machine.temperature"}};
  std::chrono::milliseconds window{10'000};  // 0: by count alone.
  std::uint64_t window_count = 0;            // 0: by time alone.
  MessageKey key;
  std::size_t keys_max = 1'000;
  std::size_t samples_max = 1'000;  // A field in a window.
  Late late = Late::kInclude;

  static Config parse(const kante::json::Value& json) {
    Config config;
    kante::Fields fields(json);
    if (const kante::json::Value* wanted = fields.value("fields"))
      config.fields = parseFields(fields, *wanted);
    config.window_count =
        static_cast<std::uint64_t>(fields.integer("window_count", 0, {0, 1'000'000'000}));
    const std::int64_t window_ms = config.window_count == 0 ? 10'000 : 0;
    config.window =
        std::chrono::milliseconds(fields.integer("window_ms", window_ms, {0, 86'400'000}));
    if (config.window.count() == 0 && config.window_count == 0) {
      fields.refuse("window_ms",
                    "and window_count should not both be 0: the window would never end");
    }
    config.key = MessageKey::parse(fields);
    config.keys_max = static_cast<std::size_t>(fields.integer("keys_max", 1'000, {1, 100'000}));
    const std::size_t share = kSamplesTotalMax / (config.keys_max * config.fields.size());
    const auto samples =
        static_cast<std::size_t>(fields.integer("samples_max", 1'000, {1, 100'000}));
    config.samples_max = std::max<std::size_t>(1, std::min(samples, share));
    config.late = fields.oneOf("late", {"include", "drop"}) == 0 ? Late::kInclude : Late::kDrop;
    fields.end();
    return config;
  }

 private:
  // ["a.b", …], or {"name in the aggregate": "path", …}.
  static std::vector<Field> parseFields(kante::Fields& fields, const kante::json::Value& wanted) {
    std::vector<Field> out;
    if (wanted.isArray()) {
      for (const std::string& path : fields.strings("fields", {}, kFieldsMax))
        out.push_back({path, path});
    } else {
      kante::Fields names = fields.object("fields");
      for (const kante::json::Member& member : *wanted.object()) {
        out.push_back({member.first, names.string(member.first)});
      }
    }
    if (out.empty() || out.size() > kFieldsMax) {
      fields.refuse("fields", "should name 1 to " + std::to_string(kFieldsMax) + " fields");
    }
    for (const Field& field : out) {
      if (field.path.empty() || field.name.empty())
        fields.refuse("fields", "should have no empty name");
    }
    return out;
  }
};
