// The keeper: the first process of a gateway, and the parent of all others.
//
// Starts the host, passes SIGTERM, SIGINT and SIGHUP on to it, starts it again after a crash, ends
// with its exit code otherwise, and serves it runners.  Either dies with the other.
//
// A host that asks for an update (versions.h) is followed by the keeper of the next version as this
// one's child, which starts its own host and runners: no two releases ever talk to each other but
// by signals, exit codes and those files.  What does not commit itself in time, or ends before, is
// followed by what ran before it.  Of two keepers the inner one leaves updates to the outer one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "sandbox/launcher/fd.h"
#include "sandbox/launcher/service.h"
#include "sandbox/launcher/versions.h"

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
    Versions versions;
  };
  explicit Keeper(Options options);
  // Its exit code, once the host has ended in order or was never meant to go on.
  int run();

 private:
  void say(const std::string& text) const;
  bool startHost();
  [[noreturn]] void becomeHost(int socket, pid_t keeper);
  void takeSignals();
  void reapAll();
  void hostEnded(int status);
  void restartAfterCrash(int status);
  bool beginTrial();
  // Whether it ended the trial: what ran before is to be started.
  bool endTrial(std::string reason);
  void trialIsOver();
  bool isInner() const;
  [[noreturn]] void executeHost();
  [[noreturn]] void executeKeeper();
  int timeoutMs() const;
  void wait();

  Options options_;
  Fd executable_;
  Fd signals_;
  Service service_;
  Backoff backoff_;
  pid_t host_ = 0;
  std::int64_t started_ms_ = 0;
  std::int64_t start_at_ms_ = -1;  // The next life; -1: none is due.
  // What is started: a folder of versions; empty: the host that it was given.
  std::string version_;
  std::string version_before_;        // To go back to …
  std::int64_t trial_until_ms_ = -1;  // … unless it was committed by then; -1: it is no trial.
  bool stopping_ = false;             // It was told to.
  int exit_code_ = -1;                // Known: everything ends.
};

}  // namespace kante::launcher
