#include "host/sandbox/exit_reason.h"

#include <fmt/format.h>

#include <csignal>
#include <cstring>

#include "host/runtime/event_name.h"
#include "host/sandbox/said.h"
#include "sandbox/confine/confine.h"
#include "sandbox/wire/start.h"

namespace kante {

namespace {

std::string signalName(int signal) {
  const char* abbreviation = ::sigabbrev_np(signal);
  return abbreviation == nullptr ? fmt::format("signal {}", signal)
                                 : fmt::format("SIG{}", abbreviation);
}

std::string where(const RunnerReport& report) {
  return report.in_callback ? " in " + eventName(report.event) : "";
}

std::string bySignal(int signal, const RunnerReport& report) {
  const bool reported = report.signal == static_cast<std::uint32_t>(signal);
  const bool has_address =
      reported && (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE);
  if (has_address)
    return fmt::format("{} at {:#x}{}", signalName(signal), report.fault_address, where(report));
  // As pid 1 of its namespace it cannot die of its own SIGABRT, and then dies of SIGILL.
  if (signal == SIGILL && report.signal == SIGABRT) return "SIGABRT" + where(report);
  return signalName(signal) + where(report);
}

}  // namespace

RunnerReport reportOf(const RunnerPage& page) {
  RunnerReport report;
  report.in_callback = (page.sequence.load(std::memory_order_acquire) & 1) != 0;
  report.event = page.event.load(std::memory_order_relaxed);
  report.violations = page.violations.load(std::memory_order_relaxed);
  report.syscall = page.syscall.load(std::memory_order_relaxed);
  report.architecture = page.architecture.load(std::memory_order_relaxed);
  report.signal = page.signal.load(std::memory_order_relaxed);
  report.fault_address = page.fault_address.load(std::memory_order_relaxed);
  return report;
}

std::string violationText(const RunnerReport& report) {
  const char* known = systemCallName(report.architecture, report.syscall);
  return known != nullptr ? fmt::format("called `{}`", known)
                          : fmt::format("called the system call {} of architecture {:#x}",
                                        report.syscall, report.architecture);
}

LifeEnd endOf(const Exited& exited, const RunnerReport& report, std::uint32_t memory_mb,
              const std::string& killed_for) {
  LifeEnd end;
  end.in_input = report.in_callback && report.event == KANTE_EVENT_INPUT;
  // What was refused before often is what it died of.
  const bool is_known = systemCallName(report.architecture, report.syscall) != nullptr;
  const std::string refused =
      report.violations == 0 || !is_known ? "" : "; before that it " + violationText(report);
  if (!killed_for.empty()) {
    end.reason = killed_for + refused;
  } else if (exited.exit_code == 0 && exited.signal == 0 && exited.text[0] != '\0') {
    end.reason = "could not be started: " + saidText(exited.text, sizeof exited.text);
  } else if (exited.out_of_memory > 0) {
    end.reason = fmt::format("memory limit {} MB reached", memory_mb);
  } else if (exited.signal == SIGSYS) {
    end.reason = report.violations > 0 ? violationText(report)
                                       : "made a system call of a foreign architecture";
  } else if (exited.signal == SIGKILL) {
    end.reason = "was killed from outside";
    end.by = exited.asked != 0 ? LifeEnd::By::kItself : LifeEnd::By::kOutside;
  } else if (exited.signal != 0) {
    end.reason = bySignal(exited.signal, report) + refused;
  } else if (exited.exit_code == kRunnerExitHostGone) {
    end.reason = "closed its control socket" + refused;
  } else {
    end.reason = fmt::format("ended by itself with exit code {}", exited.exit_code) + refused;
  }
  if (exited.pids_refused > 0) {
    end.reason += fmt::format("; it was refused {} processes or threads beyond its limit",
                              exited.pids_refused);
  }
  return end;
}

}  // namespace kante
