// Reading what the host answered: members that may be missing, and the tables that several commands
// show.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante::cli {

Result<boost::json::value> parseReply(const std::string& body);

// The member of that name, or null.
const boost::json::value& member(const boost::json::value& object, std::string_view key);
// As text: strings as they are, null as "", everything else as JSON.
std::string asText(const boost::json::value& value);
std::string textOf(const boost::json::value& object, std::string_view key);
// 0 for what is not a number.
double real(const boost::json::value& object, std::string_view key);
std::uint64_t number(const boost::json::value& object, std::string_view key);

// What a deployment changed of the gateway's configuration, by /v1/status: "uplink.window,
// log.level", empty: nothing.
std::string deployedKeys(const boost::json::value& status);

// For people: members on lines of their own.
std::string prettyJson(const boost::json::value& value);

// A module's state in the colour of how well it is.
std::string paintState(const std::string& state);

enum class Detail { kShort, kFull };
// Of an array of modules as /v1/modules gives it.
std::string moduleTable(const boost::json::value& modules, Detail detail, std::size_t indent = 0);

// Seconds from an ISO time ("2026-11-23T12:00:00.123Z") to now; negative when it is not one.
double secondsSince(const std::string& time);

}  // namespace kante::cli
