// Engines without threads or sockets, and clients that speak to them byte by byte.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/hub/mqtt/connection.h"
#include "host/hub/mqtt/engine.h"
#include "host/hub/mqtt/session.h"
#include "host/mqtt/bytes.h"
#include "host/mqtt/topic.h"
#include "tests/host/mqtt/packet_bytes.h"

namespace kante::hub {

using mqtt::PacketType;
using mqtt::Qos;
using mqtt::Reason;
using mqtt::Version;

// ---- who may what

class TestPrincipal final : public Principal {
 public:
  explicit TestPrincipal(std::string name) : name_(std::move(name)) {}
  const std::string& name() const override { return name_; }
  bool mayPublish(std::string_view topic) const override {
    return std::none_of(no_publish.begin(), no_publish.end(),
                        [&](const std::string& filter) { return mqtt::matches(filter, topic); });
  }
  bool maySubscribe(std::string_view filter) const override {
    return std::find(no_subscribe.begin(), no_subscribe.end(), filter) == no_subscribe.end();
  }
  bool checksDeliveries() const override { return !no_receive.empty() || received; }
  bool mayReceive(std::string_view topic) const override {
    if (received) received(topic);
    return topic != no_receive;
  }

  bool mayActFor(std::string_view) const override { return acts; }

  bool acts = false;
  std::vector<std::string> no_publish;
  std::vector<std::string> no_subscribe;
  std::string no_receive;
  std::function<void(std::string_view topic)> received;  // Before it is delivered.

 private:
  const std::string name_;
};

// Users with passwords; nobody else comes in.
class TestAccess final : public Access {
 public:
  TestPrincipal& user(const std::string& name, const std::string& password = "secret",
                      const std::string& kind = "device/") {
    auto& [known, principal] = users_[name];
    known = password;
    if (!principal) principal = std::make_shared<TestPrincipal>(kind + name);
    return *principal;
  }
  void remove(const std::string& name) { users_.erase(name); }
  Admission authenticate(const Credentials& credentials) const override {
    const auto at = users_.find(std::string(credentials.user_name.value_or("")));
    if (at == users_.end() || credentials.password != at->second.first)
      return {nullptr, Reason::kBadUserNameOrPassword, "unknown"};
    Admission admission;
    admission.principal = at->second.second;
    admission.expires_wall_ns = expires_wall_ns;
    return admission;
  }
  std::shared_ptr<const Principal> current(const Principal& principal) const override {
    for (const auto& [name, user] : users_)
      if (user.second->name() == principal.name()) return user.second;
    return nullptr;
  }
  std::int64_t expires_wall_ns = 0;

 private:
  std::map<std::string, std::pair<std::string, std::shared_ptr<TestPrincipal>>> users_;
};

// ---- wires

// Both directions of one connection, as the test sees them.
struct Wire {
  std::string to_broker;
  std::string to_client;
  std::size_t room = SIZE_MAX;  // What the client's socket still takes.
  std::size_t read_max = SIZE_MAX;
  bool client_gone = false;
  bool broker_gone = false;
};

class WireTransport final : public Transport {
 public:
  explicit WireTransport(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}
  ~WireTransport() override { wire_->broker_gone = true; }
  Moved read(std::span<char> into) override {
    if (wire_->to_broker.empty()) return {wire_->client_gone ? Flow::kClosed : Flow::kAgain, 0};
    const std::size_t count = std::min({into.size(), wire_->to_broker.size(), wire_->read_max});
    std::copy_n(wire_->to_broker.begin(), count, into.begin());
    wire_->to_broker.erase(0, count);
    return {Flow::kOk, count};
  }
  Moved write(std::span<const iovec> parts) override {
    if (wire_->client_gone) return {Flow::kClosed, 0};
    std::size_t total = 0;
    for (const iovec& part : parts) {
      const std::size_t count = std::min(part.iov_len, wire_->room);
      wire_->to_client.append(static_cast<const char*>(part.iov_base), count);
      wire_->room -= count;
      total += count;
      if (count < part.iov_len) break;
    }
    return total == 0 ? Moved{Flow::kAgain, 0} : Moved{Flow::kOk, total};
  }
  int descriptor() const override { return -1; }
  void shutDown() override { wire_->broker_gone = true; }

