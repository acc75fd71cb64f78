// IoT Hub's contract for devices and modules, but for telemetry, which routes take: twins, direct
// methods and cloud-to-device messages over MQTT's topics, and the same for protocols that call
// DeviceApi.
//
// Lives on the control thread; what the shards say is posted there, bounded.  Twins and methods are
// those of the whole gateway, so an operator, a module and the cloud reach a device the same way.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/hub/device_api.h"
#include "host/hub/iothub/asked_bounds.h"
#include "host/hub/iothub/cloud_messages.h"
#include "host/hub/iothub/desk.h"
#include "host/hub/iothub/interest_changes.h"
#include "host/hub/methods.h"
#include "host/hub/mqtt/publication.h"
#include "host/hub/twins.h"

namespace kante {
class Clock;
class MetricWriter;
}  // namespace kante

namespace kante::hub {

class Contract final : public Desk, public DeviceApi {
 public:
  // Of one request.  What is too long for a twin or an answer is told so; beyond this it is left.
  static constexpr std::size_t kAskedBytesMax = 256u << 10;
  static constexpr std::size_t kMethodsMax = 2048;  // Calls whose answers clients may still say.

  struct Parts {
    boost::asio::io_context& control;
    Twins& twins;
    Methods& methods;
    Store& store;
    const Clock& clock;
    const Access& access;  // Whoever was removed meanwhile asks nothing any more.
    std::string gateway_id;
    // Any thread.  A receipt comes along with what is to be settled.
    std::function<void(const SessionRef&, const PublicationRef&)> deliver;
    // Telemetry, by the routes; control thread.
    std::function<void(const std::string& principal, DeviceMessage, Done)> telemetry;
    GatewayDesk* gateways = nullptr;  // Null: no gateway is below this one.
    // What the principal itself is told in the place of its desired properties, or of a patch of
    // them; control thread.  Null: these.
    std::function<TwinSection(const std::string& principal, TwinSection desired)> told = nullptr;
  };
  static Result<std::unique_ptr<Contract>> open(Parts parts);
  ~Contract() override;
  Contract(const Contract&) = delete;
  Contract& operator=(const Contract&) = delete;

  // ---- Desk; any thread ----
  Request take(const SessionRef& from, const std::shared_ptr<const Principal>& principal,
               const ContractTopic& topic, std::string_view payload) override;
  void interested(const SessionRef& session, const std::string& principal,
                  std::uint8_t interests) override;
  GatewayDesk* gateways() override { return parts_.gateways; }

  // ---- DeviceApi ----
  void send(const Asker& asker, const std::string& principal, DeviceMessage message,
            Done done) override;
  void invoke(const Asker& asker, MethodRequest request, Methods::Answer answer) override;
  void receive(const Asker& asker, Received received) override;
  void settle(const Asker& asker, const std::string& lock_token, Settlement how,
              Done done) override;
  void sendTo(const std::string& device, DeviceMessage message, Done done) override;

  // There is no such principal any more; control thread.
  void removed(const std::string& principal);
  void collect(MetricWriter& metrics) const;  // Control thread.
  // For whoever takes them in a device's place.
  CloudMessages& cloud() { return *cloud_; }

 private:
  struct Listener {
    SessionRef session;
    std::uint8_t interests = 0;
  };
  // Of a principal that has sessions.
  struct Here {
    std::vector<Listener> listeners;
    Methods::Registration methods;
    SessionRef cloud;  // Who gets cloud-to-device messages; number 0: nobody.
  };
  struct Asked;
  struct OpenCall {
    std::uint64_t call = 0;
    std::string principal;
  };

  explicit Contract(Parts parts);
  void post(std::function<void()> task);
  void answer(const Asked& asked);
  void getTwin(const Asked& asked);
  void report(const Asked& asked);
  void methodAnswered(const Asked& asked);
  void listen(const SessionRef& session, const std::string& principal, std::uint8_t interests);
  void serve(const std::string& principal, Here& here);
  void call(const std::string& principal, const MethodCall& call);
  void desiredChanged(const Twins::Change& change);
  std::string desiredFor(const std::string& principal, TwinSection desired) const;
  void refuseTwin(const SessionRef& to, const std::string& rid, const Error& error);
  void sayTwin(const SessionRef& to, int status, const std::string& rid, std::string_view body);
  // `keeper` may be null.
  void say(const SessionRef& to, std::string_view topic, std::string_view payload);

  const Parts parts_;
  const std::shared_ptr<Contract*> alive_;  // Null inside: gone.  Watched by tasks on their way.
  std::unique_ptr<CloudMessages> cloud_;
  std::map<std::string, Here> here_;       // By principal.
  std::map<std::string, OpenCall> calls_;  // By rid, in lower case.
  std::deque<std::string> rids_;           // The oldest first.
  Twins::Subscription desired_;
  // What clients asked; shared with what still answers.
  const std::shared_ptr<AskedBounds> open_ = std::make_shared<AskedBounds>(AskedBounds::Bounds());
  InterestChanges changed_;
  std::uint64_t methods_ = 0;
  std::uint64_t patches_ = 0;
};

}  // namespace kante::hub
