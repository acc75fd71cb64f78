// Which endpoint answers a request: method and path pattern, what body it takes, and who may ask.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "host/api/http.h"
#include "host/base/result.h"

namespace kante {

// What a route reads after the header; more is refused before it is read.
struct BodyRule {
  enum class Kind { kNone, kText, kFile } kind = Kind::kNone;
  std::uint64_t bytes_max = 0;

  static BodyRule none() { return {}; }
  static BodyRule text(std::uint64_t bytes_max) { return {Kind::kText, bytes_max}; }
  static BodyRule file(std::uint64_t bytes_max) { return {Kind::kFile, bytes_max}; }
};

// kOperators: over the API socket alone.  kReaders: also over the read-only listener (GET).
enum class Audience { kOperators, kReaders };

struct ApiRoute {
  HttpMethod method;
  std::string pattern;
  Audience audience;
  BodyRule body;
  std::function<void(ExchangePtr)> handler;
};

class Router {
 public:
  // A pattern is literal segments, "{name}" for one segment and "{name...}" for one or more: a
  // principal is "module/filter", written with its slash or with %2F.  The first route that fits
  // wins.
  void add(HttpMethod method, std::string_view pattern, Audience audience, BodyRule body,
           std::function<void(ExchangePtr)> handler);

  struct Match {
    const ApiRoute* route = nullptr;
    std::map<std::string, std::string> params;
  };
  Match find(HttpMethod method, const std::vector<std::string>& path) const;
  // What is taken at this path: "GET, PUT"; empty: nothing.
  std::string allowed(const std::vector<std::string>& path) const;

 private:
  struct Entry {
    std::vector<std::string> segments;
    ApiRoute route;
  };
  std::vector<Entry> entries_;
};

}  // namespace kante
