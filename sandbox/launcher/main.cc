// kante-launcher: starts runners, and the host itself where it is the keeper.
//
//   kante-launcher --serve FD [--runner FILE]       for a host that runs already
//   kante-launcher [--versions DATA_DIR] --keep HOST ARGUMENT…
//                                                   `kante run` executes this in its own place
#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/launcher/fd.h"
#include "sandbox/launcher/keeper.h"
#include "sandbox/launcher/serve.h"

namespace kante::launcher {
namespace {

constexpr int kMisused = 2;

std::string besideSelf(const char* name) {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string self(path, size > 0 ? static_cast<std::size_t>(size) : 0);
  return self.substr(0, self.rfind('/') + 1) + name;
}

Fd openRunner(const std::string& path) { return Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); }

// A descriptor that comes in as 0, 1 or 2 would be taken for one of those.
void fillStandard() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    const int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd == fd) ::fcntl(fd, F_SETFD, 0);
  }
}

int misuse() {
  std::fputs("kante-launcher is started by kante; see `kante run --help`\n", stderr);
  return kMisused;
}

int run(int argc, char** argv) {
  fillStandard();
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() >= 2 && words[0] == "--serve") {
    const int fd = std::atoi(words[1].c_str());
    if (fd <= STDERR_FILENO || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return misuse();
    // Whatever else the host, or a module in it, has open.
    ::syscall(SYS_close_range, STDERR_FILENO + 1, fd - 1, 0);
    ::syscall(SYS_close_range, fd + 1, ~0U, 0);
    const bool given = words.size() == 4 && words[2] == "--runner";
    return serve(Fd(fd), openRunner(given ? words[3] : besideSelf("kante-runner")));
  }
  Versions versions;
  if (words.size() >= 2 && words[0] == "--versions") {
    versions = Versions(words[1]);
    words.erase(words.begin(), words.begin() + 2);
  }
  if (words.size() >= 3 && words[0] == "--keep") {
    Keeper keeper({words[1],
                   {words.begin() + 2, words.end()},
                   openRunner(besideSelf("kante-runner")),
                   std::move(versions)});
    return keeper.run();
  }
  return misuse();
}

}  // namespace
}  // namespace kante::launcher

int main(int argc, char** argv) { return kante::launcher::run(argc, argv); }
