// Whether a deployment that was just switched in runs well: judges by what the module host says
// about its modules, looked at again and again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "host/placement/module_host.h"

namespace kante {

class Observation {
 public:
  // `changed`: the modules that the switch started or replaced.  What was down or complained before
  // and was not touched is judged by nobody.
  Observation(const std::vector<ModuleStatus>& at_switch, const std::vector<std::string>& changed);

  // What is wrong, for people; nothing: all is well so far.
  std::optional<std::string> judge(const std::vector<ModuleStatus>& now) const;

 private:
  struct Before {
    std::uint32_t deaths = 0;
    bool may_complain = false;
  };
  std::map<std::string, Before> watched_;
};

}  // namespace kante
