#include "host/bundle/host_bundle.h"

#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "host/base/fd.h"
#include "host/bundle/pack.h"

namespace kante {

namespace {

constexpr const char* kPrograms[] = {"kante", "kante-launcher", "kante-runner"};
constexpr Machine kMachines[] = {Machine::kAmd64, Machine::kArm64, Machine::kArmhf,
                                 Machine::kRiscv64};

std::vector<std::string> programs(Machine machine) {
  std::vector<std::string> out;
  for (const char* program : kPrograms) out.push_back(hostFolder(machine) + "/" + program);
  return out;
}

// Those that it has at least one program for.
std::vector<Machine> machinesOf(const Manifest& manifest) {
  std::vector<Machine> out;
  for (const Machine machine : kMachines) {
    const auto first = manifest.files.lower_bound(hostFolder(machine) + "/");
    if (first != manifest.files.end() && first->first.starts_with(hostFolder(machine) + "/"))
      out.push_back(machine);
  }
  return out;
}

}  // namespace

std::string hostFolder(Machine machine) { return std::string("data/bin/") + name(machine); }

Status checkHostBundle(const Manifest& manifest) {
  const std::vector<Machine> machines = machinesOf(manifest);
  if (machines.empty())
    return fail(Errc::kInvalid,
                "a bundle of kind host holds data/bin/ARCH/kante, kante-launcher and kante-runner");
  for (const Machine machine : machines) {
    for (const std::string& each : programs(machine)) {
      if (!manifest.files.contains(each))
        return fail(Errc::kInvalid, each +
                                        " is missing: a host, its launcher and its runner come "
                                        "from one release");
    }
  }
  return {};
}

Status checkHostMachine(const Manifest& manifest, Machine machine) {
  std::string all;
  for (const Machine each : machinesOf(manifest)) {
    if (each == machine) return {};
    all += std::string(all.empty() ? "" : ", ") + name(each);
  }
  return fail(Errc::kUnsupported, "bundle of " + manifest.id + " has no host for " + name(machine) +
                                      ", but for " + all);
}

Status checkHostPrograms(int bundle_fd, const Manifest& manifest, Machine machine) {
  for (const std::string& each : programs(machine)) {
    const auto listed = manifest.files.find(each);
    if (listed == manifest.files.end()) return fail(Errc::kCorrupt, each + " is not in it");
    KANTE_TRY(found, measureFile(bundle_fd, each));
    if (found.sha256 != listed->second.sha256)
      return fail(Errc::kCorrupt, each + " is not what was admitted");
  }
  return {};
}

Status makeHostRunnable(int bundle_fd, const Manifest& manifest, Machine machine) {
  KANTE_CHECK(checkHostPrograms(bundle_fd, manifest, machine));
  for (const std::string& each : programs(machine)) {
    KANTE_TRY(file, openAt(bundle_fd, each, O_RDONLY | O_NOFOLLOW));
    if (::fchmod(file.get(), 0755) != 0 || ::fsync(file.get()) != 0) return failErrno(each);
  }
  return {};
}

}  // namespace kante
