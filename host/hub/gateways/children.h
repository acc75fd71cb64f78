// The gateways below this one, on the control thread: what they say that is no telemetry, and what
// goes down to them: desired properties, direct methods, and cloud-to-device messages, which stay
// in the store here until the gateway below has them in its own.
//
// What the shards say is posted, bounded by kSaid.  A gateway is known from its first session
// on, also over restarts, until it is removed.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "host/hub/access.h"
#include "host/hub/gateways/gateway_desk.h"
#include "host/hub/gateways/whereabouts.h"
#include "host/hub/iothub/asked_bounds.h"
#include "host/hub/iothub/cloud_messages.h"
#include "host/hub/iothub/interest_changes.h"
#include "host/hub/methods.h"
#include "host/hub/mqtt/publication.h"
#include "host/hub/twins.h"

namespace kante {
class Clock;
class EventLog;
class Log;
class MetricWriter;
}  // namespace kante

namespace kante::hub {

struct ChildStatus {
  std::string id;
  bool connected = false;
  std::string version;            // Of its kante; empty: not said yet.
  std::int64_t last_seen_ns = 0;  // Wall time.
  std::uint64_t lost = 0;         // Numbers that it reported lost.
  std::size_t devices = 0;        // Behind it.
};

class Children final : public GatewayDesk {
 public:
  static constexpr std::size_t kCallsMax = 2048;  // Calls whose answers may still come.
  static constexpr std::size_t kAnswerBytesMax = 512u << 10;
  static constexpr std::size_t kSaidBytesMax = 256u << 10;
  // A quarter at most is of one gateway, so that none of them keeps the others out.
  static constexpr AskedBounds::Bounds kSaid{4096, 64u << 20, 1024, 16u << 20};
  static constexpr std::size_t kReportedBytesMax = Twins::kSectionBytesMax + 64;  // With $version.
  static constexpr std::int64_t kCloudNs = 60'000'000'000;  // For a message to be stored below.
  static constexpr std::size_t kTwinsOfOneMax = 1000;       // Of who is below, and its modules.
  static constexpr std::size_t kRowsTogether = 1000;        // Of whereabouts, in one transaction.
  static constexpr char kArea[] = "hub/gateways";

  struct Parts {
    boost::asio::io_context& control;
    Log& log;
    EventLog& events;
    const Clock& clock;
    Twins& twins;
    Methods& methods;
    Store& store;
    const Access& access;  // Who was removed or disabled meanwhile says nothing any more.
    // Any thread.
    std::function<void(const SessionRef&, const PublicationRef&)> deliver;
  };
  static Result<std::unique_ptr<Children>> open(Parts parts);
  ~Children() override;
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  Whereabouts& whereabouts() { return *whereabouts_; }
  // Whose messages for devices below are taken; from then on.  Null: none any more.
  void serve(CloudMessages* cloud) { cloud_ = cloud; }
  // Whether it is a gateway below, or behind one.
  bool knows(const std::string& principal) const { return !gatewayOf(principal).empty(); }
  // What it may do has changed, or whether it may do anything.
  void reconsider(const std::string& gateway);
  // "gateway/ID" is registered no more.
  void forget(const std::string& gateway);

  std::vector<ChildStatus> status() const;
  void collect(MetricWriter& metrics) const;

  // ---- GatewayDesk ----
  std::shared_ptr<void> enter(const std::string& gateway, std::size_t bytes) override {
    return room_->enter(gateway, bytes);
  }
  void said(Said said) override;
  Status speaks(const std::string& gateway, std::string_view principal) override {
    return whereabouts_->speaks(gateway, principal);
  }
  std::uint64_t changes() const override { return whereabouts_->changes(); }
  void arrived(const std::string& device) override;
  void left(const std::string& device) override { whereabouts_->left(device); }
  void hears(const SessionRef& session, const std::string& gateway,
             std::uint8_t interests) override;

 private:
  struct Listener {
    SessionRef session;
    std::uint8_t interests = 0;
  };
  struct Child {
    std::vector<Listener> listeners;
    std::set<std::string> served;  // Devices whose messages it gets now.
    std::string version;
    std::int64_t last_seen_ns = 0;
    std::uint64_t lost = 0;
  };
  struct Call {
    std::uint64_t call = 0;
    std::string gateway;
    std::string answer;  // As far as its parts have come.
    unsigned parts = 0;
  };
  struct Handed {
    std::string gateway;
    std::string device;
    std::shared_ptr<Receipt> receipt;
    std::int64_t since_ns = 0;
  };

  explicit Children(Parts parts);
  Status load();
  void post(std::function<void()> task);
  void takeMoved();
  void keepMoved(const std::map<std::string, std::string>& moved);
  void take(const Said& said);
  void stateSaid(const Said& said);
  void lostSaid(const Said& said);
  void reportedSaid(const Said& said);
  Status takeReported(const Said& said);
  Status roomForTwin(const std::string& principal) const;
  void answerSaid(const Said& said);
  void answered(std::map<std::string, Call>::iterator at);
  void cloudSaid(const Said& said);
  void listen(const SessionRef& session, const std::string& gateway, std::uint8_t interests);
  // The one that came last of those that hear of it; null: none.
  const SessionRef* sessionOf(const std::string& gateway, std::uint8_t interest) const;
  std::string gatewayOf(std::string_view principal) const;
  std::shared_ptr<const Principal> registered(const std::string& gateway) const;
  void judgeMoved(const std::map<std::string, std::string>& moved);
  void keep(const std::string& gateway, std::function<void(Status)> done);
  void sayDesired(const std::string& gateway, const std::string& principal,
                  const TwinSection& section);
  void sayAllDesired(const std::string& gateway);
  void call(const MethodCall& call);
  void serveDevices(const std::string& gateway);
  void serveDevice(const std::string& gateway, const std::string& device);
  void dropDevices(const std::string& gateway);
  void takeBack(const std::map<std::string, std::string>& moved);
  void handOut(const std::string& gateway, const std::string& device, const MessageRef& message,
               std::shared_ptr<Receipt> receipt);
  void tickLater();
  void say(const SessionRef& to, const std::string& gateway, const std::string& rest,
           std::string_view payload, std::string_view name = {}, std::string_view value = {});
  void report(const char* kind, const std::string& gateway, const std::string& text);

  const Parts parts_;
  const std::shared_ptr<Children*> alive_;  // Null inside: gone.  Watched by tasks on their way.
  std::unique_ptr<Whereabouts> whereabouts_;
  CloudMessages* cloud_ = nullptr;
  std::map<std::string, Child> children_;
  std::map<std::string, Call> calls_;  // By what they are answered with.
  std::deque<std::string> call_ids_;   // The oldest first.
  std::map<std::string, Handed> handed_;
  Twins::Subscription desired_;
  boost::asio::steady_timer timer_;
  const std::shared_ptr<AskedBounds> room_ = std::make_shared<AskedBounds>(kSaid);
  InterestChanges changed_;
};

}  // namespace kante::hub
