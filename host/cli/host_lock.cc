#include "host/cli/host_lock.h"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <thread>

namespace kante::cli {
namespace {

constexpr std::chrono::milliseconds kRetry{50};

std::string holder(int fd) {
  char text[32] = {};
  const auto size = ::pread(fd, text, sizeof(text) - 1, 0);
  std::string pid(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!pid.empty() && std::isdigit(static_cast<unsigned char>(pid.back())) == 0) pid.pop_back();
  const bool digits = !pid.empty() && std::all_of(pid.begin(), pid.end(), [](unsigned char c) {
    return std::isdigit(c) != 0;
  });
  return digits ? "process " + pid : "another process";
}

}  // namespace

Result<FileDescriptor> lockDataDirectory(int data_dir_fd, const std::string& data_dir,
                                         std::chrono::milliseconds patience) {
  KANTE_TRY(file, openAt(data_dir_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW));
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return failErrno(data_dir + "/lock");
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(Errc::kState,
                  "a host runs on " + data_dir + " already (" + holder(file.get()) + ")");
    }
    std::this_thread::sleep_for(kRetry);
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file.get(), 0) != 0) return failErrno(data_dir + "/lock");
  const Status written = writeAll(file.get(), pid);
  if (!written) return within(data_dir + "/lock", written.error());
  return file;
}

}  // namespace kante::cli
