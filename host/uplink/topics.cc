#include "host/uplink/topics.h"

#include <vector>

#include "host/base/encoding.h"

namespace kante {
namespace {

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> levels;
  for (;;) {
    const std::size_t slash = text.find('/');
    levels.push_back(text.substr(0, slash));
    if (slash == std::string_view::npos) return levels;
    text.remove_prefix(slash + 1);
  }
}

Error notOurs(std::string_view topic) {
  return fail(Errc::kInvalid, "topic " + std::string(topic) + ": not one that this gateway serves");
}

// The levels from one to before the other, which split() made of one text.
std::string_view joined(const std::vector<std::string_view>& levels, std::size_t from,
                        std::size_t to) {
  const std::string_view last = levels[to - 1];
  return {levels[from].data(),
          static_cast<std::size_t>(last.data() + last.size() - levels[from].data())};
}

}  // namespace

Result<TelemetryTopic> TelemetryTopic::parse(std::string_view text, std::string_view gateway) {
  constexpr std::string_view kGateway = "{gateway}";
  constexpr std::string_view kSource = "{source}";
  const auto bad = [&](const std::string& why) {
    return fail(Errc::kInvalid, "[uplink] topic \"" + std::string(text) + "\": " + why);
  };
  std::string filled(text);
  for (std::size_t at; (at = filled.find(kGateway)) != std::string::npos;) {
    filled.replace(at, kGateway.size(), encodeLevels(gateway));
  }
  const std::size_t source = filled.find(kSource);
  if (source == std::string::npos) return bad("needs {source}, or all sources are mixed");
  TelemetryTopic topic;
  topic.before_ = filled.substr(0, source);
  topic.after_ = filled.substr(source + kSource.size());
  const std::string rest = topic.before_ + topic.after_;
  if (rest.find_first_of("{}") != std::string::npos) {
    return bad("knows {gateway} and {source}, each source once");
  }
  if (rest.find_first_of("+#") != std::string::npos)
    return bad("no wildcards in a topic to publish to");
  if (rest.starts_with('$')) return bad("topics that begin with $ belong to the broker");
  if (!isUtf8(rest) || rest.size() > 1024) return bad("is no UTF-8 of at most 1024 bytes");
  return topic;
}

std::string TelemetryTopic::fill(std::string_view source) const {
  return before_ + encodeLevels(source) + after_;
}

Result<DownTopic> parseDownTopic(std::string_view rest) {
  const std::vector<std::string_view> levels = split(rest);
  DownTopic topic;
  if (levels.size() == 4 && levels[0] == "c2d") {
    topic.kind = DownTopic::Kind::kCloud;
    KANTE_TRY(principal, hub::decodePrincipal(joined(levels, 1, 3)));
    topic.principal = std::move(principal);
    KANTE_TRY(id, percentDecode(levels[3]));
    if (id.empty() || id.size() > kRequestIdBytesMax || !isUtf8(id)) return notOurs(rest);
    topic.request_id = std::move(id);
    return topic;
  }
  if (levels.size() >= 3 && levels.front() == "twin" && levels.back() == "desired") {
    topic.kind = DownTopic::Kind::kDesired;
    KANTE_TRY(principal, hub::decodePrincipal(joined(levels, 1, levels.size() - 1)));
    topic.principal = std::move(principal);
    return topic;
  }
  if (levels.size() < 4 || levels.front() != "methods") return notOurs(rest);
  topic.kind = DownTopic::Kind::kMethod;
  KANTE_TRY(principal, hub::decodePrincipal(joined(levels, 1, levels.size() - 2)));
  KANTE_TRY(method, percentDecode(levels[levels.size() - 2]));
  KANTE_TRY(request_id, percentDecode(levels.back()));
  if (method.empty() || request_id.empty() || request_id.size() > kRequestIdBytesMax ||
      !isUtf8(method) || !isUtf8(request_id)) {
    return notOurs(rest);
  }
  topic.principal = std::move(principal);
  topic.method = std::move(method);
  topic.request_id = std::move(request_id);
  return topic;
}

}  // namespace kante
