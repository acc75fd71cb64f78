#include "sandbox/launcher/root.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace kante::launcher {
namespace {

constexpr const char* kOld = "/old";
constexpr unsigned long kSealed = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
constexpr std::uint64_t kRootSpareBytes = 256 * 1024;  // For folders and empty files.
constexpr const char* kNoFilesMore = ",nr_inodes=128,mode=0755";

std::uint64_t sizeOf(int fd) {
  struct stat file {};
  return fd >= 0 && ::fstat(fd, &file) == 0 ? static_cast<std::uint64_t>(file.st_size) : 0;
}

// Onto any folder that is there; the old root is out of the way at once.
void enterEmpty(const RootPlan& plan, const Steps& steps) {
  const std::string options =
      "size=" + std::to_string(sizeOf(plan.module_fd) + kRootSpareBytes) + kNoFilesMore;
  const char* base = nullptr;
  for (const char* each : {"/tmp", "/run", "/var", "/dev"}) {
    if (::mount("kante", each, "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
      if (errno == ENOENT) continue;
      steps.fail(std::string("tmpfs on ") + each);
    }
    base = each;
    break;
  }
  steps.must(base != nullptr);
  steps.must(::chdir(base) == 0, base);
  steps.must(::mkdir("old", 0700) == 0);
  steps.must(::syscall(SYS_pivot_root, ".", "old") == 0, "pivot_root");
  steps.must(::chdir("/") == 0);
}

void makeFolders(const std::string& path, const Steps& steps) {
  for (auto slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string folder = path.substr(0, slash);
    steps.must(::mkdir(folder.c_str(), 0755) == 0 || errno == EEXIST, folder);
  }
}

void bindLibraries(const Libraries& libraries, const Steps& steps) {
  for (const Libraries::File& file : libraries.files) {
    makeFolders(file.to, steps);
    const Fd place(::open(file.to.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0444));
    steps.must(static_cast<bool>(place), file.to);
    const std::string from = kOld + file.from;
    steps.must(::mount(from.c_str(), file.to.c_str(), nullptr, MS_BIND, nullptr) == 0, file.from);
    // The flags of a bind are taken only by a mount of their own.
    steps.must(::mount(nullptr, file.to.c_str(), nullptr, kSealed, nullptr) == 0, file.to);
  }
}

void writeModule(const RootPlan& plan, const Steps& steps) {
  steps.must(::mkdir("/mod", 0755) == 0);
  if (plan.module_fd < 0) return;
  const std::string path = "/mod/" + plan.module_file;
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
  steps.must(static_cast<bool>(file), path);
  char part[64 * 1024];
  // By position: the descriptor and its offset are shared with the host.
  for (off_t at = 0;;) {
    const ssize_t got = ::pread(plan.module_fd, part, sizeof part, at);
    if (got < 0 && errno == EINTR) continue;
    steps.must(got >= 0, "reading it");
    if (got == 0) break;
    steps.must(::write(file.get(), part, static_cast<std::size_t>(got)) == got, path);
    at += got;
  }
  steps.must(::fchmod(file.get(), 0444) == 0, path);
}

}  // namespace

Fd enterRoot(const RootPlan& plan, Steps& steps) {
  steps.at("making mounts private");
  steps.must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  steps.at("an empty root");
  enterEmpty(plan, steps);
  Fd proc(::open("/old/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  steps.must(static_cast<bool>(proc), "/proc");
  steps.at("binding libraries");
  bindLibraries(*plan.libraries, steps);
  steps.at("writing the module");
  writeModule(plan, steps);
  if (plan.data_mb != 0) {
    steps.at("mounting /data");
    steps.must(::mkdir("/data", 0700) == 0);
    const std::string options =
        "size=" + std::to_string(plan.data_mb) + "m,nr_inodes=16384,mode=0700";
    steps.must(
        ::mount("data", "/data", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options.c_str()) == 0);
  }
  steps.at("leaving the old root");
  steps.must(::umount2(kOld, MNT_DETACH) == 0);
  steps.must(::rmdir(kOld) == 0);
  steps.at("making the root read-only");
  steps.must(::mount("/mod", "/mod", nullptr, MS_BIND, nullptr) == 0, "/mod");
  steps.must(::mount(nullptr, "/mod", nullptr, kSealed, nullptr) == 0, "/mod");
  steps.must(::mount(nullptr, "/", nullptr, kSealed | MS_NOEXEC, nullptr) == 0, "/");
  steps.must(::chdir("/") == 0);
  return proc;
}

}  // namespace kante::launcher
