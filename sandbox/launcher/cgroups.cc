#include "sandbox/launcher/cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>

namespace kante::launcher {
namespace {

constexpr const char* kPrefix = "kante.";
constexpr const char* kOwnGroup = "kante.launcher";  // Of the launcher and the host, version 2.
constexpr std::uint64_t kCpuPeriodUs = 100'000;
constexpr const char* kControllers[] = {"memory", "pids", "cpu"};

bool has(const std::vector<std::string>& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

struct Mount {
  std::string root, point, type;
  std::vector<std::string> options;  // Of the file system: version 1's controllers.
};

// "36 35 0:31 /root /point rw,nosuid shared:1 - cgroup cgroup rw,memory"
std::vector<Mount> groupMounts(const std::string& file) {
  std::vector<Mount> out;
  for (const std::string& line : split(readSmallFile(AT_FDCWD, file), '\n')) {
    const std::vector<std::string> fields = split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 6 || fields.end() - dash < 4) continue;
    if (dash[1] != "cgroup" && dash[1] != "cgroup2") continue;
    out.push_back({fields[3], fields[4], dash[1], split(dash[3], ',')});
  }
  return out;
}

// This process's path in the hierarchy of `controller` (empty: version 2).  "4:memory:/a/b"
std::string ownPath(const std::string& file, const std::string& controller) {
  for (const std::string& line : split(readSmallFile(AT_FDCWD, file), '\n')) {
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string list = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? list.empty() : has(split(list, ','), controller))
      return line.substr(second + 1);
  }
  return {};
}

// The mount may show only a part of the hierarchy, as in a container.
std::string directoryOf(const Mount& mount, const std::string& path) {
  if (path.empty()) return {};
  if (mount.root == "/") return mount.point + (path == "/" ? "" : path);
  if (path.rfind(mount.root, 0) == 0) return mount.point + path.substr(mount.root.size());
  return mount.point;
}

// "key 12" of a file with such lines.
std::uint64_t counter(int dir_fd, const std::string& file, const std::string& key) {
  for (const std::string& line : split(readSmallFile(dir_fd, file), '\n')) {
    const std::vector<std::string> pair = split(line, ' ');
    if (pair.size() == 2 && pair[0] == key) return std::strtoull(pair[1].c_str(), nullptr, 10);
  }
  return 0;
}

std::uint64_t number(int dir_fd, const std::string& file) {
  return std::strtoull(readSmallFile(dir_fd, file).c_str(), nullptr, 10);
}

struct Setting {
  const char* file;
  std::string value;
  bool must;  // Else: where the kernel has it.
};

std::vector<Setting> settings(const std::string& controller, const GroupLimits& limits) {
  std::vector<Setting> out;
  const bool all = controller.empty();
  const std::string bytes = std::to_string(std::uint64_t{limits.memory_mb} << 20);
  const std::string quota = std::to_string(kCpuPeriodUs * limits.cpu_percent / 100);
  if (all) {
    if (limits.memory_mb != 0) {
      out.push_back({"memory.max", bytes, true});
      out.push_back({"memory.swap.max", "0", false});
    }
    out.push_back({"memory.oom.group", "1", false});
    if (limits.cpu_percent != 0)
      out.push_back({"cpu.max", quota + " " + std::to_string(kCpuPeriodUs), true});
  } else if (controller == "memory" && limits.memory_mb != 0) {
    out.push_back({"memory.limit_in_bytes", bytes, true});
    out.push_back({"memory.memsw.limit_in_bytes", bytes, false});  // With swap.
    out.push_back({"memory.swappiness", "0", false});
  } else if (controller == "cpu" && limits.cpu_percent != 0) {
    out.push_back({"cpu.cfs_period_us", std::to_string(kCpuPeriodUs), true});
    out.push_back({"cpu.cfs_quota_us", quota, true});
  }
  if (all || controller == "pids")
    out.push_back({"pids.max", std::to_string(limits.pids_max), true});
  return out;
}

std::string limit(int dir_fd, const std::string& controller, const GroupLimits& limits) {
  for (const Setting& each : settings(controller, limits)) {
    if (writeSmallFile(dir_fd, each.file, each.value)) continue;
    if (each.must) return errnoText(each.file, errno);
  }
  return {};
}

bool isNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

// When the process began, in ticks since the machine did; empty: there is none.
std::string startOf(const std::string& pid) {
  constexpr std::size_t kStart = 19;  // Behind the name, which may have anything in it.
  const std::string stat = readSmallFile(AT_FDCWD, "/proc/" + pid + "/stat");
  const auto name_end = stat.rfind(") ");
  if (name_end == std::string::npos) return {};
  const std::vector<std::string> fields = split(stat.substr(name_end + 2), ' ');
  return fields.size() > kStart ? fields[kStart] : std::string();
}

// "PID-START"; what is no such name is somebody else's.
bool isAlive(const std::string& launcher) {
  const auto dash = launcher.find('-');
  const std::string pid = launcher.substr(0, dash);
  const std::string start = dash == std::string::npos ? "" : launcher.substr(dash + 1);
  return !isNumber(pid) || !isNumber(start) || startOf(pid) == start;
}

// What gives this process a group to share out.
std::string adviceFor(int reason) {
  if (reason == EROFS) return "; let the container write to /sys/fs/cgroup";
  return "; run under systemd with Delegate=yes";
}

// Nobody is in this "cgroup.procs" but this process and the one that started it.
bool isAlone(const std::string& processes) {
  const std::vector<std::string> allowed = {"", std::to_string(::getpid()),
                                            std::to_string(::getppid())};
  const std::vector<std::string> there = split(processes, '\n');
  return std::all_of(there.begin(), there.end(),
                     [&](const std::string& each) { return has(allowed, each); });
}

}  // namespace

