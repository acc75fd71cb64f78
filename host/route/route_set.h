// The compiled routes of one deployment: an immutable snapshot, and what each source needs of it.
//
// compile() once a deployment; forSource() once a source (a module's output, a session's topic)
// when the snapshot is taken; match() once a message.  The cost of match() does not grow with
// routes of other sources, nor with routes that compare one property (or $system property, or $body
// value) with different texts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/route/error.h"
#include "host/route/match_scratch.h"
#include "host/route/route_input.h"
#include "host/route/sink.h"
#include "host/route/source_pattern.h"

namespace kante {

inline constexpr std::size_t kRoutesMax = 10'000;          // In one set.
inline constexpr std::size_t kRouteCharactersMax = 4'096;  // In one text.
inline constexpr std::size_t kRouteDepthMax = 64;          // Nested parentheses and calls.

struct RouteDefinition {
  std::string name;
  std::string text;
  int priority = 9;         // 0 first, 9 last.
  std::uint32_t ttl_s = 0;  // 0: no limit.
  std::uint64_t index = 0;  // The caller's own number; not looked at.
};

// One compiled route as its user sees it.
struct Route {
  RouteDefinition definition;
  SourcePattern source;
  Sink sink;
  std::uint32_t sink_number =
      0;                     // Routes of one set with equal sinks have the same; numbered from 0.
  bool conditional = false;  // Has a WHERE.
};

struct RouteSetError {
  std::size_t definition = 0;  // Which of the definitions, from 0.
  std::string name;
  RouteError error;
  std::string text() const;  // "route up: character 14: expected INTO …"
};

[[noreturn]] void throw_exception_from_error(const RouteSetError& error,
                                             const boost::source_location& where);

namespace route_detail {
struct CompiledSet;
struct SourceIndex;
}  // namespace route_detail

// The routes that listen to one source.  Holds its share of the set alive; moves, any thread may
// match with its own scratch.
class SourceRoutes {
 public:
  SourceRoutes();  // Matches nothing.
  SourceRoutes(SourceRoutes&&) noexcept;
  SourceRoutes& operator=(SourceRoutes&&) noexcept;
  ~SourceRoutes();

  // The positions in the set of the routes that this message takes, in the order of definition.
  // Valid until the next match() with this scratch.  The message must come from the source given to
  // forSource().  No allocation, but for the first matches of a scratch and for texts that
  // functions build beyond kEvaluationBytesInline.
  std::span<const std::uint32_t> match(const RouteInput& input, MatchScratch& scratch) const {
    if (always_only_) return always_;
    return matchConditions(input, scratch);
  }

  // True when match() gives always() whatever the message is, so it need not be called at all.
  bool isUnconditional() const { return always_only_; }
  std::span<const std::uint32_t> always() const { return always_; }
  std::span<const std::uint32_t> candidates() const;  // All that some message could take.

 private:
  friend class RouteSet;
  std::span<const std::uint32_t> matchConditions(const RouteInput& input,
                                                 MatchScratch& scratch) const;

  bool always_only_ = true;
  std::span<const std::uint32_t> always_;  // Into index_.
  std::unique_ptr<const route_detail::SourceIndex> index_;
};

// Immutable after compile(); any thread.  Copies share one compiled set (joint owners: the snapshot
// and each SourceRoutes made from it).
class RouteSet {
 public:
  RouteSet();  // No routes.
  ~RouteSet();
  RouteSet(const RouteSet&);
  RouteSet& operator=(const RouteSet&);

  // All or nothing: the first route that does not compile is named.
  static boost::system::result<RouteSet, RouteSetError> compile(
      std::vector<RouteDefinition> definitions);

  std::span<const Route> routes() const;
  std::size_t sinkCount() const;
  SourceRoutes forSource(const Source& source) const;

  // One by one, without any index: the reference that tests hold match() against.
  std::vector<std::uint32_t> matchOneByOne(const RouteInput& input, MatchScratch& scratch) const;

 private:
  std::shared_ptr<const route_detail::CompiledSet> set_;
};

// Compiles alone, to check a text.
RouteResult<Route> compileRoute(std::string_view text);

}  // namespace kante
