#include "tests/durability/report.h"

#include <algorithm>

namespace kante::durability {
namespace {

void append(std::vector<std::string>& into, const std::vector<std::string>& more) {
  into.insert(into.end(), more.begin(), more.end());
}

void merge(Verdict& into, const Verdict& more) {
  into.epochs += more.epochs;
  into.numbers += more.numbers;
  into.arrivals += more.arrivals;
  into.missing += more.missing;
  into.duplicates += more.duplicates;
  into.duplicates_max_per_cut = std::max(into.duplicates_max_per_cut, more.duplicates_max_per_cut);
  into.duplicates_reach_max = std::max(into.duplicates_reach_max, more.duplicates_reach_max);
  into.duplicates_beyond_window += more.duplicates_beyond_window;
  into.out_of_order += more.out_of_order;
  into.source_out_of_order += more.source_out_of_order;
  into.changed += more.changed;
  into.renumbered += more.renumbered;
  into.lost += more.lost;
  into.foreign += more.foreign;
  into.acknowledged += more.acknowledged;
  into.acknowledged_missing += more.acknowledged_missing;
  into.dropped_by_policy += more.dropped_by_policy;
  into.acknowledged_lost += more.acknowledged_lost;
  into.delivered += more.delivered;
  into.redelivered += more.redelivered;
  into.delivered_out_of_order += more.delivered_out_of_order;
  into.delivery_lost += more.delivery_lost;
  append(into.samples, more.samples);
}

boost::json::array strings(const std::vector<std::string>& texts) {
  boost::json::array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

}  // namespace

boost::json::object jsonOf(const Report& report, Form form, std::uint64_t seed) {
  const Verdict& verdict = report.verdict;
  boost::json::object json{
      {"form", form == Form::kKill ? "kill" : "power"},
      {"cuts", report.cuts},
      {"seed", seed},
      {"clean", report.clean()},
      {"epochs", verdict.epochs},
      {"numbers", verdict.numbers},
      {"missing", verdict.missing},
      {"duplicates", verdict.duplicates},
      {"duplicates_max_per_cut", verdict.duplicates_max_per_cut},
      {"duplicates_reach_max", verdict.duplicates_reach_max},
      {"duplicates_beyond_window", verdict.duplicates_beyond_window},
      {"out_of_order", verdict.out_of_order},
      {"source_out_of_order", verdict.source_out_of_order},
      {"changed", verdict.changed},
      {"renumbered", verdict.renumbered},
      {"reported_lost", verdict.lost},
      {"foreign", verdict.foreign},
      {"acknowledged", verdict.acknowledged},
      {"acknowledged_missing", verdict.acknowledged_missing},
      {"dropped_by_policy", verdict.dropped_by_policy},
      {"acknowledged_lost", verdict.acknowledged_lost},
      {"delivered_to_module", verdict.delivered},
      {"redelivered_to_module", verdict.redelivered},
      {"delivered_out_of_order", verdict.delivered_out_of_order},
      {"delivery_lost", verdict.delivery_lost},
      {"lives_acknowledging", report.lives_acknowledging},
      {"link_cuts", report.link_cuts},
      {"broker_pauses", report.broker_pauses},
      {"broker_restarts", report.broker_restarts},
      {"deployment_switches", report.switches},
      {"set_aside", report.set_aside},
      {"ended_by_itself", report.ended_by_itself},
      {"not_drained", report.not_drained},
  };
  if (form == Form::kPower) {
    json["boundaries"] = report.boundaries;
    json["cuts_at_boundary"] = report.cuts_at_boundary;
    json["sectors_undurable"] = report.sectors_undurable;
    json["sectors_lost"] = report.sectors_lost;
    json["renames_undone"] = report.renames_undone;
    json["unresolved"] = report.unresolved;
  }
  json["seconds"] = report.seconds;
  if (report.interrupted) json["interrupted"] = true;
  if (!report.kept.empty()) json["kept"] = strings(report.kept);
  if (!verdict.samples.empty()) json["violations"] = strings(verdict.samples);
  if (!report.notes.empty()) json["notes"] = strings(report.notes);
  return json;
}

void merge(Report& into, const Report& more) {
  merge(into.verdict, more.verdict);
  into.cuts += more.cuts;
  into.lives_acknowledging += more.lives_acknowledging;
  into.link_cuts += more.link_cuts;
  into.broker_pauses += more.broker_pauses;
  into.broker_restarts += more.broker_restarts;
  into.switches += more.switches;
  into.set_aside += more.set_aside;
  into.ended_by_itself += more.ended_by_itself;
  into.not_drained += more.not_drained;
  into.boundaries += more.boundaries;
  into.cuts_at_boundary += more.cuts_at_boundary;
  into.sectors_undurable += more.sectors_undurable;
  into.sectors_lost += more.sectors_lost;
  into.renames_undone += more.renames_undone;
  into.unresolved += more.unresolved;
  into.seconds = std::max(into.seconds, more.seconds);
  into.interrupted = into.interrupted || more.interrupted;
  append(into.kept, more.kept);
  append(into.notes, more.notes);
}

}  // namespace kante::durability