int Group::cloneInto() const {
  return parts_.size() == 1 && parts_[0].controller.empty() ? parts_[0].directory.get() : -1;
}

std::vector<int> Group::descriptors() const {
  std::vector<int> out;
  for (const Part& part : parts_) out.push_back(part.directory.get());
  return out;
}

// A thread that moves itself needs no lock of the whole machine; to move another process takes
// one, and 15 ms.
std::string Group::enter() const {
  for (const Part& part : parts_) {
    const char* file = part.controller.empty() ? "cgroup.procs" : "tasks";
    if (writeSmallFile(part.directory.get(), file, "0")) continue;
    return errnoText(std::string(file) + " of " + part.parent + "/" + part.name, errno);
  }
  return {};
}

void Group::kill() const {
  if (parts_.empty()) return;
  const int directory = parts_.front().directory.get();
  if (cloneInto() >= 0 && writeSmallFile(directory, "cgroup.kill", "1")) return;  // Linux 5.14.
  for (const std::string& line : split(readSmallFile(directory, "cgroup.procs"), '\n')) {
    const pid_t pid = std::atoi(line.c_str());
    if (pid > 0) ::kill(pid, SIGKILL);
  }
}

Group::Counts Group::counts() const {
  Counts out;
  for (const Part& part : parts_) {
    const int at = part.directory.get();
    if (part.controller.empty()) {
      out.out_of_memory = static_cast<std::uint32_t>(counter(at, "memory.events", "oom_kill"));
      out.memory_peak = number(at, "memory.peak");
    } else if (part.controller == "memory") {
      out.out_of_memory = static_cast<std::uint32_t>(counter(at, "memory.oom_control", "oom_kill"));
      out.memory_peak = number(at, "memory.max_usage_in_bytes");
    }
    if (part.controller.empty() || part.controller == "pids")
      out.pids_refused = static_cast<std::uint32_t>(counter(at, "pids.events", "max"));
  }
  return out;
}

bool Group::remove() {
  for (; !parts_.empty(); parts_.pop_back()) {
    const Part& part = parts_.back();
    if (::rmdir((part.parent + "/" + part.name).c_str()) != 0 && errno == EBUSY) return false;
  }
  return true;
}

Cgroups::Cgroups(Role role, const Places& places) {
  std::vector<Home> version1;
  std::string version2;
  for (const Mount& mount : groupMounts(places.mounts)) {
    if (mount.type == "cgroup2") {
      version2 = directoryOf(mount, ownPath(places.own, ""));
      continue;
    }
    for (const char* controller : kControllers) {
      if (has(mount.options, controller))
        version1.push_back({controller, directoryOf(mount, ownPath(places.own, controller))});
    }
  }
  std::string no2 = version2.empty() ? "control groups of version 2 are not mounted"
                                     : enterVersion2(version2, role);
  if (no2.empty()) return;
  const std::string no1 = enterVersion1(version1);
  if (no1.empty()) return;
  missing_ = version1.empty() ? no2 : no1;
}

// Empty, or why not.
std::string Cgroups::enterVersion2(const std::string& own, Role role) {
  // A keeper that another one started is in that one's group.
  std::string directory = own;
  const std::string beside = std::string("/") + kOwnGroup;
  if (own.size() > beside.size() && own.substr(own.size() - beside.size()) == beside)
    directory.resize(own.size() - beside.size());
  const Fd home(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!home) return errnoText(directory, errno);
  std::string has_not;
  std::string wanted;
  const std::string listed = readSmallFile(home.get(), "cgroup.controllers");
  const std::vector<std::string> here = split(listed.substr(0, listed.find('\n')), ' ');
  for (const char* controller : kControllers) {
    wanted += std::string(wanted.empty() ? "+" : " +") + controller;
    if (!has(here, controller)) has_not += std::string(has_not.empty() ? "" : ", ") + controller;
  }
  if (!has_not.empty())
    return directory + " has no " + has_not + "; run under systemd with Delegate=yes";
  const std::string failed = shareOut(directory, home.get(), wanted, role);
  if (!failed.empty()) return failed;
  homes_ = {{"", directory}};
  kind_ = LimitKind::kCgroup2;
  Group trial;
  const std::string untried = make(0, "trial", {16, 50, 8}, trial);
  trial.remove();
  if (untried.empty()) return {};
  kind_ = LimitKind::kRlimit;
  leave();
  return untried;
}

