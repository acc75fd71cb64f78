// One client's connection: what it says is parsed and done, what its session has for it is written.
//
// A state machine without a thread: the engine's driver says when its transport is ready, and calls
// read() when it has its turn.  connection.cc is its life,
// connection_connect.cc the first packet, connection_packets.cc all others, connection_answers.cc
// what waits before it is answered, connection_output.cc what leaves, connection_gateway.cc what a
// gateway below says.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "host/hub/access.h"
#include "host/hub/gateways/gateway_desk.h"
#include "host/hub/mqtt/ack_wait.h"
#include "host/hub/mqtt/counters.h"
#include "host/hub/mqtt/gather.h"
#include "host/hub/mqtt/inflight.h"
#include "host/hub/mqtt/routing.h"
#include "host/hub/mqtt/session.h"
#include "host/hub/mqtt/timer_wheel.h"
#include "host/hub/mqtt/transport.h"
#include "host/mqtt/packet.h"
#include "host/mqtt/parse.h"
#include "host/mqtt/write.h"
#include "host/shard/reactor.h"

namespace kante::hub {

class Engine;
struct Arrival;
struct ContractTopic;

class Connection final : public Deadline, public Watched {
 public:
  // Of what waits for the client's socket beyond messages: its answers.  Above it nothing more is
  // read from it.
  static constexpr std::size_t kAnswersMax = 64u << 10;
  static constexpr std::int64_t kLingerNs = 2'000'000'000;
  static constexpr std::int64_t kPauseNs = 30'000'000'000;  // Where no keep-alive bounds it.

  Connection(Engine& engine, std::unique_ptr<Transport> transport, std::unique_ptr<Peer> peer,
             std::uint64_t number);
  ~Connection() override;

  // Waits for a CONNECT.
  void begin();
  // It has come, elsewhere, and was admitted.
  void arrive(const Arrival& arrival);

  void ready(std::uint32_t events) override;
  // Reads and handles at most one buffer full.  True: there may be more.
  bool read();
  void flush();

  // Something to say: it leaves with the next flush.
  std::string& answers();
  // What it is told in answer to a packet: after all answers that it is owed from before.
  struct Answer {
    mqtt::PacketType type = mqtt::PacketType::kPuback;
    std::uint16_t id = 0;
    mqtt::Reason reason = mqtt::Reason::kSuccess;
    // Of other packets than acknowledgements: what is said, and what when it could not be kept.
    std::string packet = {};
    std::string refusal = {};
    // For when they could not be kept: a SUBACK's filters, and whether a CONNACK's session is new.
    std::vector<std::string> filters = {};
    bool is_new = false;
  };
  void sayAck(mqtt::PacketType type, std::uint16_t id, mqtt::Reason reason) {
    owe({type, id, reason}, {});
  }
  // Said when all shares of it are back; `own` is what Engine::endAck() gave.
  void owe(Answer answer, AckShare own);
  AckAddress nextAnswer() const { return {this, number_, owed_first_ + owed_.size()}; }
  bool owes(std::uint64_t answer) const {
    return answer >= owed_first_ && answer - owed_first_ < owed_.size();
  }
  // All shares of an answer are back.
  void settled(std::uint64_t answer, Kept kept);
  // A message of QoS 2 that an earlier connection of the session sent, and this one again.
  void packetKept(std::uint16_t packet, Kept kept);
  enum class Farewell : bool { kSilent, kSaid };  // Whether MQTT 5 hears the reason.
  // Ends it.  `refusal` is counted unless it is null; `text` says what happened, for people.
  struct Ending {
    mqtt::Reason reason = mqtt::Reason::kSuccess;
    Session::WillIs will = Session::WillIs::kDue;
    Farewell farewell = Farewell::kSaid;
    const Refusal* refusal = nullptr;
    std::string text = {};
  };
  void end(const Ending& ending);
  void endFor(mqtt::Reason reason, Refusal refusal, const std::string& text);

  // A route may have room now for what it was not read for.
  void resume();

  // What it was allowed before is asked for again.
  void grantsChanged() { granted_topic_.clear(); }

  std::uint64_t number() const { return number_; }
  Transport& transport() { return *transport_; }
  const Peer& peer() const { return *peer_; }
  Session* session() { return session_; }
  mqtt::Version version() const { return version_; }
  bool isOpen() const { return state_ != State::kEnded; }
  bool isConnected() const { return state_ == State::kConnected; }
  bool isEnded() const { return state_ == State::kEnded; }

  // For the engine's list of those to flush.
  bool dirty = false;
  // For the driver's list of those to read.
  bool awaits_read = false;

 private:
  enum class State : std::uint8_t { kConnecting, kConnected, kLingering, kEnded };

  // ---- connection.cc
  void due() override;
  void armKeepAlive();
  bool fillPartial();
  std::size_t consume(std::string_view bytes);
  void handle(const mqtt::Frame& frame);
  void writable();
  void broke(const mqtt::Fault& fault);
  bool lost();
  void bury();
  void pause();

