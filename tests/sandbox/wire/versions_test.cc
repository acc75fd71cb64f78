// What has another form has another version: a host, its launcher and its runners may come from
// different releases while an update is under way, and see that by the version alone.
#include <gtest/gtest.h>

#include <cstddef>
#include <sstream>

#include "sandbox/wire/launch.h"
#include "sandbox/wire/shared_pages.h"
#include "sandbox/wire/start.h"

namespace kante {
namespace {

#define AT(type, member) " " #member "@" << offsetof(type, member)

std::string launchForm() {
  std::ostringstream out;
  out << "Can " << sizeof(Can) << AT(Can, tier) << AT(Can, limits) << AT(Can, landlock_abi)
      << AT(Can, namespaces) << AT(Can, seccomp) << AT(Can, better) << "\n"
      << "Spawn " << sizeof(Spawn) << AT(Spawn, id) << AT(Spawn, tier) << AT(Spawn, memory_mb)
      << AT(Spawn, cpu_percent) << AT(Spawn, pids_max) << AT(Spawn, data_mb)
      << AT(Spawn, writes_files) << AT(Spawn, name) << AT(Spawn, module_file) << "\n"
      << "Spawned " << sizeof(Spawned) << AT(Spawned, id) << AT(Spawned, pid) << AT(Spawned, limits)
      << AT(Spawned, namespaces) << "\n"
      << "Kill " << sizeof(Kill) << AT(Kill, id) << "\n"
      << "Exited " << sizeof(Exited) << AT(Exited, id) << AT(Exited, exit_code)
      << AT(Exited, signal) << AT(Exited, out_of_memory) << AT(Exited, asked)
      << AT(Exited, pids_refused) << AT(Exited, cpu_us) << AT(Exited, memory_peak)
      << AT(Exited, text) << "\n";
  return out.str();
}

std::string wireForm() {
  std::ostringstream out;
  out << "Start " << sizeof(Start) << AT(Start, tier) << AT(Start, ring_bytes)
      << AT(Start, data_dir) << AT(Start, module_id) << AT(Start, module_path) << "\n"
      << "Facts " << sizeof(Facts) << AT(Facts, landlock_abi) << AT(Facts, no_new_privs)
      << AT(Facts, seccomp_mode) << AT(Facts, dumpable) << AT(Facts, mdwe) << AT(Facts, refused)
      << AT(Facts, tried) << AT(Facts, capabilities) << "\n"
      << "Loaded " << sizeof(Loaded) << AT(Loaded, inputs) << AT(Loaded, outputs)
      << AT(Loaded, has_filter2) << AT(Loaded, version) << AT(Loaded, names) << "\n"
      << "Refused " << sizeof(Refused) << AT(Refused, text) << "\n"
      << "PassedDescriptor " << sizeof(PassedDescriptor) << AT(PassedDescriptor, token) << "\n"
      << "pages " << sizeof(HostPage) << ' ' << sizeof(RunnerPage) << AT(RunnerPage, handled)
      << AT(RunnerPage, sequence) << AT(RunnerPage, violations) << AT(RunnerPage, signal) << "\n";
  return out.str();
}

TEST(Versions, WhoeverChangesWhatALauncherAndAHostSayRaisesItsVersion) {
  EXPECT_EQ(kLaunchVersion, 3U);
  EXPECT_EQ(
      launchForm(),
      "Can 1048 tier@4 limits@8 landlock_abi@12 namespaces@16 seccomp@20 better@24\n"
      "Spawn 160 id@4 tier@8 memory_mb@12 cpu_percent@16 pids_max@20 data_mb@24 "
      "writes_files@28 name@32 module_file@96\n"
      "Spawned 64 id@4 pid@8 limits@12 namespaces@16\n"
      "Kill 8 id@4\n"
      "Exited 560 id@4 exit_code@8 signal@12 out_of_memory@16 asked@20 pids_refused@24 cpu_us@32 "
      "memory_peak@40 text@48\n");
}

TEST(Versions, TheFirstWordsStayAsTheyAreForEver) {
  EXPECT_EQ(sizeof(Probe), 8U);
  EXPECT_EQ(offsetof(Probe, version), 4U);
  EXPECT_EQ(static_cast<std::uint32_t>(LaunchKind::kProbe), 1U);
  EXPECT_EQ(sizeof(NotUnderstood), 16U);
  EXPECT_EQ(offsetof(NotUnderstood, version), 4U);
  EXPECT_EQ(static_cast<std::uint32_t>(LaunchKind::kNotUnderstood), 7U);
  EXPECT_EQ(sizeof(Hello), 16U);
  EXPECT_EQ(offsetof(Hello, wire_version), 4U);
}

TEST(Versions, WhoeverChangesWhatARunnerAndAHostSayRaisesItsVersion) {
  EXPECT_EQ(kWireVersion, 3U);
  EXPECT_EQ(wireForm(),
            "Start 336 tier@4 ring_bytes@8 data_dir@12 module_id@16 module_path@272\n"
            "Facts 40 landlock_abi@4 no_new_privs@8 seccomp_mode@12 dumpable@16 mdwe@20 refused@24 "
            "tried@28 capabilities@32\n"
            "Loaded 32848 inputs@4 outputs@8 has_filter2@12 version@16 names@80\n"
            "Refused 1032 text@8\n"
            "PassedDescriptor 16 token@8\n"
            "pages 2240 448 handled@256 sequence@320 violations@332 signal@352\n");
}

}  // namespace
}  // namespace kante
