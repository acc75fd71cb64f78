// Cloud-to-device messages: on disk from when they are accepted until the device has settled them.
//
// A queue of the store for each device that has any ("device/ID"), opened when it is needed and let
// go when it is empty.  One taker at a time: a session over MQTT, which gets a window of messages
// and settles each by its PUBACK, or requests over HTTPS, one message each under a lock.  What a
// taker leaves unsettled comes again, oldest first.  Control thread only.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "host/base/result.h"
#include "host/hub/device_api.h"
#include "host/hub/mqtt/receipt.h"
#include "host/message/hop.h"
#include "host/message/seal.h"
#include "host/store/store.h"

namespace kante::hub {

class CloudMessages {
 public:
  static constexpr std::uint32_t kWindow = 16;              // Unsettled with one session.
  static constexpr std::chrono::milliseconds kRetry{1000};  // After a session lost one.
  static constexpr std::uint32_t kTtlS = 3600;  // Where the sender says none, as IoT Hub.

  // All outlive it.
  static Result<std::unique_ptr<CloudMessages>> open(boost::asio::io_context& control,
                                                     Store& store);
  ~CloudMessages();
  CloudMessages(const CloudMessages&) = delete;
  CloudMessages& operator=(const CloudMessages&) = delete;

  // `device`: "device/ID".
  void send(const std::string& device, const DeviceMessage& message, DeviceApi::Done done);

  // A session takes them from now on, until unlisten().
  using Deliver = std::function<void(const MessageRef&, std::shared_ptr<Receipt>)>;
  void listen(const std::string& device, Deliver deliver);
  void unlisten(const std::string& device);

  void receive(const std::string& device, DeviceApi::Received received);
  void settle(const std::string& device, const std::string& lock_token, DeviceApi::Settlement how,
              DeviceApi::Done done);

  // There is no such device any more: what waits for it goes, also what somebody has taken.
  void remove(const std::string& device);

  std::uint64_t delivered() const { return delivered_; }
  std::uint64_t returned() const { return returned_; }

 private:
  struct Box;
  class Delivery;
  CloudMessages(boost::asio::io_context& control, Store& store);
  Result<Box*> open(const std::string& device);
  void take(const std::string& device);
  void taken(const std::string& device, const std::shared_ptr<TakenBatch>& batch);
  void ended(const std::string& device, QueueToken token, bool settled);
  void takeAgain(const std::string& device);
  void release(const std::string& device);
  void cancelTake(const std::string& device);
  void cancelled(const std::string& device);
  void looked(const std::string& device, std::uint64_t there, const DeviceApi::Received& received);

  boost::asio::io_context& control_;
  Store& store_;
  const std::shared_ptr<CloudMessages*>
      alive_;  // Null inside: gone.  Watched by answers on their way.
  std::map<std::string, std::unique_ptr<Box>> boxes_;
  std::set<std::string> stored_;  // Whose queues may hold something and are not open.
  Stamp stamp_;
  Source source_;
  std::uint64_t delivered_ = 0;
  std::uint64_t returned_ = 0;
};

}  // namespace kante::hub
