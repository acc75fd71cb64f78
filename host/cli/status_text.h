// The lines of `kante status`, which `kante top` shows as well.  Each takes the object of
// /v1/status.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

namespace kante::cli {

std::string headLine(const boost::json::value& status);
// Two lines a problem, what and what to do; empty when all is well.
std::string problemLines(const boost::json::value& status);
std::string deploymentLine(const boost::json::value& status);
std::string uplinkLine(const boost::json::value& status);
// What waits, since when and how long yet; the budget; what a day costs.  Empty: nothing to say.
std::string waitingLine(const boost::json::value& status);
std::string budgetLine(const boost::json::value& status);
std::string costLine(const boost::json::value& status);
std::string savingLine(const boost::json::value& status);
std::string storeLine(const boost::json::value& status);
std::string clockLine(const boost::json::value& status);
std::string loadsLine(const boost::json::value& status);
std::string dropLine(const boost::json::value& status);

}  // namespace kante::cli
