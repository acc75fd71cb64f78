#include "sandbox/launcher/serve.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <vector>

#include "sandbox/launcher/service.h"

namespace kante::launcher {
namespace {

void reapAll(Service& service) {
  int status = 0;
  rusage used{};
  for (pid_t pid = 0; (pid = ::wait4(-1, &status, WNOHANG, &used)) > 0;)
    service.reaped(pid, status, used);
}

}  // namespace

int serve(Fd socket, Fd runner) {
  // What a terminal sends to the group is for the host, which then closes the socket.
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(number, SIG_IGN);
  sigset_t ended;
  ::sigemptyset(&ended);
  ::sigaddset(&ended, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &ended, nullptr);
  const Fd signals(::signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return 1;
  Service service(std::move(runner), Cgroups::Role::kHelper);
  service.attach(std::move(socket));
  while (service.attached() || service.hasLeft()) {
    std::vector<pollfd> polled = {{signals.get(), POLLIN, 0}};
    service.addTo(polled);
    if (::poll(polled.data(), polled.size(), service.timeoutMs()) < 0) continue;
    service.onPoll(polled);
    signalfd_siginfo info{};
    while (::read(signals.get(), &info, sizeof info) == sizeof info) reapAll(service);
  }
  return 0;
}

}  // namespace kante::launcher
