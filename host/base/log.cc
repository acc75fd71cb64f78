#include "host/base/log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdlib>

#include "host/base/clock.h"
#include "host/base/fd.h"
#include "host/base/shown.h"

namespace kante {

namespace {
// As journald's protocol has it, for each LogLevel.
constexpr const char* kPriorities[] = {"<7>", "<7>", "<6>", "<4>", "<3>"};

// What a module, a client or a file wrote must neither begin another line nor steer a terminal.
std::string onOneLine(std::string_view text) {
  std::string out = wellFormed(text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return out;
}

// One write a line, so that lines of several threads and processes do not mix.
void toStderr(std::string line) {
  line += '\n';
  (void)writeAll(STDERR_FILENO, line);  // Nobody is left to tell.
}
}  // namespace

bool isJournal(int fd) {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat open {};
  return stream != nullptr && ::fstat(fd, &open) == 0 &&
         stream == std::to_string(open.st_dev) + ':' + std::to_string(open.st_ino);
}

const char* name(LogLevel level) {
  static constexpr const char* kNames[] = {"trace", "debug", "info", "warn", "error"};
  return kNames[static_cast<int>(level)];
}

struct Log::State {
  mutable std::mutex mutex;
  Format format = Format::kText;
  LogLevel at_least = LogLevel::kInfo;
  bool colour = false;
  bool journal = false;
  std::map<std::string, std::deque<LogLine>, std::less<>> kept;
  std::map<std::uint64_t, std::shared_ptr<const Follower>> followers;
  std::uint64_t next_follower = 1;
  SystemClock clock;
};

Log::Log(Format format, LogLevel at_least) : state_(std::make_shared<State>()) {
  state_->format = format;
  state_->at_least = at_least;
  const char* off = std::getenv("NO_COLOR");
  state_->colour = ::isatty(STDERR_FILENO) == 1 && (off == nullptr || *off == '\0');
  state_->journal = isJournal(STDERR_FILENO);
}

Log::~Log() = default;

void Log::setLevel(LogLevel at_least) {
  const std::lock_guard lock(state_->mutex);
  state_->at_least = at_least;
}

void Log::write(LogLevel level, std::string_view who, std::string_view text, Fields fields) {
  LogLine line{state_->clock.wallNs(), level, std::string(who), std::string(text), {}};
  for (const auto& [key, value] : fields) line.fields.emplace_back(key, value);
  std::vector<std::shared_ptr<const Follower>> followers;
  {
    const std::lock_guard lock(state_->mutex);
    if (level < state_->at_least) return;
    auto at = state_->kept.find(who);
    if (at == state_->kept.end() && state_->kept.size() < kSpeakersMax) {
      at = state_->kept.emplace(std::string(who), std::deque<LogLine>()).first;
    }
    if (at != state_->kept.end()) {
      at->second.push_back(line);
      if (at->second.size() > kKeptPerSpeaker) at->second.pop_front();
    }
    for (const auto& [id, follower] : state_->followers) followers.push_back(follower);
  }
  const std::string priority = state_->journal ? kPriorities[static_cast<int>(level)] : "";
  if (state_->format == Format::kText) toStderr(priority + formatText(line, state_->colour));
  if (state_->format == Format::kJson) toStderr(priority + formatJson(line));
  for (const auto& follower : followers) (*follower)(line);
}

std::vector<LogLine> Log::kept(std::string_view who) const {
  const std::lock_guard lock(state_->mutex);
  const auto at = state_->kept.find(who);
  if (at == state_->kept.end()) return {};
  return {at->second.begin(), at->second.end()};
}

std::vector<std::string> Log::speakers() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<std::string> out;
  for (const auto& [who, lines] : state_->kept) out.push_back(who);
  return out;
}

std::shared_ptr<void> Log::follow(Follower follower) {
  const std::lock_guard lock(state_->mutex);
  const std::uint64_t id = state_->next_follower++;
  state_->followers.emplace(id, std::make_shared<const Follower>(std::move(follower)));
  const std::weak_ptr<State> state = state_;
  return std::shared_ptr<void>(nullptr, [state, id](void*) {
    if (const auto alive = state.lock()) {
      const std::lock_guard unlock(alive->mutex);
      alive->followers.erase(id);
    }
  });
}

std::string formatJson(const LogLine& line) {
  boost::json::object out{{"time", formatUtc(line.wall_ns)},
                          {"level", name(line.level)},
                          {"who", wellFormed(line.who)},
                          {"text", wellFormed(line.text)}};
  for (const auto& [key, value] : line.fields) out[key] = wellFormed(value);
  return boost::json::serialize(out);
}

std::string formatText(const LogLine& line, bool colour) {
  static constexpr const char* kColours[] = {"\x1b[2m", "\x1b[2m", "", "\x1b[33m", "\x1b[31m"};
  const char* on = colour ? kColours[static_cast<int>(line.level)] : "";
  std::string out = formatUtc(line.wall_ns).substr(11, 12);
  out += ' ';
  std::string level = name(line.level);
  level.resize(5, ' ');
  out += on + level + (*on != '\0' ? "\x1b[0m " : " ") + onOneLine(line.who) + ": " +
         onOneLine(line.text);
  for (const auto& [key, value] : line.fields) out += "  " + key + "=" + onOneLine(value);
  return out;
}

}  // namespace kante
