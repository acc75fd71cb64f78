// The INTO of a route: where what matches goes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/route/route_input.h"

namespace kante {

// MqttTopic("alerts/{$connectionDeviceId}/{level}"): text with the message's own values filled in.
class TopicTemplate {
 public:
  TopicTemplate() = default;
  // Fails on wildcards, empty or unknown placeholders, a topic that begins with "$", or too long a
  // text.
  static Result<TopicTemplate> parse(std::string_view text);

  // False when a placeholder has no value, or one that is empty or contains + # / or U+0000 (then
  // the message has no topic and is dropped): such a value would choose another level than the
  // route's author meant.
  bool fill(const RouteInput& input, std::string& topic) const;
  bool isConstant() const { return parts_.size() == 1 && parts_[0].kind == Part::kText; }
  // The filter of all topics that fill() can make: a level with a placeholder becomes "+".
  std::string filter() const;

 private:
  struct Part {
    enum Kind { kText, kProperty, kSystem } kind = kText;
    std::string text;  // Or the name of the property.
  };
  std::vector<Part> parts_;
};

struct Sink {
  enum class Kind { kUpstream, kModule, kTopic };

  Kind kind = Kind::kUpstream;
  std::string module;  // kModule: BrokeredEndpoint("/modules/MODULE/inputs/INPUT")
  std::string input;
  TopicTemplate topic;  // kTopic
  std::string text;  // Canonical: $upstream, BrokeredEndpoint("…"), MqttTopic("…").  Equal text,
                     // equal sink.
};

}  // namespace kante
