#include "host/support/machine.h"

#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>

#include "host/base/clock.h"
#include "host/base/fd.h"

namespace kante {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

constexpr std::size_t kFileBytesMax = 64 * 1024;

// Empty: not there.
std::string textOf(const char* file) {
  auto text = readFile(std::string(file), kFileBytesMax);
  return text ? std::move(*text) : std::string();
}

json::object diskOf(const std::string& path) {
  struct statvfs disk {};
  if (::statvfs(path.c_str(), &disk) != 0) return {{"path", path}};
  const auto bytes = [&disk](auto blocks) {
    return static_cast<std::uint64_t>(blocks) * disk.f_frsize;
  };
  return {{"path", path},
          {"bytes", bytes(disk.f_blocks)},
          {"free_bytes", bytes(disk.f_bavail)},
          {"inodes", disk.f_files},
          {"free_inodes", disk.f_favail},
          {"read_only", (disk.f_flag & ST_RDONLY) != 0}};
}

json::object filesIn(const std::string& data_dir) {
  json::object out;
  std::error_code error;
  const auto options = fs::directory_options::skip_permission_denied;
  for (auto at = fs::recursive_directory_iterator(data_dir, options, error);
       !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (out.size() >= kDataDirFilesMax) break;
    std::error_code unknown;
    if (at->is_regular_file(unknown))
      out[fs::relative(at->path(), data_dir, unknown).string()] = at->file_size(unknown);
  }
  return out;
}

}  // namespace

json::object machineFacts(const std::string& data_dir) {
  utsname kernel{};
  ::uname(&kernel);
  struct sysinfo now {};
  ::sysinfo(&now);
  json::array disks{diskOf("/")};
  if (!data_dir.empty()) disks.emplace_back(diskOf(data_dir));
  json::object out{{"time", formatUtc(SystemClock().wallNs())},
                   {"kernel", json::object{{"system", kernel.sysname},
                                           {"release", kernel.release},
                                           {"version", kernel.version},
                                           {"machine", kernel.machine}}},
                   {"uptime_s", now.uptime},
                   {"processors", ::sysconf(_SC_NPROCESSORS_ONLN)},
                   {"processes", now.procs},
                   {"disks", std::move(disks)}};
  for (const auto& [name, file] : {std::pair{"os_release", "/etc/os-release"},
                                   {"memory", "/proc/meminfo"},
                                   {"load", "/proc/loadavg"},
                                   {"pressure_memory", "/proc/pressure/memory"},
                                   {"pressure_io", "/proc/pressure/io"},
                                   {"limits", "/proc/self/limits"},
                                   {"cgroup", "/proc/self/cgroup"},
                                   {"lsm", "/sys/kernel/security/lsm"}}) {
    if (const std::string text = textOf(file); !text.empty()) out[name] = text;
  }
  if (!data_dir.empty()) out["data_dir"] = filesIn(data_dir);
  return out;
}

}  // namespace kante
