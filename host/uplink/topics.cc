#include "host/uplink/topics.h"

#include <vector>

#include "host/base/encoding.h"

namespace kante {
namespace {

bool plain(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

std::string encode(std::string_view names, bool (*kept)(char)) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(names.size());
  for (const char c : names) {
    if (kept(c)) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += kDigits[byte >> 4];
    encoded += kDigits[byte & 15];
  }
  return encoded;
}

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

// module/NAME, device/ID, device/ID/module/NAME; decoded.
Result<std::string> principalOf(const std::vector<std::string_view>& levels, std::size_t from,
                                std::size_t to) {
  const std::size_t count = to - from;
  const bool module = count == 2 && levels[from] == "module";
  const bool device =
      (count == 2 || (count == 4 && levels[from + 2] == "module")) && levels[from] == "device";
  if (!module && !device) return fail(Errc::kInvalid, "no such kind of principal");
  std::string principal;
  for (std::size_t i = from; i < to; ++i) {
    KANTE_TRY(name, percentDecode(levels[i]));
    if (name.empty() || name.size() > 128 || !isUtf8(name) ||
        name.find_first_of(std::string_view("/+#\0", 4)) != std::string::npos) {
      return fail(Errc::kInvalid, "a name in the topic cannot be one");
    }
    if (i > from) principal += '/';
    principal += name;
  }
  return principal;
}

}  // namespace

std::string encodeLevels(std::string_view names) {
  return encode(names, [](char c) { return plain(c) || c == '/'; });
}

std::string encodeLevel(std::string_view name) { return encode(name, plain); }

std::string gatewayTopic(std::string_view gateway, std::string_view rest) {
  return "kante/v1/" + encodeLevels(gateway) + "/" + std::string(rest);
}

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
  if (levels.size() >= 4 && levels.front() == "twin" && levels.back() == "desired") {
    topic.kind = DownTopic::Kind::kDesired;
    KANTE_TRY(principal, principalOf(levels, 1, levels.size() - 1));
    topic.principal = std::move(principal);
    return topic;
  }
  if (levels.size() < 5 || levels.front() != "methods") return notOurs(rest);
  topic.kind = DownTopic::Kind::kMethod;
  KANTE_TRY(principal, principalOf(levels, 1, levels.size() - 2));
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
