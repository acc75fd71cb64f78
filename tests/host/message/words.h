// Messages as plain words, for tests that break them.
#pragma once

#include <kante/message.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "host/message/message.h"

namespace kante {

using Words = std::vector<std::uint64_t>;
using Pairs = std::vector<std::pair<std::string, std::string>>;

struct Content {
  std::string body = R"({"temperature":21.5})";
  std::string content_type = "application/json";
  std::string content_encoding = "utf-8";
  Pairs properties;
  Pairs system;
  MessageId id;
  std::int64_t created_ns = 0;
};

inline std::vector<kante_property> propertiesOf(const Pairs& pairs) {
  std::vector<kante_property> out;
  for (const auto& [name, value] : pairs) out.push_back({toStr(name), toStr(value)});
  return out;
}

// Canonical words; empty when the content breaks a rule.
inline Words wordsOf(const Content& content) {
  const auto properties = propertiesOf(content.properties);
  const auto system = propertiesOf(content.system);
  kante_message message{};
  message.id_high = content.id.high;
  message.id_low = content.id.low;
  message.created_ns = content.created_ns;
  message.content_type = toStr(content.content_type);
  message.content_encoding = toStr(content.content_encoding);
  message.properties = properties.data();
  message.property_count = static_cast<std::uint32_t>(properties.size());
  message.system = system.data();
  message.system_count = static_cast<std::uint32_t>(system.size());
  message.body = toStr(content.body);
  Words words(kante_message_words(&message));
  if (!words.empty()) {
    kante_message_write(&message, words.data(), static_cast<std::uint32_t>(words.size()));
  }
  return words;
}

inline std::uint32_t sizeOf(const Words& words) { return static_cast<std::uint32_t>(words.size()); }

inline bool walks(const Words& words) {
  std::uint32_t flags = 0;
  return kante_message_check(words.data(), sizeOf(words), &flags) == KANTE_CHECK_CANONICAL;
}

inline Pairs propertiesOf(MessageView view) {
  Pairs out;
  for (std::uint32_t i = 0; i < view.propertyCount(); ++i) {
    out.emplace_back(view.property(i).first, view.property(i).second);
  }
  return out;
}

}  // namespace kante
