// kante-runner: one module in a process of its own, confined before its first byte runs.
//
// Started by kante-launcher with the descriptors of shared_pages.h and nothing else; what it is to
// do comes over the control socket (start.h).
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include "sandbox/confine/confine.h"
#include "sandbox/runner/control.h"
#include "sandbox/runner/host_watch.h"
#include "sandbox/runner/load.h"
#include "sandbox/runner/loop.h"

namespace {

using namespace kante;

template <std::size_t kSize>
std::string textOf(const char (&field)[kSize]) {
  return {field, ::strnlen(field, kSize)};
}

int refuse(const Control& control, const std::string& why) {
  control.refuse(why);
  return kRunnerExitRefused;
}

// Says what is wrong to whoever started it by hand.
int misuse() {
  std::fputs(
      "kante-runner runs one sandboxed module of a Kante host; kante-launcher starts it.\n"
      "  kante-runner --print-filters   both system call filters in readable form\n",
      stderr);
  return 2;
}

int run() {
  const Control control(kRunnerControlFd);
  Hello hello;
  hello.wire_version = kWireVersion;
  hello.pid = ::getpid();
  Start start;
  if (!control.send(hello) || !control.receive(start)) return kRunnerExitHostGone;
  auto files = RunnerFiles::map(kRunnerHostFileFd, kRunnerRunnerFileFd, start.ring_bytes);
  if (files.has_error()) return refuse(control, files.error().text);
  ::close(kRunnerHostFileFd);
  ::close(kRunnerRunnerFileFd);
  if (!endWithHost(kRunnerControlFd)) return refuse(control, "SIGIO cannot be had");
  installReports(files->page());

  Facts facts;
  if (const std::string wrong = confine(start, facts); !wrong.empty())
    return refuse(control, wrong);
  Load load;
  if (!control.send(facts) || !control.receive(load)) return kRunnerExitHostGone;

  const auto entry = loadModule(textOf(start.module_path), textOf(start.module_id));
  if (entry.has_error()) return refuse(control, entry.error().text);
  auto loaded = describe(**entry);
  if (loaded.has_error()) return refuse(control, loaded.error().text);
  if (const std::string wrong = afterLoad(start); !wrong.empty()) return refuse(control, wrong);
  loaded->has_filter2 = 1;
  Loop loop(*files, **entry, kRunnerDoorbellFd, kRunnerControlFd);
  if (!control.send(*loaded)) return kRunnerExitHostGone;
  if (const auto broken = loop.run()) {
    std::fprintf(stderr, "the host broke the rules: %s\n", broken->c_str());
    return kRunnerExitBroken;
  }
  return isHostGone(kRunnerControlFd) ? kRunnerExitHostGone : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--print-filters") == 0) {
    std::fputs(printFilters().c_str(), stdout);
    return 0;
  }
  // The launcher gives it the module's name, for process lists alone.
  struct stat control {};
  if (argc > 2 || ::fstat(kRunnerControlFd, &control) != 0 || !S_ISSOCK(control.st_mode))
    return misuse();
  ::signal(SIGPIPE, SIG_IGN);  // A peer that is gone is an answer, as in the host's own process.
  ::signal(SIGXFSZ, SIG_IGN);  // A full /data as well.
  ::mallopt(M_ARENA_MAX, 2);   // One strand and few threads: memory before speed.
  // Nothing of the module runs once it was destroyed, its exit handlers neither.
  ::_exit(run());
}
