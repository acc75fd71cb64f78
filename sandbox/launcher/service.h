// The spawn service: starts runners for one host at a time, watches them, and says how they ended.
//
// Driven by whoever owns the loop: addTo() and onPoll() around poll(2), reaped() for each child
// that ended.  At most kRunnersMax at a time; while answers wait for room in the socket nothing
// more is read from it, so nothing grows.
#pragma once

#include <poll.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "sandbox/launcher/cgroups.h"
#include "sandbox/launcher/child.h"
#include "sandbox/launcher/fd.h"
#include "sandbox/launcher/ids.h"
#include "sandbox/launcher/libraries.h"
#include "sandbox/wire/launch.h"

namespace kante::launcher {

class Service {
 public:
  static constexpr std::size_t kRunnersMax = 256;
  static constexpr int kPrepareMsMax = 30'000;

  // `runner` is kante-runner, opened; -1: it was not found, which is then said of each spawn.
  Service(Fd runner, Cgroups::Role role);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  ~Service();

  // Serves this host from now on.
  void attach(Fd socket);
  // The host is gone: its runners are killed, nobody hears of them.
  void detach();
  bool attached() const { return static_cast<bool>(socket_); }

  void addTo(std::vector<pollfd>& polled) const;
  void onPoll(const std::vector<pollfd>& polled);
  // For poll: when something is due; -1: nothing.
  int timeoutMs() const;
  // False: none of its children.
  bool reaped(pid_t pid, int status, const rusage& used);
  // Runners, or groups of some that are not empty yet.
  bool hasLeft() const { return !runners_.empty() || !removing_.empty(); }

  // Finds its place for groups, and itself goes there if it must; before any child is started.
  void enterGroups();
  // Gives that place back as it was; after the last runner.
  void leaveGroups();
  // Tries what this machine allows; once, and again for each host where it was less than all:
  // memory or descriptors may only have been short.
  const Can& can();

 private:
  static constexpr int kRemoveMsMax = 5'000;  // Then a group is left behind.

  struct Runner;
  struct Removing {
    Group group;
    std::int64_t until_ms = 0;
  };
  struct Answer {
    std::vector<char> bytes;
    Fd descriptor;  // Goes with it, if any.
  };

  void read();
  void take(const char* bytes, std::size_t size, std::vector<Fd> descriptors);
  void notUnderstood(LaunchKind kind, std::size_t size);
  void spawn(const Spawn& order, std::vector<Fd> descriptors);
  std::string refusal(const Spawn& order, std::size_t descriptors);
  std::uint32_t freeSlot() const;
  std::string start(Runner& runner, ChildPlan& plan);
  void removeGroups();
  void killOf(std::uint32_t id);
  void kill(Runner& runner);
  void drain(Runner& runner);
  void answer(const void* bytes, std::size_t size, Fd descriptor = Fd());
  void send();
  void learn();
  std::string trial(ChildPlan plan);
  std::string prepare();  // Empty, or why nothing can be started.

  Fd runner_;
  Cgroups::Role role_;
  std::unique_ptr<Cgroups> cgroups_;
  Ids ids_;
  Libraries libraries_;
  Can can_;
  bool knows_ = false;
  bool told_ = false;          // A host, what it knows.
  std::uint32_t started_ = 0;  // So far; the host's ids begin anew with each life.
  Fd socket_;
  std::deque<Answer> answers_;
  std::vector<std::unique_ptr<Runner>> runners_;
  std::vector<Removing> removing_;  // Groups that were not empty yet.
};

}  // namespace kante::launcher
