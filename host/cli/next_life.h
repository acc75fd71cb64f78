// How a process goes on as its own next life: the same executable, arguments, environment and
// process number, so that whoever supervises it sees nothing but a reload.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "host/base/result.h"

namespace kante::cli {

class NextLife {
 public:
  // Before anything is opened or changed: remembers what this process was given.  Of its
  // descriptors only the standard ones go on to what it, or a module in it, starts: whoever has the
  // keeper's socket can ask for runners, and end them.
  explicit NextLife(std::vector<std::string> arguments);

  // The stop signals wait from here until takeSignals() of the next life, so that none is lost or
  // kills in between.
  static void holdSignals();
  static void takeSignals();

  // Does not return but with what went wrong.  Passes on the descriptors that this process was
  // started with, and no other, whatever modules have opened.
  Error begin() const;

 private:
  std::vector<std::string> arguments_;
  std::vector<std::string> environment_;
  std::set<int> inherited_;
};

}  // namespace kante::cli
