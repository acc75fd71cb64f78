// kante/time.hpp - wall time as text: ISO 8601, UTC, with milliseconds.
#pragma once

#include <kante/failure.hpp>

#include <chrono>
#include <string>

KANTE_SDK_BEGIN

// "2026-01-31T08:05:09.250Z"
inline std::string isoTime(std::chrono::system_clock::time_point time) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(time);
  const auto day = std::chrono::floor<std::chrono::days>(ms);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(ms - day);
  std::string out;
  out.reserve(24);
  const auto put = [&out](long value, std::size_t digits, char behind) {
    const std::string text = std::to_string(value);
    if (text.size() < digits) out.append(digits - text.size(), '0');
    out += text;
    out += behind;
  };
  put(static_cast<int>(date.year()), 4, '-');
  put(static_cast<long>(static_cast<unsigned>(date.month())), 2, '-');
  put(static_cast<long>(static_cast<unsigned>(date.day())), 2, 'T');
  put(clock.hours().count(), 2, ':');
  put(clock.minutes().count(), 2, ':');
  put(clock.seconds().count(), 2, '.');
  put(clock.subseconds().count(), 3, 'Z');
  return out;
}

// Of a message's times: nanoseconds since 1970.
inline std::string isoTime(std::int64_t unix_ns) {
  return isoTime(std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::nanoseconds(unix_ns))));
}

KANTE_SDK_END
