// What a runner does to itself before it loads its module, and after.
//
// In this order, on the only thread: installReports(), confine(), dlopen, afterLoad().  After
// confine() the process has no capability, no file but the libraries and its module, no socket
// call, no exec and no other memory that can be executed; afterLoad() takes opening of files and
// executable maps away as well, from every thread that a constructor may have started.  None of it
// can be undone.  A module is hostile from its first constructor on, so confine() is the border and
// afterLoad() is hardening.
//
// Both memory files must be mapped before: confine() closes their descriptors, or a constructor
// could map as code what it wrote into the ring.
//
// The functions answer with one sentence about what went wrong, empty when nothing did.  After a
// failure the process is half confined and should end: a module must never be loaded into it.
#pragma once

#include <string>

#include "sandbox/wire/shared_pages.h"
#include "sandbox/wire/start.h"

namespace kante {

// Handles SIGSYS (writes number, architecture and address of the refused call into `page` and lets
// it fail with EPERM) and the deadly signals SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT (notes the
// first one and its address, then dies of it; pid 1 of a namespace, which its own SIGABRT cannot
// kill, dies of SIGILL).  `page` stays mapped as long as the process lives.  Uses a signal stack of
// its own on the calling thread.
void installReports(RunnerPage& page);

// Gives everything up that the module must not have, for the tier in `start`, then tries to get
// some of it back.  Fills in `facts`, whatever it answers.  Threads that exist are confined too,
// but none should.  In builds with sanitizers it only reports: these need what the filters take.
std::string confine(const Start& start, Facts& facts);

// The second filter.
std::string afterLoad(const Start& start);

// What the kernel's Landlock can do: its ABI's number, 0 when there is none.
int probeLandlock();

// "socket" for 41 of AUDIT_ARCH_X86_64; null for what has no name.  For reports.
const char* systemCallName(unsigned architecture, unsigned number);

// Both filters in readable form, as built for this machine: `kante-runner --print-filters`.
std::string printFilters();

}  // namespace kante
