// The keeper: the first process of a gateway, and the parent of all others.
//
// Starts the host, passes SIGTERM, SIGINT and SIGHUP on to it, starts it again after a crash, ends
// with its exit code otherwise, and serves it runners.  Either dies with the other.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "sandbox/launcher/fd.h"
#include "sandbox/launcher/service.h"

namespace kante::launcher {

// When the host is started again: at once, then after 100 ms, twice as much with each life that
// was short, to 30 s.
class Backoff {
 public:
  static constexpr std::int64_t kLongLifeMs = 10'000;
  static constexpr std::int64_t kFirstMs = 100;
  static constexpr std::int64_t kMostMs = 30'000;
  // What to wait after a life of this length.
  std::int64_t after(std::int64_t life_ms);

 private:
  std::int64_t next_ms_ = 0;
};

class Keeper {
 public:
  struct Options {
    std::string host;                    // Its executable.
    std::vector<std::string> arguments;  // All of its argv.
    Fd runner;
  };
  explicit Keeper(Options options);
  // Its exit code, once the host has ended in order or was never meant to go on.
  int run();

 private:
  bool startHost();
  [[noreturn]] void becomeHost(int socket, pid_t keeper);
  void takeSignals();
  void reapAll();
  void hostEnded(int status);
  void wait();

  Options options_;
  Fd executable_;
  Fd signals_;
  Service service_;
  Backoff backoff_;
  pid_t host_ = 0;
  std::int64_t started_ms_ = 0;
  std::int64_t start_at_ms_ = -1;  // The next life; -1: none is due.
  bool stopping_ = false;          // It was told to.
  int exit_code_ = -1;             // Known: everything ends.
};

}  // namespace kante::launcher
