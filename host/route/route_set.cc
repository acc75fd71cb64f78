#include "host/route/route_set.h"

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>
#include <utility>

#include "host/route/condition.h"
#include "host/route/parser.h"
#include "host/route/source_index.h"

namespace kante {

using route_detail::CompiledSet;
using route_detail::Condition;
using route_detail::Equality;
using route_detail::RouteSyntax;
using route_detail::SourceIndex;
using route_detail::ValueIndex;

namespace {

// Collects parsed routes; then decides, knowing all of them, which equality of each its index goes
// by.
class Compiler {
 public:
  Compiler() : set_(std::make_shared<CompiledSet>()) {}

  void add(RouteDefinition definition, RouteSyntax syntax) {
    Route route{std::move(definition), syntax.source, syntax.sink, 0, !syntax.nodes.empty()};
    const auto [sink, is_new] =
        sinks_.try_emplace(syntax.sink.text, static_cast<std::uint32_t>(sinks_.size()));
    (void)is_new;
    route.sink_number = sink->second;
    set_->routes.push_back(std::move(route));
    Draft draft;
    draft.nodes = std::move(syntax.nodes);
    if (!draft.nodes.empty()) {
      draft.conjuncts = route_detail::conjunctsOf(draft.nodes);
      draft.equalities = route_detail::equalitiesOf(draft.nodes, draft.conjuncts, set_->operands);
    }
    for (const Equality& equality : draft.equalities) {
      texts_[equality.operand].insert(equality.texts.begin(), equality.texts.end());
    }
    drafts_.push_back(std::move(draft));
  }

  std::shared_ptr<const CompiledSet> finish() {
    for (Draft& draft : drafts_) set_->conditions.push_back(condition(draft));
    set_->operands.freeze();
    set_->sinks = sinks_.size();
    return std::move(set_);
  }

 private:
  struct Draft {
    std::vector<route_detail::Node> nodes;
    std::vector<std::uint32_t> conjuncts;
    std::vector<Equality> equalities;
  };

  Condition condition(Draft& draft) {
    Condition condition;
    const auto& nodes = draft.nodes;
    if (nodes.empty()) return condition;
    const route_detail::Node& root = nodes.back();
    condition.whole =
        set_->programs.compile(nodes, static_cast<std::uint32_t>(nodes.size() - 1), set_->operands);
    if (root.kind == route_detail::NodeKind::kBool && root.truth) return condition;
    condition.kind = Condition::Kind::kGeneral;
    // The operand that is compared with most texts: its value tells most routes apart.
    const auto best = std::max_element(draft.equalities.begin(), draft.equalities.end(),
                                       [this](const Equality& a, const Equality& b) {
                                         return texts_[a.operand].size() < texts_[b.operand].size();
                                       });
    if (best != draft.equalities.end()) {
      condition.kind = Condition::Kind::kIndexed;
      condition.equality = std::move(*best);
      std::erase(draft.conjuncts, condition.equality.conjunct);
      if (draft.conjuncts.empty()) return condition;
    }
    condition.rest = set_->programs.compileAll(nodes, draft.conjuncts, set_->operands);
    return condition;
  }

