#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <chrono>
#include <filesystem>

#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/base/fd.h"
#include "host/bundle/trust.h"
#include "host/cli/checks.h"
#include "host/cli/client.h"
#include "host/cli/json_view.h"
#include "host/cli/output.h"
#include "host/config/config.h"

namespace kante::cli {
namespace {

constexpr double kFreeBytesMin = 32e6;  // Below it nothing can be deployed.
constexpr double kSlowSyncMs = 100;     // Slower: each durable message waits for it.
constexpr rlim_t kFilesWanted = 4096;

void add(CheckResults& out, const char* name, Verdict verdict, std::string text,
         std::string hint = {}) {
  out.push_back({name, verdict, std::move(text), std::move(hint)});
}

void checkSeals(CheckResults& out) {
  const FileDescriptor file(::memfd_create("kante-check", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const bool sealed =
      file && ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0;
  if (sealed) return add(out, "memfd", Verdict::kOk, "memory files can be sealed");
  add(out, "memfd", Verdict::kFail, "memory files cannot be sealed, so no module can be loaded",
      "run a kernel from 3.17 on, and let the container's seccomp profile allow memfd_create");
}

// Nothing of it stays: the file has no name.
double syncMilliseconds(int dir_fd, std::string& failure) {
  auto file = openAt(dir_fd, ".", O_TMPFILE | O_RDWR, 0600);
  const std::string temporary = ".check-" + toHex(randomBytes(8));
  if (!file) {
    file = openAt(dir_fd, temporary, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (file) ::unlinkat(dir_fd, temporary.c_str(), 0);
  }
  if (!file) {
    failure = file.error().text;
    return 0;
  }
  const auto begin = std::chrono::steady_clock::now();
  if (const auto written = writeAll(file->get(), std::string(4096, 'k')); !written) {
    failure = written.error().text;
  } else if (::fdatasync(file->get()) != 0) {
    failure = failErrno("fdatasync").text;
  }
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

void checkRoom(const Config& config, int dir_fd, CheckResults& out) {
  struct statvfs disk {};
  if (::fstatvfs(dir_fd, &disk) != 0) return;
  const double free = static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize);
  const double wanted = 2.0 * static_cast<double>(config.store.max_bytes) + 8e6;
  const std::string has = formatBytes(free) + " free";
  if (free < kFreeBytesMin) {
    return add(out, "disk", Verdict::kFail, has + ", too little to deploy anything",
               "free space under " + config.gateway.data_dir);
  }
  if (free < wanted) {
    return add(out, "disk", Verdict::kWarn,
               has + ", less than the " + formatBytes(wanted) + " that the store may take",
               "free space, or lower [store] max_bytes");
  }
  add(out, "disk", Verdict::kOk, has);
}

// Of a host that runs; nothing when it does not say.
void checkLoads(const boost::json::value& status, CheckResults& out) {
  const auto& loads = member(status, "loads");
  const double used = real(loads, "used");
  const double most = real(loads, "max");
  if (most == 0) return;
  const std::string text =
      fmt::format("{:.0f} of {:.0f} libraries in this life of the host", used, most);
  if (used * 4 < most * 3) return add(out, "loads", Verdict::kOk, text);
  add(out, "loads", Verdict::kWarn, text,
      "restart the host at a time that suits you, or raise [runtime] in_process_loads_max");
}

// What is checked is the file, and that may not be all.
void checkDeployed(const boost::json::value& status, CheckResults& out) {
  const std::string keys = deployedKeys(status);
  if (keys.empty()) return;
  add(out, "deployed", Verdict::kWarn,
      "the deployment that runs changes " + keys + "; what is checked here is the file",
      "kante status --json has what holds, under configuration.resolved");
}

// What a store of an earlier start was too damaged to give back.
void checkBrokenStores(const std::string& data_dir, CheckResults& out) {
  std::error_code error;
  std::vector<std::string> broken;
  for (const auto& entry : std::filesystem::directory_iterator(data_dir, error)) {
    const std::string file = entry.path().filename().string();
    if (file.starts_with("store.broken-")) broken.push_back(file);
  }
  if (broken.empty()) return;
  std::sort(broken.begin(), broken.end());
  add(out, "store", Verdict::kWarn,
      fmt::format("broken and set aside, with what was not sent from there: {}",
                  fmt::join(broken, ", ")),
      "look at the disk (dmesg, smartctl), and remove them from " + data_dir +
          " when they are of no use");
}

}  // namespace

const char* name(Verdict verdict) {
  static constexpr const char* kNames[] = {"ok", "warn", "fail"};
  return kNames[static_cast<int>(verdict)];
}

void checkClock(CheckResults& out) {
  const std::int64_t now_ns = SystemClock().wallNs();
  if (now_ns / 1'000'000'000 < buildTimeS()) {
    return add(
        out, "clock", Verdict::kFail,
        formatUtc(now_ns) + " is before this build was made, so certificates cannot be judged",
        "set the time, and let chrony or systemd-timesyncd keep it");
  }
  timex state{};
  const int answer = ::adjtimex(&state);
  const bool synchronised = answer >= 0 && (state.status & STA_UNSYNC) == 0;
  if (synchronised) return add(out, "clock", Verdict::kOk, formatUtc(now_ns) + ", synchronised");
  add(out, "clock", Verdict::kWarn,
      formatUtc(now_ns) + ", and the kernel does not know whether it is right",
      "let chrony or systemd-timesyncd keep the time");
}

void checkKernel(CheckResults& out) {
  utsname kernel{};
  ::uname(&kernel);
  add(out, "kernel", Verdict::kOk,
      fmt::format("{} {} on {}", kernel.sysname, kernel.release, kernel.machine));
  checkSeals(out);
}

void checkLimits(CheckResults& out) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const bool unlimited = files.rlim_max == RLIM_INFINITY;
  const std::string most = unlimited ? "any number" : std::to_string(files.rlim_max);
  if (unlimited || files.rlim_max >= kFilesWanted) {
    return add(out, "open-files", Verdict::kOk, "up to " + most);
  }
  add(out, "open-files", Verdict::kWarn, "up to " + most + ", which bounds connections",
      "raise LimitNOFILE of the service to 65536");
}

void checkDataDirectory(const Config& config, CheckResults& out) {
  const std::string& path = config.gateway.data_dir;
  const auto directory = openDirectory(path);
  if (!directory) {
    const bool missing = directory.error().code == Errc::kNotFound;
    return add(out, "data-dir", missing ? Verdict::kWarn : Verdict::kFail, directory.error().text,
               missing ? "kante run makes it, if its parent lets this user"
                       : "look at its owner and mode");
  }
  std::string failure;
  const double ms = syncMilliseconds(directory->get(), failure);
  if (!failure.empty()) {
    add(out, "data-dir", Verdict::kFail, path + " cannot be written: " + failure,
        "look at its owner, its mode and the disk");
  } else if (ms > kSlowSyncMs) {
    add(out, "data-dir", Verdict::kWarn,
        fmt::format("{} is writable, but syncs in {:.0f} ms", path, ms),
        "use a faster disk, or [store] sync = \"interval\"");
  } else {
    add(out, "data-dir", Verdict::kOk,
        fmt::format("{} is writable and syncs in {:.1f} ms", path, ms));
  }
  checkRoom(config, directory->get(), out);
  checkBrokenStores(path, out);
}

void checkHost(const std::string& socket, CheckResults& out) {
  struct stat file {};
  if (::lstat(socket.c_str(), &file) == 0 && !S_ISSOCK(file.st_mode)) {
    return add(out, "api", Verdict::kFail, socket + " is not a socket", "move it away");
  }
  auto client = Client::connect(socket);
  if (!client && client.error().code == Errc::kDenied) {
    return add(out, "api", Verdict::kWarn, "this user may not use " + socket,
               "be root, or a member of the group in [api] group");
  }
  if (!client) {
    return add(out, "api", Verdict::kWarn, "no host runs at " + socket, "kante run starts one");
  }
  const auto body = client->get("/v1/status");
  if (const auto status = body ? parseReply(*body) : Result<boost::json::value>(body.error())) {
    checkDeployed(*status, out);
    checkLoads(*status, out);
  }
  const auto health = client->ask("GET", "/v1/health");
  if (!health) return add(out, "api", Verdict::kFail, health.error().text, "look at its log");
  if (health->status == 200)
    return add(out, "api", Verdict::kOk, "a healthy host runs at " + socket);
  add(out, "api", Verdict::kFail, "the host at " + socket + " is not healthy",
      "kante status says what is wrong");
}

}  // namespace kante::cli
