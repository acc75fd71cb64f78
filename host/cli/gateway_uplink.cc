#include "host/cli/gateway_uplink.h"

#include "host/config/config.h"

namespace kante::cli {

MqttUplinkOptions uplinkOptions(const Config& config) {
  const UplinkConfig& from = config.uplink;
  MqttUplinkOptions out;
  out.gateway_id = config.gateway.id;
  out.version = KANTE_VERSION;
  out.url = from.url;
  out.ca = from.ca;
  out.cert = from.cert;
  out.key = from.key;
  out.username = from.username;
  out.password_file = from.password_file;
  out.topic = from.topic;
  out.window = from.window;
  out.backlog_per_s = from.backlog_per_s;
  out.budget = {from.messages_per_day, from.bytes_per_day, from.meter_bytes};
  out.at_budget = from.at_budget == AtBudget::kDropLowest ? ForwarderOptions::AtBudget::kDropLowest
                                                          : ForwarderOptions::AtBudget::kHold;
  out.pack.on = from.pack;
  out.pack.bytes_max = from.pack_bytes;
  out.pack.wait_ms = from.pack_ms;
  out.pack.compression = from.compress == Compress::kZstd ? PackRules::Compression::kZstd
                                                          : PackRules::Compression::kNone;
  switch (from.protocol) {
    case UplinkProtocol::kAuto: out.protocol = MqttProtocol::kAuto; break;
    case UplinkProtocol::k5: out.protocol = MqttProtocol::k5; break;
    case UplinkProtocol::k311: out.protocol = MqttProtocol::k311; break;
  }
  out.order = from.order == UplinkOrder::kFifo ? MqttUplinkOptions::Order::kFifo
                                               : MqttUplinkOptions::Order::kLiveFirst;
  out.commands = from.commands == Commands::kBroker ? CommandTrust::kBroker : CommandTrust::kSigned;
  if (from.kind != UplinkKind::kKante) return out;
  out.peer = MqttUplinkOptions::Peer::kGateway;
  out.username = "gateway/" + config.gateway.id;
  out.protocol = MqttProtocol::k5;
  out.commands = CommandTrust::kBroker;
  return out;
}

}  // namespace kante::cli