 private:
  std::shared_ptr<Wire> wire_;  // Shared with the test's client.
};

// ---- engines

// A few engines, their mail and their time.
class World {
 public:
  // Sessions spread over all engines from the first one on.
  explicit World(std::uint32_t engines = 1, Limits given = {}, Routing* routing = nullptr,
                 SessionStore* store = nullptr, Desk* desk = nullptr)
      : limits(given), homes(std::make_shared<Homes>(engines, given.sessions, 0)) {
    for (std::uint32_t i = 0; i < engines; ++i) nodes_.push_back(std::make_unique<Node>(*this));
    for (std::uint32_t i = 0; i < engines; ++i)
      nodes_[i]->engine.emplace(
          Engine::Parts{limits, access, *nodes_[i], *homes, i, engines, store, {}, routing, desk});
  }

  std::shared_ptr<Wire> connect(std::uint32_t engine = 0) {
    auto wire = std::make_shared<Wire>();
    Peer peer;
    peer.address = "192.0.2.1";
    nodes_[engine]->engine->accept(std::make_unique<WireTransport>(wire), std::move(peer));
    return wire;
  }
  // A turn of each engine; no mail moves.  True: something was read.
  bool step() {
    bool moved = false;
    for (auto& node : nodes_) {
      const std::vector<Connection*> watched = node->watched;
      for (Connection* connection : watched) {
        if (node->isWatched(connection)) connection->ready(EPOLLOUT);
        while (node->isWatched(connection) && connection->read()) moved = true;
      }
      node->engine->flush();
    }
    return moved;
  }
  // Until nothing moves any more, on disk neither.
  void settle() {
    for (int quiet = 0; quiet < 2; ++quiet) {
      if (step()) quiet = -1;
      for (auto& node : nodes_)
        if (node->engine->journal().isUnderWay()) quiet = -1;
      while (!mail_.empty()) {
        auto [to, parcel] = std::move(mail_.front());
        mail_.pop_front();
        nodes_[to]->engine->take(std::move(parcel));
        quiet = -1;
      }
    }
  }
  void advance(double seconds) {
    boot_ns += static_cast<std::int64_t>(seconds * 1e9);
    for (auto& node : nodes_) node->engine->tick();
    settle();
  }
  // What a broker does at its start.
  void restore(StoredBroker stored) {
    for (auto& node : nodes_) node->engine->beginIds(stored.ids);
    for (StoredSession& one : stored.sessions) {
      const std::string key = Session::keyOf(one.row.principal, one.row.client_id);
      const Homes::Claim claim = homes->claim(key);
      nodes_[claim.home()]->engine->restore(std::move(one), stored.clock_ns);
    }
    for (const PublicationRef& one : stored.retained) engine().restore(one);
    settle();
  }
  Engine& engine(std::size_t i = 0) { return *nodes_[i]->engine; }
  std::size_t watched(std::size_t i = 0) const { return nodes_[i]->watched.size(); }
  std::uint64_t refused(Refusal refusal) {
    std::uint64_t count = 0;
    for (auto& node : nodes_) count += node->engine->counters().of(refusal).value();
    return count;
  }

  Limits limits;
  const std::shared_ptr<Homes> homes;
  TestAccess access;
  std::vector<std::string> reports;
  std::int64_t boot_ns = 1'000'000'000;
  std::int64_t closed = 0;

 private:
  struct Node final : Surroundings {
    explicit Node(World& in) : world(in) {}
    std::int64_t bootNs() const override { return world.boot_ns; }
    std::int64_t wallNs() const override { return world.boot_ns + 5'000'000'000; }
    void watch(Connection& connection) override { watched.push_back(&connection); }
    void forget(Connection& connection) override { std::erase(watched, &connection); }
    void readAgain(Connection&) override {}
    void flushSoon() override {}
    void send(std::uint32_t to, Parcel parcel) override {
      world.mail_.emplace_back(to, std::move(parcel));
    }
    void report(Refusal, const std::string& who, const std::string& text) override {
      world.reports.push_back(who + ": " + text);
    }
    void closed() override { ++world.closed; }
    bool isWatched(Connection* connection) const {
      return std::find(watched.begin(), watched.end(), connection) != watched.end();
    }
    World& world;
    std::vector<Connection*> watched;
    std::optional<Engine> engine;
  };

