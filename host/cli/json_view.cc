#include "host/cli/json_view.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <ctime>

#include "host/cli/output.h"

namespace kante::cli {

namespace json = boost::json;

Result<json::value> parseReply(const std::string& body) {
  boost::system::error_code failed;
  json::value parsed = json::parse(body, failed);
  if (failed) return fail(Errc::kCorrupt, "the host's answer is not JSON: " + failed.message());
  return parsed;
}

const json::value& member(const json::value& object, std::string_view key) {
  static const json::value kNull;
  if (!object.is_object()) return kNull;
  const json::value* found = object.as_object().if_contains({key.data(), key.size()});
  return found != nullptr ? *found : kNull;
}

std::string asText(const json::value& value) {
  if (value.is_null()) return {};
  if (value.is_string()) return value.as_string().c_str();
  return json::serialize(value);
}

std::string textOf(const json::value& object, std::string_view key) {
  return asText(member(object, key));
}

double real(const json::value& object, std::string_view key) {
  const json::value& value = member(object, key);
  return value.is_number() ? value.to_number<double>() : 0.0;
}

std::uint64_t number(const json::value& object, std::string_view key) {
  const json::value& value = member(object, key);
  boost::system::error_code failed;
  const auto out = value.is_number() ? value.to_number<std::uint64_t>(failed) : 0;
  return failed ? 0 : out;
}

namespace {

void keysIn(const json::value& value, const std::string& at, std::string& out) {
  if (const json::object* object = value.if_object(); object != nullptr) {
    for (const auto& item : *object)
      keysIn(item.value(), (at.empty() ? "" : at + ".") + std::string(item.key()), out);
  } else if (!at.empty()) {
    out += (out.empty() ? "" : ", ") + at;
  }
}

void pretty(const json::value& value, std::size_t indent, std::string& out) {
  const std::string pad(indent + 2, ' ');
  const auto each = [&](auto& items, const char* open, const char* close, auto write) {
    if (items.empty()) {
      out += std::string(open) + close;
      return;
    }
    out += open;
    bool first = true;
    for (const auto& item : items) {
      out += (first ? "\n" : ",\n") + pad;
      write(item);
      first = false;
    }
    out += "\n" + std::string(indent, ' ') + close;
  };
  if (value.is_object()) {
    each(value.as_object(), "{", "}", [&](const auto& item) {
      out += json::serialize(json::string(item.key())) + ": ";
      pretty(item.value(), indent + 2, out);
    });
  } else if (value.is_array()) {
    each(value.as_array(), "[", "]", [&](const auto& item) { pretty(item, indent + 2, out); });
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

std::string deployedKeys(const json::value& status) {
  std::string keys;
  keysIn(member(member(status, "configuration"), "deployed"), "", keys);
  return printable(keys);
}

std::string prettyJson(const json::value& value) {
  std::string out;
  pretty(value, 0, out);
  return out;
}

std::string paintState(const std::string& state) {
  if (state == "running" || state == "connected" || state == "committed") {
    return paint(Colour::kGreen, state);
  }
  if (state == "failed" || state == "disconnected") return paint(Colour::kRed, state);
  if (state == "stopped" || state == "none") return paint(Colour::kDim, state);
  return paint(Colour::kYellow, state);
}

double secondsSince(const std::string& time) {
  std::tm parts{};
  if (::strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) return -1;
  return std::difftime(std::time(nullptr), ::timegm(&parts));
}

std::string moduleTable(const json::value& modules, Detail detail, std::size_t indent) {
  using enum Table::Align;
  std::vector<Table::Column> columns = {{"MODULE"},     {"STATE"},       {"VERSION"},
                                        {"PLACEMENT"},  {"UP", kRight},  {"RESTARTS", kRight},
                                        {"IN", kRight}, {"OUT", kRight}, {"QUEUED", kRight}};
  if (detail == Detail::kFull) {
    columns.insert(columns.begin() + 4, Table::Column{"PID", kRight});
    columns.insert(columns.begin() + 2, Table::Column{"ID"});
  }
  Table table(std::move(columns));
  if (!modules.is_array()) return {};
  for (const json::value& each : modules.as_array()) {
    const std::string started = textOf(each, "started");
    const bool running = textOf(each, "state") == "running";
    std::vector<std::string> cells = {printable(textOf(each, "name")),
                                      paintState(textOf(each, "state")),
                                      printable(textOf(each, "version")),
                                      textOf(each, "placement"),
                                      running ? formatAge(secondsSince(started)) : "",
                                      textOf(each, "restarts"),
                                      formatCount(real(each, "messages_in")),
                                      formatCount(real(each, "messages_out")),
                                      formatCount(real(each, "queued"))};
    if (detail == Detail::kFull) {
      const json::value& pid = member(each, "pid");
      cells.insert(cells.begin() + 4, pid.is_null() ? "" : asText(pid));
      cells.insert(cells.begin() + 2, printable(textOf(each, "id")));
    }
    table.add(std::move(cells));
  }
  return table.text(indent);
}

}  // namespace kante::cli
