// Limits of runners by control groups: one group a runner, beside the launcher's own.
//
// Version 2 where its controllers are, else version 1; neither: the caller is left with rlimits,
// and missing() says what would have to change.  A group is named kante.PID-START.ID.NAME after the
// launcher that made it and when that began, so that a later launcher can remove what a killed one
// left behind, and none takes a group for its own because it has the number of another.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "sandbox/launcher/fd.h"
#include "sandbox/wire/launch.h"

namespace kante::launcher {

struct GroupLimits {
  std::uint32_t memory_mb = 0;    // 0: none.
  std::uint32_t cpu_percent = 0;  // 0: none.
  std::uint32_t pids_max = 0;
};

// One runner's group: a directory a controller, or one for all.
class Group {
 public:
  bool made() const { return !parts_.empty(); }
  // To be given to clone3; -1 where version 1 is, which a process can only enter by itself.
  int cloneInto() const;
  // What enter() needs open.
  std::vector<int> descriptors() const;
  // This process, which has one thread.  Empty, or what went wrong.
  std::string enter() const;
  // Every process in it: at once with version 2, one by one with version 1.
  void kill() const;
  struct Counts {
    std::uint32_t out_of_memory = 0;  // Kills; version 2 counts the first one twice.
    std::uint32_t pids_refused = 0;
    std::uint64_t memory_peak = 0;
  };
  Counts counts() const;
  // False: something is in it still, and kill() works on it still.
  bool remove();
  const std::string& name() const { return parts_.front().name; }

 private:
  friend class Cgroups;
  struct Part {
    std::string parent;  // The directory that it is in …
    std::string name;    // … and its name there.
    Fd directory;
    std::string controller;  // Empty: version 2, all.
  };
  std::vector<Part> parts_;
};

class Cgroups {
 public:
  // kKeeper moves this process into a group of its own where that is needed to limit others
  // beside it, which a helper cannot do for the host that started it.
  enum class Role { kKeeper, kHelper };

  // Where the kernel says what is mounted and where this process is; a test has its own.
  struct Places {
    std::string mounts = "/proc/self/mountinfo";
    std::string own = "/proc/self/cgroup";
  };
  explicit Cgroups(Role role) : Cgroups(role, Places()) {}
  Cgroups(Role role, const Places& places);

  LimitKind kind() const { return kind_; }
  // What to change for better limits; empty when nothing.
  const std::string& missing() const { return missing_; }

  // Empty, or what went wrong; then nothing of it is left.
  std::string make(std::uint32_t id, const std::string& name, const GroupLimits& limits,
                   Group& out) const;
  // Groups of launchers that are no more.
  void removeLeftovers() const;
  // This process's group as it was found: its controllers are no longer shared out, and the process
  // is in it again.  For the end, when no runner is left; whoever starts kante next can enter it.
  // Nothing where others are in the group beside it still, as a keeper that started this one.
  void leave();
  // "PID-START" of this process.
  static std::string launcher();

 private:
  struct Home {
    std::string controller;  // Empty: version 2, all.
    std::string directory;
  };
  std::string enterVersion2(const std::string& own, Role role);
  std::string shareOut(const std::string& directory, int home, const std::string& wanted,
                       Role role);
  std::string enterVersion1(const std::vector<Home>& homes);

  LimitKind kind_ = LimitKind::kRlimit;
  std::vector<Home> homes_;
  std::string missing_;
  std::string left_;  // Version 2: where this process was before it moved aside.
};

}  // namespace kante::launcher
