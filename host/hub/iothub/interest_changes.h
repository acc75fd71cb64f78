// What sessions hear of, on its way from the shards to the control thread: of each session what it
// hears of now, however often that changed meanwhile, in the order of the last changes.  As many as
// there are sessions at most.  Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "host/hub/iothub/desk.h"

namespace kante::hub {

class InterestChanges {
 public:
  struct Change {
    std::uint64_t order = 0;
    SessionRef session;
    std::string who;
    std::uint8_t interests = 0;
  };
  // True: it is the first since takeAll(), which is to be called.
  bool put(const SessionRef& session, const std::string& who, std::uint8_t interests);
  std::vector<Change> takeAll();

 private:
  std::mutex mutex_;
  std::map<std::string, Change> changed_;  // By the session's key.
  std::uint64_t changes_ = 0;
};

}  // namespace kante::hub
