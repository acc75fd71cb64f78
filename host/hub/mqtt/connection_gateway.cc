// What a gateway below says at its own topics that is no telemetry.
#include "host/base/encoding.h"
#include "host/hub/gateways/children.h"
#include "host/hub/mqtt/connection.h"
#include "host/hub/mqtt/engine.h"

namespace kante::hub {
namespace {

using mqtt::PacketType;
using mqtt::Reason;

}  // namespace

// False: it was refused.
bool Connection::readGatewaySaid(const mqtt::Publish& publish, const GatewayTopic& topic,
                                 GatewayDesk::Said& said) {
  const auto refuse = [&](Reason reason, const std::string& why) {
    refusePublish(publish, reason, why);
    return false;
  };
  if (publish.qos == mqtt::Qos::k2)
    return refuse(Reason::kImplementationSpecific, "says with QoS 2 what has QoS 1 at most");
  if (publish.payload.size() > Children::kSaidBytesMax)
    return refuse(Reason::kPayloadFormatInvalid, "says more than 256 KiB at once");
  if (topic.kind == GatewayTopic::Kind::kReported &&
      publish.payload.size() > Children::kReportedBytesMax)
    return refuse(Reason::kPayloadFormatInvalid,
                  "reports more than the 32 KiB that properties may have");
  if (topic.kind == GatewayTopic::Kind::kReported) {
    const auto principal = decodePrincipal(topic.rest);
    if (!principal)
      return refuse(Reason::kTopicNameInvalid,
                    "publishes to " + std::string(publish.topic) + ": " + principal.error().text);
    said.principal = nameAbove(*principal, said.gateway);
    if (!isOf(said.principal, said.gateway) && !session_->principal().mayActFor(said.principal))
      return refuse(Reason::kNotAuthorized, "may not speak for " + said.principal +
                                                ": there is no grant on-behalf: for it");
    if (const auto there = engine_.desk()->gateways()->speaks(said.gateway, said.principal); !there)
      return refuse(reasonOf(there.error()), "was refused: " + there.error().text);
  } else if (!topic.rest.empty()) {
    auto id = percentDecode(topic.rest);
    if (!id) return refuse(Reason::kTopicNameInvalid, "answers to an id that is none");
    said.id = std::move(*id);
  }
  publish.properties.forEachUserProperty([&](std::string_view name, std::string_view value) {
    if (name == "part") said.part = value;
  });
  said.payload = publish.payload;
  return true;
}

// Its state and what it says of its deployment are ordinary topics besides.
bool Connection::askGateways(const mqtt::Publish& publish, const GatewayTopic& topic,
                             const std::string& gateway) {
  using Kind = GatewayTopic::Kind;
  if (topic.kind == Kind::kTelemetry || topic.kind == Kind::kDeployment) return false;
  if (topic.kind == Kind::kUnknown) {
    refusePublish(publish, Reason::kTopicNameInvalid,
                  "publishes to " + std::string(publish.topic) +
                      ", which is nothing that a gateway says to the one above it");
    return true;
  }
  GatewayDesk& desk = *engine_.desk()->gateways();
  GatewayDesk::Said said;
  said.gateway = gateway;
  said.kind = topic.kind;
  if (!readGatewaySaid(publish, topic, said)) return true;
  said.entered = desk.enter(
      gateway, said.payload.size() + said.principal.size() + said.id.size() + said.part.size());
  if (said.entered == nullptr) {
    refusePublish(publish, Reason::kQuotaExceeded, "says too much at once");
    return true;
  }
  if (topic.kind == Kind::kState) {
    desk.said(std::move(said));
    return false;
  }
  const bool answered = publish.qos == mqtt::Qos::k1;
  if (answered) {
    engine_.beginAck(nextAnswer());
    // Shared because a function is copied about.
    said.kept = [share = std::make_shared<AckShare>(engine_.holdAck())](Kept kept) {
      share->release(kept);
    };
  }
  desk.said(std::move(said));
  if (answered) owe({PacketType::kPuback, publish.packet_id, Reason::kSuccess}, engine_.endAck());
  return true;
}

}  // namespace kante::hub
