// The lines of `kante status` about what the uplink has to do and what that costs.
#include <fmt/format.h>

#include <boost/json/value.hpp>

#include "host/cli/json_view.h"
#include "host/cli/output.h"
#include "host/cli/status_text.h"

namespace kante::cli {

namespace json = boost::json;

namespace {

// Younger messages are on their way; older ones are a backlog, whatever the rates are.
constexpr double kOnTheirWayS = 1, kBacklogS = 10;

std::string priceText(const json::value& price) {
  const std::string tier = textOf(price, "tier");
  const double units = real(price, "units");
  return fmt::format("IoT Hub {}{}, ${:.0f} a month", units > 1 ? formatCount(units) + " × " : "",
                     tier, real(price, "usd_per_month"));
}

}  // namespace

std::string waitingLine(const json::value& status) {
  const json::value& uplink = member(status, "uplink");
  const double waiting = real(uplink, "backlog_messages");
  if (textOf(uplink, "kind") == "none" || waiting == 0) return {};
  const double oldest_s = real(uplink, "oldest_s");
  const bool is_connected = textOf(uplink, "state") == "connected";
  const bool may_be_held = member(uplink, "budget").is_object();
  if (is_connected && oldest_s < kOnTheirWayS && !may_be_held) return {};
  std::string out = formatCount(waiting) + (waiting == 1 ? " message" : " messages");
  if (member(uplink, "oldest_s").is_number()) out += ", the oldest since " + formatAge(oldest_s);
  if (!is_connected) return out;
  if (member(uplink, "drain_s").is_number())
    return out + ", sent in " + formatAge(real(uplink, "drain_s"));
  return oldest_s < kBacklogS ? out : out + paint(Colour::kYellow, ", more comes than goes");
}

std::string budgetLine(const json::value& status) {
  const json::value& budget = member(member(status, "uplink"), "budget");
  if (!budget.is_object()) return {};
  std::string out;
  if (const double limit = real(budget, "messages_per_day"); limit != 0) {
    out = fmt::format("{} of {} messages (blocks of {} bytes)",
                      formatCount(real(budget, "messages_used")), formatCount(limit),
                      real(budget, "meter_bytes"));
  }
  if (const double limit = real(budget, "bytes_per_day"); limit != 0) {
    out += (out.empty() ? "" : ", ") + formatBytes(real(budget, "bytes_used")) + " of " +
           formatBytes(limit);
  }
  const json::value& reached = member(budget, "reached");
  if (reached.is_bool() && reached.get_bool()) out += paint(Colour::kYellow, ", used up");
  return out + ", a new day in " + formatAge(real(budget, "resets_in_s"));
}

std::string costLine(const json::value& status) {
  const json::value& cost = member(member(status, "uplink"), "cost");
  if (!cost.is_object()) return {};
  return fmt::format(
      "{} messages, {} a day, {} metered: {} (measured for {})",
      formatCount(real(cost, "messages_per_day")), formatBytes(real(cost, "bytes_per_day")),
      formatCount(real(cost, "blocks_per_day")), priceText(cost), formatAge(real(cost, "basis_s")));
}

std::string savingLine(const json::value& status) {
  const json::value& cost = member(member(status, "uplink"), "cost");
  if (!cost.is_object()) return {};
  const json::value& packed = member(cost, "packed");
  std::string out = fmt::format("packed, {} a day: {}", formatCount(real(packed, "blocks_per_day")),
                                priceText(packed));
  const json::value& top = member(cost, "top");
  if (!top.is_array() || top.as_array().empty()) return out;
  out += "; most comes from ";
  bool first = true;
  for (const json::value& source : top.as_array()) {
    const double share = real(source, "share");
    if (share < 0.05 && !first) break;
    out += fmt::format("{}{} ({:.0f} %)", first ? "" : ", ", printable(textOf(source, "source")),
                       share * 100);
    first = false;
  }
  return out;
}

}  // namespace kante::cli
