#include "host/api/router.h"

#include <optional>

namespace kante {
namespace {

using Segments = std::vector<std::string>;
using Params = std::map<std::string, std::string>;

bool isRest(const std::string& segment) { return segment.ends_with("...}"); }
bool isParam(const std::string& segment) { return segment.starts_with('{'); }

std::string paramName(const std::string& segment) {
  return segment.substr(1, segment.size() - (isRest(segment) ? 5 : 2));
}

// At most one segment of a pattern is a rest, so its length follows from the others.
std::optional<Params> fit(const Segments& pattern, const Segments& path) {
  Params params;
  std::size_t at = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::size_t after = pattern.size() - i - 1;
    if (path.size() < at + after + 1) return std::nullopt;
    std::size_t take = 1;
    if (isRest(pattern[i])) take = path.size() - at - after;
    if (isParam(pattern[i])) {
      std::string value = path[at];
      for (std::size_t j = 1; j < take; ++j) value += "/" + path[at + j];
      params[paramName(pattern[i])] = std::move(value);
    } else if (pattern[i] != path[at]) {
      return std::nullopt;
    }
    at += take;
  }
  if (at != path.size()) return std::nullopt;
  return params;
}

}  // namespace

const char* name(HttpMethod method) {
  static constexpr const char* kNames[] = {"GET", "PUT", "PATCH", "POST", "DELETE"};
  return kNames[static_cast<int>(method)];
}

namespace {
const std::string& valueOf(const Params& from, const std::string& key) {
  static const std::string kNone;
  const auto at = from.find(key);
  return at == from.end() ? kNone : at->second;
}
}  // namespace

const std::string& HttpRequest::param(const std::string& key) const { return valueOf(params, key); }
const std::string& HttpRequest::queryValue(const std::string& key) const {
  return valueOf(query, key);
}

void Router::add(HttpMethod method, std::string_view pattern, Audience audience, BodyRule body,
                 std::function<void(ExchangePtr)> handler) {
  Segments segments;
  std::string_view rest = pattern;
  while (!rest.empty()) {
    rest.remove_prefix(1);  // The slash.
    const std::string_view segment = rest.substr(0, rest.find('/'));
    if (!segment.empty()) segments.emplace_back(segment);
    rest.remove_prefix(segment.size());
  }
  entries_.push_back(
      {std::move(segments), {method, std::string(pattern), audience, body, std::move(handler)}});
}

Router::Match Router::find(HttpMethod method, const std::vector<std::string>& path) const {
  Match match;
  for (const Entry& entry : entries_) {
    if (entry.route.method != method) continue;
    auto params = fit(entry.segments, path);
    if (!params) continue;
    match.route = &entry.route;
    match.params = std::move(*params);
    return match;
  }
  return match;
}

std::string Router::allowed(const std::vector<std::string>& path) const {
  std::string methods;
  for (const Entry& entry : entries_)
    if (fit(entry.segments, path))
      methods += (methods.empty() ? "" : ", ") + std::string(name(entry.route.method));
  return methods;
}

}  // namespace kante
