// Who answers requests that ask for no WebSocket.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "host/hub/access.h"
#include "host/hub/http/request.h"

namespace kante::hub {

struct WebResponse {
  unsigned status = 200;
  std::string body = {};  // None with 204.
  std::string content_type = "application/json; charset=utf-8";
  std::vector<std::pair<std::string, std::string>> fields = {};
  bool close = false;  // The connection with it.
};
// {"message":"…"}, as IoT Hub says errors.
WebResponse webError(unsigned status, std::string_view message);

// Once, from any thread; the client may be gone by then.
using WebAnswer = std::function<void(WebResponse)>;

class WebHandler {
 public:
  virtual ~WebHandler() = default;
  // On the shard of the connection; `peer` for the length of the call.
  virtual void handle(WebRequest request, const Peer& peer, WebAnswer answer) = 0;
};

}  // namespace kante::hub
