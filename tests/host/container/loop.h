// A control thread for tests: runs the loop until something that it brings about has happened.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "host/base/result.h"

namespace kante {

class Loop {
 public:
  // Generous: the machine is loaded.
  static constexpr std::chrono::seconds kDeadline{60};

  template <typename Condition>
  bool until(Condition condition) {
    const auto end_at = std::chrono::steady_clock::now() + kDeadline;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end_at) return false;
      io.restart();
      io.run_one_for(std::chrono::milliseconds(20));
    }
    return true;
  }

  // What a call says: `begin` is given the callback and returns the handle.
  template <typename T, typename Begin>
  Result<T> result(Begin begin) {
    std::optional<Result<T>> said;
    [[maybe_unused]] const auto call =
        begin([&said](Result<T> result) { said = std::move(result); });
    if (!until([&said] { return said.has_value(); })) return fail(Errc::kTimeout, "no callback");
    return std::move(*said);
  }

  boost::asio::io_context io;
};

}  // namespace kante
