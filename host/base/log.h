// Structured log lines: a level, who speaks, a sentence, and fields.
//
// One Log per process, made by main and passed down by reference; sinks may be added while it runs
// (the API follows a module's log this way).  Any thread.  Keys, tokens and bodies never go in.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kante {

enum class LogLevel { kTrace = 0, kDebug = 1, kInfo = 2, kWarn = 3, kError = 4 };
const char* name(LogLevel level);

// Whether that is systemd's journal, which takes "<3>" (error) to "<7>" at the begin of a line as
// its priority.
bool isJournal(int fd);

struct LogLine {
  std::int64_t wall_ns = 0;
  LogLevel level = LogLevel::kInfo;
  std::string who;  // "agent", "uplink", "module/filter", …
  std::string text;
  std::vector<std::pair<std::string, std::string>> fields;
};

class Log {
 public:
  // kText: for a person, in colour on a terminal.  kJson: one object a line.  kSilent: kept lines
  // only.
  enum class Format { kText, kJson, kSilent };

  explicit Log(Format format, LogLevel at_least = LogLevel::kInfo);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  using Fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;
  void write(LogLevel level, std::string_view who, std::string_view text, Fields fields = {});
  void info(std::string_view who, std::string_view text, Fields fields = {}) {
    write(LogLevel::kInfo, who, text, fields);
  }
  void warn(std::string_view who, std::string_view text, Fields fields = {}) {
    write(LogLevel::kWarn, who, text, fields);
  }
  void error(std::string_view who, std::string_view text, Fields fields = {}) {
    write(LogLevel::kError, who, text, fields);
  }
  void setLevel(LogLevel at_least);

  // The last lines of one speaker, oldest first; at most kKeptPerSpeaker are kept.
  static constexpr std::size_t kKeptPerSpeaker = 500;
  static constexpr std::size_t kSpeakersMax = 256;
  std::vector<LogLine> kept(std::string_view who) const;

  std::vector<std::string> speakers() const;  // Whose lines are kept; in order.

  // Called for every line from the writing thread; must be quick and must not log.  The handle ends
  // it.
  using Follower = std::function<void(const LogLine&)>;
  std::shared_ptr<void> follow(Follower follower);

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared with the handles that follow() gave out.
};

std::string formatJson(const LogLine& line);
std::string formatText(const LogLine& line, bool colour);

}  // namespace kante
