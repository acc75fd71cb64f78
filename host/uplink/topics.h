// The topics of CONTRACTS.md section 8: made from names, and names taken out of them.
#pragma once

#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/hub/gateways/gateway_topic.h"

namespace kante {

inline constexpr std::size_t kTopicBytesMax = 65'535;
inline constexpr std::size_t kRequestIdBytesMax = 128;

using hub::encodeLevel;
using hub::encodeLevels;
using hub::gatewayTopic;

// `{gateway}` and `{source}` in a template; made once, filled for each message.
class TelemetryTopic {
 public:
  // kInvalid: a wildcard, another placeholder, no `{source}`, a leading `$`, empty.
  static Result<TelemetryTopic> parse(std::string_view text, std::string_view gateway);
  std::string fill(std::string_view source) const;

 private:
  std::string before_;
  std::string after_;
};

struct DownTopic {
  enum class Kind { kDesired, kMethod, kCloud } kind = Kind::kDesired;
  // module/NAME, device/ID, device/ID/module/NAME, gateway/ID/module/NAME, or "gateway": this one
  std::string principal;
  std::string method;      // kMethod
  std::string request_id;  // kMethod, kCloud
};
// What comes after "kante/v1/GATEWAY/".  kInvalid: not one of ours, or a name that cannot be.
Result<DownTopic> parseDownTopic(std::string_view rest);

}  // namespace kante
