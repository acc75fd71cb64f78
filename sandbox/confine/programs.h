// The programs of the filters, ready for seccomp(2), and how they read.
#pragma once

#include <string>

#include "sandbox/confine/filter.h"

namespace kante {

// Made at build time, kept read-only.
const Program& filterProgram(Stage stage, Files files);

// Puts the program of this machine on all threads.  From here no_new_privs must be set.  Empty, or
// what went wrong.
std::string installFilter(Stage stage, Files files);

// One instruction a line, system calls by name.
std::string disassemble(const Program& program, Arch arch);

}  // namespace kante
