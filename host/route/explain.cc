#include "host/route/explain.h"

#include "host/route/parser.h"
#include "host/route/reason.h"

namespace kante {
namespace {

std::string whyNotFromHere(const route_detail::RouteSyntax& syntax, const Source& source) {
  if (syntax.source.kind() == SourcePattern::Kind::kPath) {
    if (source.path.empty())
      return "the message has no source path, so " + syntax.source_text + " never matches it";
    return "the source " + source.path + " is not in " + syntax.source_text;
  }
  if (source.topic.empty())
    return "the message came over no topic, so " + syntax.source_text + " never matches it";
  return "the topic " + source.topic + " does not match " + syntax.source_text;
}

std::string whereFrom(const route_detail::RouteSyntax& syntax, const Source& source) {
  const bool topic = syntax.source.kind() == SourcePattern::Kind::kTopic;
  return (topic ? "the topic " + source.topic + " matches "
                : "the source " + source.path + " is in ") +
         syntax.source_text;
}

void addSink(const Sink& sink, const RouteInput& input, ExplainResult& result) {
  if (sink.kind != Sink::Kind::kTopic) {
    result.sinks.push_back(sink.text);
    return;
  }
  std::string topic;
  if (sink.topic.fill(input, topic)) {
    result.sinks.push_back("MqttTopic(\"" + topic + "\")");
  } else {
    result.because += "; but " + sink.text +
                      " makes no topic of it: a placeholder has no value, or one with + # or /";
  }
}

}  // namespace

const char* name(ExplainResult::Outcome outcome) {
  switch (outcome) {
    case ExplainResult::Outcome::kMatch: return "match";
    case ExplainResult::Outcome::kNoMatch: return "no match";
    case ExplainResult::Outcome::kUndefined: return "undefined";
  }
  return "";
}

RouteResult<ExplainResult> explainRoute(std::string_view route, const RouteInput& input) {
  KANTE_TRY(syntax, route_detail::parseRoute(route));
  ExplainResult result;
  if (!syntax.source.matches(*input.source)) {
    result.because = whyNotFromHere(syntax, *input.source);
    return result;
  }
  if (syntax.nodes.empty()) {
    result.outcome = ExplainResult::Outcome::kMatch;
    result.because = whereFrom(syntax, *input.source) + " and there is no WHERE";
    addSink(syntax.sink, input, result);
    return result;
  }
  route_detail::Reason reason(syntax, input);
  const route_detail::Value value = reason.outcome();
  result.outcome = value.isTrue()    ? ExplainResult::Outcome::kMatch
                   : value.isFalse() ? ExplainResult::Outcome::kNoMatch
                                     : ExplainResult::Outcome::kUndefined;
  result.because = reason.because();
  if (value.isTrue()) addSink(syntax.sink, input, result);
  return result;
}

}  // namespace kante
