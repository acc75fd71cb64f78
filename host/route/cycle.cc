#include "host/route/cycle.h"

#include <algorithm>
#include <map>
#include <set>

namespace kante {
namespace {

// Modules by name; topics by the filter of all topics that a sink can make.
class Graph {
 public:
  Graph(const RouteSet& routes, std::span<const std::uint32_t> blocking,
        std::span<const ModuleOutputs> modules) {
    for (const ModuleOutputs& module : modules) addPlace(module.name, {}, pathsOf(module));
    for (const std::uint32_t i : blocking) {
      const Sink& sink = routes.routes()[i].sink;
      if (sink.kind == Sink::Kind::kTopic) addPlace(sink.text, sink.topic.filter(), {});
      if (sink.kind == Sink::Kind::kModule) addPlace(sink.module, {}, {});
    }
    for (const std::uint32_t i : blocking) addEdges(routes.routes()[i]);
  }

  // Depth first with a stack of its own: deployments come from afar.
  std::optional<std::string> cycle() const {
    enum class Mark { kNew, kOpen, kDone };
    std::vector<Mark> marks(places_.size(), Mark::kNew);
    for (std::size_t start = 0; start < places_.size(); ++start) {
      if (marks[start] != Mark::kNew) continue;
      std::vector<std::pair<std::size_t, std::set<std::size_t>::const_iterator>> way;
      const auto enter = [&](std::size_t place) {
        marks[place] = Mark::kOpen;
        way.emplace_back(place, places_[place].next.begin());
      };
      enter(start);
      while (!way.empty()) {
        auto& [place, next] = way.back();
        if (next == places_[place].next.end()) {
          marks[place] = Mark::kDone;
          way.pop_back();
          continue;
        }
        const std::size_t to = *next++;
        if (marks[to] == Mark::kOpen) return textOf(way, to);
        if (marks[to] == Mark::kNew) enter(to);
      }
    }
    return std::nullopt;
  }

 private:
  struct Place {
    std::string name;
    std::string filter;              // Of a topic.
    std::vector<std::string> paths;  // Of a module.
    std::set<std::size_t> next;
  };

  static std::vector<std::string> pathsOf(const ModuleOutputs& module) {
    const std::string path = "/messages/modules/" + module.name;
    std::vector<std::string> paths{path};
    for (const std::string& output : module.outputs) paths.push_back(path + "/outputs/" + output);
    return paths;
  }

  void addPlace(const std::string& name, std::string filter, std::vector<std::string> paths) {
    if (by_name_.try_emplace(name, places_.size()).second) {
      places_.push_back({name, std::move(filter), std::move(paths), {}});
    }
  }

  void addEdges(const Route& route) {
    if (route.sink.kind == Sink::Kind::kUpstream) return;
    const bool topic = route.sink.kind == Sink::Kind::kTopic;
    const std::size_t to = by_name_.at(topic ? route.sink.text : route.sink.module);
    for (Place& from : places_) {
      if (reaches(from, route.source)) from.next.insert(to);
    }
  }

  static bool reaches(const Place& from, const SourcePattern& source) {
    if (source.kind() == SourcePattern::Kind::kTopic) {
      return !from.filter.empty() && source.overlapsFilter(from.filter);
    }
    return std::any_of(from.paths.begin(), from.paths.end(),
                       [&](const std::string& path) { return source.matchesPath(path); });
  }

  template <typename Way>
  std::string textOf(const Way& way, std::size_t first) const {
    std::string text;
    bool inside = false;
    for (const auto& step : way) {
      inside = inside || step.first == first;
      if (inside) text += places_[step.first].name + " → ";
    }
    return text + places_[first].name;
  }

  std::vector<Place> places_;
  std::map<std::string, std::size_t> by_name_;
};

}  // namespace

std::optional<std::string> findBlockingCycle(const RouteSet& routes,
                                             std::span<const std::uint32_t> blocking,
                                             std::span<const ModuleOutputs> modules) {
  return Graph(routes, blocking, modules).cycle();
}

}  // namespace kante
