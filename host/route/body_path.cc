#include "host/route/body_path.h"

#include <charconv>

namespace kante::route_detail {

RouteResult<BodyPath> parseBodyPath(std::string_view text) {
  BodyPath path;
  std::size_t at = 0;
  const auto full = [&] { return path.size() >= kBodyPathStepsMax; };
  const RouteError too_long(
      "a body path has at most " + std::to_string(kBodyPathStepsMax) + " steps", 0);
  for (;;) {
    const std::size_t end = std::min(text.find_first_of(".[]", at), text.size());
    if (end == at) return RouteError("expected a member's name in the body path", at);
    if (full()) return too_long;
    path.push_back({std::string(text.substr(at, end - at)), 0, false});
    at = end;
    while (at < text.size() && text[at] == '[') {
      PathStep step{{}, 0, true};
      const char* const first = text.data() + at + 1;
      const char* const last = text.data() + text.size();
      const auto read = std::from_chars(first, last, step.index);
      if (read.ec != std::errc() || read.ptr == last || *read.ptr != ']') {
        return RouteError("expected an element's number and ] in the body path, like list[0]", at);
      }
      if (full()) return too_long;
      path.push_back(step);
      at = static_cast<std::size_t>(read.ptr - text.data()) + 1;
    }
    if (at == text.size()) return path;
    if (text[at] != '.') return RouteError("expected . or the end of the body path", at);
    ++at;
  }
}

}  // namespace kante::route_detail
