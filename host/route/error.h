// What is wrong with a route's text, and at which character.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "host/base/result.h"

namespace kante {

struct RouteError {
  RouteError() = default;
  RouteError(std::string what, std::size_t where) : text(std::move(what)), position(where) {}
  std::string text;  // One sentence: what was expected there, what was found, how to write it.
  std::size_t position = 0;  // Characters (Unicode code points) before the offending one: from 0.
};

template <typename T>
using RouteResult = boost::system::result<T, RouteError>;

[[noreturn]] void throw_exception_from_error(const RouteError& error,
                                             const boost::source_location& where);

// The route on one line (tabs and line breaks shown as spaces) and a caret below the position; a
// long route is cut around it.  For people.
std::string pointAt(std::string_view route, const RouteError& error);

}  // namespace kante
