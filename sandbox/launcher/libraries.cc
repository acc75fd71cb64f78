#include "sandbox/launcher/libraries.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>

#include "sandbox/launcher/fd.h"

namespace kante::launcher {
namespace {

constexpr std::size_t kAnswerBytesMax = 64 * 1024;

// What a module may name beside libc; empty stubs from glibc 2.34 on.
constexpr const char* kMoreOfLibc[] = {"libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"};

[[noreturn]] void trace(int runner_fd, int answer_fd) {
  ::dup2(answer_fd, STDOUT_FILENO);
  ::dup2(answer_fd, STDERR_FILENO);
  char name[] = "kante-runner";
  char variable[] = "LD_TRACE_LOADED_OBJECTS=1";
  char* arguments[] = {name, nullptr};
  char* environment[] = {variable, nullptr};
  ::execveat(runner_fd, "", arguments, environment, AT_EMPTY_PATH);
  ::_exit(127);
}

std::string ask(int runner_fd, std::string& answer) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errnoText("pipe", errno);
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return errnoText("fork", errno);
  if (child == 0) trace(runner_fd, write_end.get());
  write_end.reset();
  char part[4096];
  for (;;) {
    const ssize_t got = ::read(read_end.get(), part, sizeof part);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || answer.size() > kAnswerBytesMax) break;
    answer.append(part, static_cast<std::size_t>(got));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (status == 0) return {};
  return "the loader cannot start kante-runner: " + answer.substr(0, answer.find('\n'));
}

std::string realPath(const std::string& path) {
  char out[PATH_MAX];
  return ::realpath(path.c_str(), out) == nullptr ? std::string() : std::string(out);
}

std::string lastOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)", "\t/lib64/ld-linux-x86-64.so.2 (0x…)",
// "\tlinux-vdso.so.1 (0x…)"
std::string readAnswer(const std::string& answer, Libraries& out) {
  std::string beside_libc;
  for (const std::string& line : split(answer, '\n')) {
    const auto begin = line.find_first_not_of(" \t");
    const auto end = line.rfind(" (0x");
    if (begin == std::string::npos || end == std::string::npos) continue;
    const std::string what = line.substr(begin, end - begin);
    const auto arrow = what.find(" => ");
    const bool is_loader = arrow == std::string::npos;
    if (is_loader && what[0] != '/') continue;  // The kernel's own.
    const std::string name = is_loader ? lastOf(what) : what.substr(0, arrow);
    const std::string from = realPath(is_loader ? what : what.substr(arrow + 4));
    if (from.empty()) return "the library " + what + " is not there";
    out.files.push_back({from, is_loader ? what : Libraries::kFolder + ("/" + lastOf(name))});
    if (name == "libc.so.6") beside_libc = from.substr(0, from.rfind('/') + 1);
  }
  if (beside_libc.empty()) return "kante-runner does not use the C library of this machine";
  for (const char* name : kMoreOfLibc) {
    const std::string to = Libraries::kFolder + (std::string("/") + name);
    const bool known = std::any_of(out.files.begin(), out.files.end(),
                                   [&](const Libraries::File& file) { return file.to == to; });
    const std::string from = realPath(beside_libc + name);
    if (!known && !from.empty()) out.files.push_back({from, to});
  }
  return {};
}

}  // namespace

std::string findLibraries(int runner_fd, Libraries& out) {
  out.files.clear();
  std::string answer;
  std::string failed = ask(runner_fd, answer);
  if (failed.empty()) failed = readAnswer(answer, out);
  if (!failed.empty()) out.files.clear();
  return failed;
}

bool areThere(const Libraries& libraries) {
  return !libraries.files.empty() &&
         std::all_of(libraries.files.begin(), libraries.files.end(),
                     [](const auto& file) { return ::access(file.from.c_str(), R_OK) == 0; });
}

}  // namespace kante::launcher