  // ---- connection_connect.cc
  // `bytes`: from the packet on all that has come.
  void onConnect(const mqtt::Frame& frame, std::string_view bytes);
  void welcome(const Admission& admission, std::string_view assigned_id, std::string_view packet);
  void refuseConnect(mqtt::Version version, mqtt::Reason reason, Refusal refusal,
                     const std::string& text);
  bool checkConnect(const mqtt::Connect& connect);
  void take(const mqtt::Connect& connect, const Admission& admission);
  void oweWelcome(const mqtt::Connect& connect, bool present, std::string_view assigned_id,
                  AckShare own);
  Will willOf(const mqtt::Connect& connect) const;

  // ---- connection_packets.cc
  void onPublish(const mqtt::Frame& frame);
  bool resolveAlias(mqtt::Publish& publish);
  bool mayPublish(std::string_view topic);
  void takePublish(const mqtt::Publish& publish);
  // What is asked of the gateway itself; true: that is what it was.
  bool askDesk(const mqtt::Publish& publish);
  void askDesk(const mqtt::Publish& publish, const ContractTopic& topic);
  void beginAck(const mqtt::Publish& publish);
  // The same of a gateway below (connection_gateway.cc).
  bool askGateways(const mqtt::Publish& publish, const GatewayTopic& topic,
                   const std::string& gateway);
  bool readGatewaySaid(const mqtt::Publish& publish, const GatewayTopic& topic,
                       GatewayDesk::Said& said);
  void ackNow(const mqtt::Publish& publish, mqtt::Reason reason);
  // `why` follows the client's name.
  void refusePublish(const mqtt::Publish& publish, mqtt::Reason reason, const std::string& why);
  void acceptPublish(const mqtt::Publish& publish, const Routing::Outcome& routed);
  void onPuback(const mqtt::Ack& ack);
  void onPubrec(const mqtt::Ack& ack);
  void onPubrel(const mqtt::Ack& ack);
  void onPubcomp(const mqtt::Ack& ack);
  void onAck(const mqtt::Frame& frame);
  void onSubscribe(const mqtt::Frame& frame);
  bool canAnswer(std::size_t filters);
  mqtt::Reason judge(const mqtt::Subscription& wish, std::size_t more) const;
  void onUnsubscribe(const mqtt::Frame& frame);
  void onDisconnect(const mqtt::Frame& frame);
  void acked(std::uint16_t id);
  static void settle(const Publication& publication);
  mqtt::Qos grantedQos(const mqtt::Subscription& wish) const;

  // ---- connection_answers.cc
  void say(const Answer& answer);
  void refuseAnswer(Answer& answer, Kept kept);
  void unsubscribeAll(const std::vector<std::string>& filters);
  void sayOwed();
  // So much waits to be kept, or to be read by the client, that no more is read from it.
  bool isStuffed() const;

  // ---- connection_output.cc
  void fill(Gather& gather);
  void resendReleases();
  bool resend(Gather& gather);
  mqtt::PublishHead compose(const Outgoing& message) const;
  bool fits(const Outgoing& message) const;
  void encode(Gather& gather, const Outgoing& message, std::uint16_t id, bool dup);
  // 0: it has none, and `known` says whether the client has heard of it.
  std::uint16_t aliasFor(std::string_view topic, bool& known);
  void writeLeftover();
  bool takes(std::size_t packet_bytes) const {
    return packet_max_ == 0 || packet_bytes <= packet_max_;
  }
  // False: the transport is at its end.
  bool write(const Gather& gather);

  Engine& engine_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Peer> peer_;
  const std::uint64_t number_;
  Session* session_ = nullptr;
  State state_ = State::kConnecting;
  mqtt::Version version_ = mqtt::Version::k311;
  bool welcomed_ = false;  // CONNACK was said, and nothing before it.
  bool held_ = false;      // Not read, until its answers are said and have left.
  bool paused_ = false;    // Not read, until a route has room for its message.
  bool hung_up_ = false;
  bool unparsed_ = false;      // What is in partial_ has not been looked at.
  bool tell_problems_ = true;  // Request Problem Information.
  std::uint16_t window_ = 0;   // QoS 1 and 2 that the client takes at once.
  std::uint16_t alias_max_ = 0;
  std::uint32_t packet_max_ = 0;  // What the client takes; 0: anything.
  std::size_t unacked_ = 0;       // Of those that this connection has sent.
  std::uint64_t resend_ = 0;      // The next to send again …
  std::uint64_t resend_end_ = 0;  // … before these.
  std::int64_t keep_alive_ns_ = 0;
  std::int64_t heard_ns_ = 0;  // When a packet came last.
  std::int64_t expires_ns_ = kNone;
  std::int64_t pause_ends_ns_ = kNone;  // A route that had no room by then costs it its connection.
  std::size_t needed_ = 0;              // Bytes of the packet that partial_ begins.
  std::string partial_;
  std::string answers_;
  struct Owed {
    Answer answer;
    bool waits = false;
    Kept kept = Kept::kYes;
  };
  Fifo<Owed> owed_;  // Begins with one that waits.
  std::uint64_t owed_first_ = 0;
  Leftover leftover_;
  std::string granted_topic_;  // The last that it was allowed to publish to.
  std::vector<std::string> aliases_;
  std::unordered_map<std::string, std::uint16_t> aliases_out_;
};

}  // namespace kante::hub
