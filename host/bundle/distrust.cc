#include "host/bundle/distrust.h"

namespace kante {

const std::string& Distrust::why(const std::string& digest) {
  const auto known = judged_.find(digest);
  if (known != judged_.end()) return known->second;
  const auto again = bundles_.judgeAgain(digest, trust_, now_());
  const bool distrusted =
      !again && (again.error().code == Errc::kRevoked || again.error().code == Errc::kUntrusted ||
                 again.error().code == Errc::kDenied);
  if (judged_.size() >= kJudgedMax) judged_.clear();  // Most are of bundles that are gone.
  return judged_.emplace(digest, distrusted ? again.error().text : std::string()).first->second;
}

}  // namespace kante
