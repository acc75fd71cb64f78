// A child that confines itself as a runner does, and says how it went.
//
// The child's work runs under the real kernel's filters, so it has no gtest: it notes what it found
// in a Notebook that both processes see.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "sandbox/confine/confine.h"

namespace kante::testing {

// Shared with the child.
struct Notebook {
  RunnerPage page;
  Facts facts;
  std::uint32_t entries = 0;
  char text[8192] = {};  // Lines, NUL-terminated.

  void note(const std::string& line);
};

struct Ended {
  int exit_code = -1;
  int signal = 0;
};

enum class As : std::uint8_t { kSame, kNobody };  // Whoever runs the test, or uid 65534.

// Exit codes of the child before its work.
inline constexpr int kNotConfined = 3, kNotPrepared = 4, kNoNamespaces = 5;

struct Preparation {
  std::uint32_t tier = 2;  // 3 and 1 get an empty root.
  As as = As::kSame;
  bool own_pids = false;    // The first process of a namespace of pids.
  std::string module_file;  // Its bytes become descriptor 7, sealed.
  bool module_sealed = true;
  std::function<void()> before = [] {};  // After the descriptors are made, before confine().
};

// Makes the child, waits for it.  It ends with 0 when `work` returns, with kNotConfined when it
// could not be confined; what confine() said is then in the notes.
class ConfinedChild {
 public:
  ConfinedChild();
  ~ConfinedChild();
  ConfinedChild(const ConfinedChild&) = delete;
  ConfinedChild& operator=(const ConfinedChild&) = delete;

  Ended run(const Preparation& how, const std::function<void(Notebook&)>& work);
  // Without anything that confines.
  Ended runBare(const std::function<void(Notebook&)>& work);
  // The same as run() in two steps, for a look at it in between: `work` then waits for proceed().
  pid_t start(const Preparation& how, const std::function<void(Notebook&)>& work);
  Ended wait();

  const Notebook& notes() const { return *notes_; }
  std::string text() const { return notes_->text; }

 private:
  Notebook* const notes_;
  pid_t child_ = 0;
};

}  // namespace kante::testing
