#include "host/api/target.h"

#include <arpa/inet.h>

#include <algorithm>

#include "host/base/encoding.h"

namespace kante {
namespace {

bool hasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Result<std::string> decodePart(std::string_view part) {
  KANTE_TRY(decoded, percentDecode(part));
  if (hasControl(decoded) || !isUtf8(decoded)) {
    return fail(Errc::kInvalid, "The path or query has a control character or is not UTF-8");
  }
  return decoded;
}

Status parseQuery(std::string_view query, RequestTarget& out) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.empty()) continue;
    if (out.query.size() == RequestTarget::kQueryMax) {
      return fail(Errc::kLimit, "The query has more than 16 parameters");
    }
    const std::size_t equals = std::min(pair.find('='), pair.size());
    KANTE_TRY(key, decodePart(pair.substr(0, equals)));
    KANTE_TRY(value, decodePart(pair.substr(std::min(equals + 1, pair.size()))));
    out.query[key] = value;
  }
  return {};
}

}  // namespace

Result<RequestTarget> parseTarget(std::string_view target) {
  if (target.size() > RequestTarget::kBytesMax) {
    return fail(Errc::kLimit, "The request target is longer than 4096 bytes");
  }
  if (target.empty() || target.front() != '/') {
    return fail(Errc::kInvalid, "The request target does not begin with '/'");
  }
  RequestTarget out;
  const std::size_t question = std::min(target.find('?'), target.size());
  std::string_view path = target.substr(1, question - 1);
  if (path.ends_with('/')) path.remove_suffix(1);
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('/'));
    const bool more = part.size() < path.size();
    path.remove_prefix(part.size() + (more ? 1 : 0));
    KANTE_TRY(segment, decodePart(part));
    if (segment.empty() || segment == "." || segment == ".." || (more && path.empty())) {
      return fail(Errc::kInvalid, "The path has an empty, '.' or '..' segment");
    }
    if (out.path.size() == RequestTarget::kSegmentsMax) {
      return fail(Errc::kLimit, "The path has more than 16 segments");
    }
    out.path.push_back(std::move(segment));
  }
  KANTE_CHECK(parseQuery(target.substr(std::min(question + 1, target.size())), out));
  return out;
}

std::string hostOf(std::string_view header) {
  std::size_t end = header.find(':');
  if (header.starts_with('[')) {
    end = header.find(']');
    if (end == std::string_view::npos) return {};
    ++end;
  }
  std::string host(header.substr(0, end));
  std::transform(host.begin(), host.end(), host.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
  });
  if (host.ends_with('.')) host.pop_back();
  return host;
}

bool isAddress(const std::string& host) {
  in6_addr six{};
  in_addr four{};
  if (host.size() > 2 && host.front() == '[') {
    return inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &six) == 1;
  }
  return inet_pton(AF_INET, host.c_str(), &four) == 1;
}

}  // namespace kante
