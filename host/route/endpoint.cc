#include "host/route/endpoint.h"

#include <array>

#include "host/base/encoding.h"
#include "host/route/lexer.h"

namespace kante::route_detail {
namespace {

constexpr std::size_t kInputBytesMax = 128;

// What IoT Hub allows in an id.
bool isInputName(std::string_view name) {
  constexpr std::string_view kSigns = "-:.+%_#*?!(),=@;$'";
  if (name.empty() || name.size() > kInputBytesMax) return false;
  for (const char c : name) {
    const char low = lowerAscii(c);
    const bool word = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9');
    if (!word && kSigns.find(c) == std::string_view::npos) return false;
  }
  return true;
}

// A text as a route writes it, in double quotes.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "\"";
}

}  // namespace

Result<Sink> moduleSink(std::string_view path) {
  const Error shape = fail(Errc::kInvalid, "an endpoint is written /modules/NAME/inputs/INPUT");
  std::array<std::string_view, 4> parts;
  std::string_view rest = path;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (rest.starts_with('/')) {
      rest.remove_prefix(1);
    } else if (i > 0) {
      return shape;
    }
    parts[i] = rest.substr(0, rest.find('/'));
    rest.remove_prefix(parts[i].size());
  }
  if (!rest.empty() || !sameIgnoringCase(parts[0], "modules") ||
      !sameIgnoringCase(parts[2], "inputs")) {
    return shape;
  }
  if (!isName(parts[1])) {
    return fail(Errc::kInvalid,
                "'" + std::string(parts[1]) +
                    "' is no module name: letters, digits, '.', '_' and '-', at most 64");
  }
  if (!isInputName(parts[3])) {
    return fail(Errc::kInvalid, "'" + std::string(parts[3]) + "' is no input name");
  }
  Sink sink;
  sink.kind = Sink::Kind::kModule;
  sink.module = std::string(parts[1]);
  sink.input = std::string(parts[3]);
  sink.text = "BrokeredEndpoint(\"/modules/" + sink.module + "/inputs/" + sink.input + "\")";
  return sink;
}

Result<Sink> topicSink(std::string_view topic) {
  KANTE_TRY(parsed, TopicTemplate::parse(topic));
  Sink sink;
  sink.kind = Sink::Kind::kTopic;
  sink.topic = std::move(parsed);
  sink.text = "MqttTopic(" + quoted(topic) + ")";
  return sink;
}

}  // namespace kante::route_detail
