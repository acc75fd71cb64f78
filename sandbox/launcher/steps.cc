#include "sandbox/launcher/steps.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sandbox/launcher/fd.h"

namespace kante::launcher {

void Steps::fail(const std::string& about) const {
  const int reason = errno;
  failWith(errnoText(about.empty() ? step_ : step_ + (", " + about), reason));
}

void Steps::failWith(const std::string& text) const {
  ChildReport report;
  report.failed = 1;
  text.copy(report.text, sizeof report.text - 1);
  // Whoever waits for it sees the end of the process in any case.
  (void)::send(report_fd_, &report, sizeof report, MSG_NOSIGNAL);
  ::_exit(127);
}

void Steps::ready(const std::uint64_t (&namespaces)[6]) const {
  ChildReport report;
  std::memcpy(report.namespaces, namespaces, sizeof namespaces);
  must(::send(report_fd_, &report, sizeof report, MSG_NOSIGNAL) == sizeof report);
}

}  // namespace kante::launcher