  std::deque<std::pair<std::uint32_t, Parcel>> mail_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

// ---- clients

// A packet of the broker.
struct Said {
  PacketType type = PacketType::kConnack;
  unsigned flags = 0;
  std::string body;
  // CONNACK, acknowledgements, DISCONNECT.
  bool present = false;
  Reason reason = Reason::kSuccess;
  std::vector<unsigned> reasons;  // SUBACK, UNSUBACK.
  std::uint16_t id = 0;
  // PUBLISH.
  std::string topic;
  std::string payload;
  Qos qos = Qos::k0;
  bool retain = false;
  bool dup = false;
  mqtt::Properties properties;  // Its texts are in `body`.
  std::vector<std::uint32_t> ids;
  std::vector<std::pair<std::string, std::string>> user;
};

struct Wish {
  std::string id = "client";
  std::string user = "user";
  std::string password = "secret";
  bool clean = true;
  std::uint16_t keep_alive_s = 0;
  std::string properties = {};  // Without their length.
  std::string will_topic = {};
  std::string will_payload = {};
  std::string will_properties = {};
  unsigned will_flags = 0;  // QoS and retain, at their place.
};

class Client {
 public:
  Client(World& world, Version version, std::uint32_t engine = 0)
      : world_(world), version_(version), wire_(world.connect(engine)) {}
  ~Client() { wire_->client_gone = true; }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  static std::string packetOf(unsigned first, const std::string& body) {
    std::string out(1, static_cast<char>(first));
    mqtt::appendVariable(out, static_cast<std::uint32_t>(body.size()));
    return out + body;
  }
  std::string props(const std::string& bytes = "") const {
    if (version_ != Version::k5) return "";
    std::string out;
    mqtt::appendVariable(out, static_cast<std::uint32_t>(bytes.size()));
    return out + bytes;
  }
  std::string connectPacket(const Wish& wish) const {
    const bool has_will = !wish.will_topic.empty();
    unsigned flags = 0xc0u | (wish.clean ? 2u : 0u) | (has_will ? 4u : 0u) | wish.will_flags;
    std::string body = mqtt::text("MQTT");
    body += static_cast<char>(version_);
    body += static_cast<char>(flags);
    body += static_cast<char>(wish.keep_alive_s >> 8);
    body += static_cast<char>(wish.keep_alive_s & 255);
    body += props(wish.properties) + mqtt::text(wish.id);
    if (has_will)
      body +=
          props(wish.will_properties) + mqtt::text(wish.will_topic) + mqtt::text(wish.will_payload);
    return packetOf(0x10, body + mqtt::text(wish.user) + mqtt::text(wish.password));
  }
  static std::string subscribeBody(const std::string& filter, unsigned options) {
    return mqtt::text(filter) + static_cast<char>(options);
  }
  std::string publishPacket(const std::string& topic, const std::string& payload, Qos qos = Qos::k0,
                            std::uint16_t id = 0, unsigned flags = 0,
                            const std::string& properties = "") const {
    std::string body = mqtt::text(topic);
    if (qos != Qos::k0) body += idBytes(id);
    return packetOf(0x30u | static_cast<unsigned>(qos) << 1 | flags,
                    body + props(properties) + payload);
  }
  static std::string idBytes(std::uint16_t id) {
    return {static_cast<char>(id >> 8), static_cast<char>(id & 255)};
  }

  void send(const std::string& bytes) {
    wire_->to_broker += bytes;
    world_.settle();
  }
  Said connect(const Wish& wish = {}) {
    send(connectPacket(wish));
    return next();
  }
  Said subscribe(const std::string& filter, unsigned options = 0,
                 const std::string& properties = "") {
    send(packetOf(0x82, idBytes(77) + props(properties) + subscribeBody(filter, options)));
    return next();
  }
  Said unsubscribe(const std::string& filter) {
    send(packetOf(0xa2, idBytes(78) + props() + mqtt::text(filter)));
    return next();
  }
  void publish(const std::string& topic, const std::string& payload, Qos qos = Qos::k0,
               std::uint16_t id = 0, unsigned flags = 0, const std::string& properties = "") {
    send(publishPacket(topic, payload, qos, id, flags, properties));
  }
  void ack(PacketType type, std::uint16_t id) {
    send(packetOf(static_cast<unsigned>(type) << 4 | (type == PacketType::kPubrel ? 2u : 0u),
                  idBytes(id)));
  }
  void disconnect() {
    send(packetOf(0xe0, ""));
    wire_->client_gone = true;
    world_.settle();
  }
  void vanish() {
    wire_->client_gone = true;
    world_.settle();
  }