// A group with processes cannot share out its controllers, so they go into one beside.
std::string Cgroups::shareOut(const std::string& directory, int home, const std::string& wanted,
                              Role role) {
  const bool is_root = ::faccessat(home, "cgroup.type", F_OK, 0) != 0;
  if (role == Role::kKeeper && !is_root) {
    if (::mkdirat(home, kOwnGroup, 0755) != 0 && errno != EEXIST)
      return errnoText(directory, errno) + adviceFor(errno);
    if (!writeSmallFile(home, std::string(kOwnGroup) + "/cgroup.procs", "0"))
      return errnoText(directory + "/" + kOwnGroup, errno) + adviceFor(errno);
    left_ = directory;
  }
  if (writeSmallFile(home, "cgroup.subtree_control", wanted)) return {};
  const int reason = errno;
  leave();
  if (reason != EBUSY)
    return errnoText(directory + "/cgroup.subtree_control", reason) + adviceFor(reason);
  if (role == Role::kHelper && isAlone(readSmallFile(home, "cgroup.procs")))
    return directory + " has this process in it; only the keeper of `kante run` moves aside";
  return directory + " has other processes; run kante under systemd, or in a group of its own";
}

void Cgroups::leave() {
  if (left_.empty()) return;
  const Fd home(::open(left_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  left_.clear();
  // A keeper that this one was started by goes on there.
  const std::string here = readSmallFile(home.get(), std::string(kOwnGroup) + "/cgroup.procs");
  if (here != std::to_string(::getpid()) + "\n") return;
  std::string unwanted;
  for (const char* controller : kControllers) unwanted += std::string(" -") + controller;
  writeSmallFile(home.get(), "cgroup.subtree_control", unwanted.substr(1));
  if (writeSmallFile(home.get(), "cgroup.procs", "0"))
    ::unlinkat(home.get(), kOwnGroup, AT_REMOVEDIR);
}

std::string Cgroups::enterVersion1(const std::vector<Home>& homes) {
  for (const char* controller : kControllers) {
    const bool found = std::any_of(homes.begin(), homes.end(), [&](const Home& home) {
      return home.controller == controller && !home.directory.empty();
    });
    if (!found) return std::string("the control group of ") + controller + " is not mounted";
  }
  homes_ = homes;
  kind_ = LimitKind::kCgroup1;
  Group trial;
  std::string failed = make(0, "trial", {16, 50, 8}, trial);
  trial.remove();
  if (failed.empty()) return {};
  kind_ = LimitKind::kRlimit;
  return failed + "; start kante as root, or under systemd with Delegate=yes";
}

std::string Cgroups::make(std::uint32_t id, const std::string& name, const GroupLimits& limits,
                          Group& out) const {
  if (kind_ == LimitKind::kRlimit) return {};
  const std::string group = kPrefix + launcher() + "." + std::to_string(id) + "." + name;
  std::string failed;
  for (const Home& home : homes_) {
    const std::string path = home.directory + "/" + group;
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
      failed = errnoText(path, errno);
      break;
    }
    out.parts_.push_back({home.directory, group,
                          Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
                          home.controller});
    const int directory = out.parts_.back().directory.get();
    failed = directory < 0 ? errnoText(path, errno) : limit(directory, home.controller, limits);
    if (!failed.empty()) {
      failed = path + ": " + failed;
      break;
    }
  }
  if (!failed.empty()) out.remove();
  return failed;
}

std::string Cgroups::launcher() {
  const std::string pid = std::to_string(::getpid());
  return pid + "-" + startOf(pid);
}

void Cgroups::removeLeftovers() const {
  for (const Home& home : homes_) {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(home.directory.c_str()), ::closedir);
    if (!folder) continue;
    while (const dirent* entry = ::readdir(folder.get())) {
      const std::string name = entry->d_name;
      if (name.rfind(kPrefix, 0) != 0) continue;
      const std::string rest = name.substr(std::string(kPrefix).size());
      if (!isAlive(rest.substr(0, rest.find('.')))) ::rmdir((home.directory + "/" + name).c_str());
    }
  }
}

}  // namespace kante::launcher
