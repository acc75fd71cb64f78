// IoT Hub's requests of devices over HTTPS, and IoT Edge's one of modules for methods:
//
//   POST   /devices/ID[/modules/NAME]/messages/events    telemetry, one message or a batch
//   GET    /devices/ID/messages/devicebound              the next cloud-to-device message
//   DELETE /devices/ID/messages/devicebound/LOCK[?reject]
//   POST   /devices/ID/messages/devicebound/LOCK/abandon
//   POST   /twins/ID[/modules/NAME]/methods              a method of another
//
// Who asks is proven on the shard, for each request anew; what is asked is done on the control
// thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "host/hub/access.h"
#include "host/hub/device_api.h"
#include "host/hub/http/web_handler.h"

namespace kante::hub {

class DeviceEndpoints final : public WebHandler {
 public:
  static constexpr std::size_t kBatchMax = 500;  // Messages of one request, as IoT Hub.

  struct Parts {
    boost::asio::io_context& control;
    const Access& access;
    DeviceApi& api;
    std::string gateway;  // Its id: modules of this device are those of the deployment.
  };
  // All it is given outlives it, and it outlives the shards' connections.
  explicit DeviceEndpoints(const Parts& parts) : parts_(std::make_shared<const Parts>(parts)) {}
  void handle(WebRequest request, const Peer& peer, WebAnswer answer) override;

 private:
  const std::shared_ptr<const Parts> parts_;  // Weakly with what waits for the control thread.
};

}  // namespace kante::hub