  bool hasMore() const { return !wire_->to_client.empty(); }
  // The next packet that has come; fails the test when there is none.
  Said next();
  // The payloads of all messages that have come, and nothing else.
  std::vector<std::string> payloads() {
    std::vector<std::string> out;
    while (hasMore()) {
      Said said = next();
      EXPECT_EQ(said.type, PacketType::kPublish);
      out.push_back(said.payload);
    }
    return out;
  }
  bool isClosed() const { return wire_->broker_gone; }
  Wire& wire() { return *wire_; }

 private:
  void readPublish(Said& said);
  World& world_;
  const Version version_;
  std::shared_ptr<Wire> wire_;
};

inline void Client::readPublish(Said& said) {
  mqtt::ByteReader reader(said.body);
  said.qos = static_cast<Qos>(said.flags >> 1 & 3);
  said.retain = (said.flags & 1) != 0;
  said.dup = (said.flags & 8) != 0;
  said.topic = reader.text();
  if (said.qos != Qos::k0) said.id = reader.u16();
  if (version_ == Version::k5) {
    std::string_view bytes = reader.bytes(reader.variable());
    mqtt::Fault fault;
    std::string_view rest = bytes;
    while (!rest.empty()) {
      const mqtt::RawProperty one = mqtt::nextProperty(rest);
      if (one.id == mqtt::PropertyId::kSubscriptionId) said.ids.push_back(one.number);
      if (one.id == mqtt::PropertyId::kUserProperty) said.user.emplace_back(one.first, one.second);
      if (one.id == mqtt::PropertyId::kMessageExpiry) said.properties.message_expiry_s = one.number;
      if (one.id == mqtt::PropertyId::kTopicAlias)
        said.properties.topic_alias = static_cast<std::uint16_t>(one.number);
      if (one.id == mqtt::PropertyId::kPayloadFormat)
        said.properties.payload_is_text = one.number == 1;
      if (one.id == mqtt::PropertyId::kResponseTopic) said.properties.response_topic = one.first;
      if (one.id == mqtt::PropertyId::kContentType) said.properties.content_type = one.first;
      if (one.id == mqtt::PropertyId::kCorrelationData)
        said.properties.correlation_data = one.first;
    }
  }
  said.payload = reader.rest();
  EXPECT_TRUE(reader.ok());
}

inline Said Client::next() {
  Said said;
  mqtt::Frame frame;
  mqtt::Fault fault;
  std::string& from = wire_->to_client;
  if (mqtt::frameOf(from, SIZE_MAX, frame, fault) != mqtt::Framing::kPacket) {
    ADD_FAILURE() << "no packet came, but " << from.size() << " bytes";
    return said;
  }
  said.type = frame.type;
  said.flags = frame.flags;
  said.body = frame.body;
  from.erase(0, frame.size);
  mqtt::ByteReader reader(said.body);
  switch (said.type) {
    case PacketType::kConnack:
      said.present = reader.byte() == 1;
      said.reason = static_cast<Reason>(reader.byte());
      if (version_ == Version::k5) {
        EXPECT_TRUE(mqtt::parseProperties(reader.bytes(reader.variable()),
                                          mqtt::PropertySet::kConnack, said.properties, fault))
            << fault.what;
      }
      break;
    case PacketType::kPublish: readPublish(said); break;
    case PacketType::kDisconnect:
      if (!reader.empty()) said.reason = static_cast<Reason>(reader.byte());
      break;
    case PacketType::kPingresp: break;
    default:
      said.id = reader.u16();
      if (said.type == PacketType::kSuback || said.type == PacketType::kUnsuback) {
        if (version_ == Version::k5) (void)reader.bytes(reader.variable());
        while (!reader.empty()) said.reasons.push_back(reader.byte());
      } else if (!reader.empty()) {
        said.reason = static_cast<Reason>(reader.byte());
      }
  }
  return said;
}

}  // namespace kante::hub