  std::shared_ptr<CompiledSet> set_;
  std::vector<Draft> drafts_;
  std::map<std::string, std::uint32_t> sinks_;
  std::map<std::uint32_t, std::set<std::string>> texts_;  // That the set compares an operand with.
};

const std::shared_ptr<const CompiledSet>& emptySet() {
  static const std::shared_ptr<const CompiledSet> set = Compiler().finish();
  return set;
}

}  // namespace

std::string RouteSetError::text() const {
  return "route " + name + ": character " + std::to_string(error.position) + ": " + error.text;
}

void throw_exception_from_error(const RouteSetError& error, const boost::source_location&) {
  throw std::runtime_error(error.text());
}

// ---- RouteSet
// --------------------------------------------------------------------------------------------------

RouteSet::RouteSet() : set_(emptySet()) {}
RouteSet::~RouteSet() = default;
RouteSet::RouteSet(const RouteSet&) = default;
RouteSet& RouteSet::operator=(const RouteSet&) = default;

boost::system::result<RouteSet, RouteSetError> RouteSet::compile(
    std::vector<RouteDefinition> definitions) {
  if (definitions.size() > kRoutesMax) {
    return RouteSetError{
        kRoutesMax, definitions[kRoutesMax].name,
        RouteError("a deployment has at most " + std::to_string(kRoutesMax) + " routes", 0)};
  }
  Compiler compiler;
  for (std::size_t i = 0; i < definitions.size(); ++i) {
    auto syntax = route_detail::parseRoute(definitions[i].text);
    if (syntax.has_error()) return RouteSetError{i, definitions[i].name, syntax.error()};
    compiler.add(std::move(definitions[i]), std::move(*syntax));
  }
  RouteSet routes;
  routes.set_ = compiler.finish();
  return routes;
}

std::span<const Route> RouteSet::routes() const { return set_->routes; }
std::size_t RouteSet::sinkCount() const { return set_->sinks; }

SourceRoutes RouteSet::forSource(const Source& source) const {
  auto index = std::make_unique<SourceIndex>();
  index->set = set_;
  std::map<std::uint32_t, std::size_t> places;  // Of an operand's index in by_value.
  for (std::uint32_t i = 0; i < set_->routes.size(); ++i) {
    if (!set_->routes[i].source.matches(source)) continue;
    index->all.push_back(i);
    const Condition& condition = set_->conditions[i];
    if (condition.kind == Condition::Kind::kAlways) index->always.push_back(i);
    if (condition.kind == Condition::Kind::kGeneral) index->others.push_back({i, condition.rest});
    if (condition.kind != Condition::Kind::kIndexed) continue;
    const auto [place, is_new] =
        places.try_emplace(condition.equality.operand, index->by_value.size());
    if (is_new) index->by_value.emplace_back(condition.equality.operand);
    for (const std::string& text : condition.equality.texts) {
      index->by_value[place->second].add(text, {i, condition.rest});
    }
  }
  for (ValueIndex& values : index->by_value) values.freeze();
  SourceRoutes routes;
  routes.always_ = index->always;
  routes.always_only_ = index->by_value.empty() && index->others.empty();
  routes.index_ = std::move(index);
  return routes;
}

std::vector<std::uint32_t> RouteSet::matchOneByOne(const RouteInput& input,
                                                   MatchScratch& scratch) const {
  std::vector<std::uint32_t> matched;
  route_detail::Evaluation& evaluation = scratch.evaluation();
  for (std::uint32_t i = 0; i < set_->routes.size(); ++i) {
    if (!set_->routes[i].source.matches(*input.source)) continue;
    evaluation.begin(set_->operands, input);
    const Condition& condition = set_->conditions[i];
    if (condition.whole.empty() || set_->programs.isTrue(condition.whole, evaluation))
      matched.push_back(i);
  }
  return matched;
}

// ---- SourceRoutes
// ----------------------------------------------------------------------------------------------

SourceRoutes::SourceRoutes() = default;
SourceRoutes::~SourceRoutes() = default;
SourceRoutes::SourceRoutes(SourceRoutes&&) noexcept = default;
SourceRoutes& SourceRoutes::operator=(SourceRoutes&&) noexcept = default;

std::span<const std::uint32_t> SourceRoutes::candidates() const {
  return index_ == nullptr ? std::span<const std::uint32_t>() : index_->all;
}

std::span<const std::uint32_t> SourceRoutes::matchConditions(const RouteInput& input,
                                                             MatchScratch& scratch) const {
  route_detail::Evaluation& evaluation = scratch.evaluation();
  evaluation.begin(index_->set->operands, input);
  index_->match(evaluation);
  return evaluation.matched();
}

RouteResult<Route> compileRoute(std::string_view text) {
  RouteDefinition definition;
  definition.text = std::string(text);
  auto set = RouteSet::compile({std::move(definition)});
  if (set.has_error()) return set.error().error;
  return set->routes()[0];
}

}  // namespace kante
