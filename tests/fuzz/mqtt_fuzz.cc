// What a client sends, in both versions: never read beyond its bytes, and a message that is taken
// says the same when it is written and read again.

// fuzz-links: kante_mqtt
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "host/mqtt/parse.h"
#include "host/mqtt/topic.h"
#include "host/mqtt/write.h"

namespace {

using namespace kante::mqtt;

void require(bool holds) {
  if (!holds) std::abort();
}

void readAgain(const Publish& first, Version version) {
  require(first.topic.empty() || isTopicName(first.topic));
  require((first.packet_id == 0) == (first.qos == Qos::k0));
  PropertyWriter properties;
  properties.raw(first.properties.bytes);
  PublishHead head;
  head.topic = first.topic;
  head.qos = first.qos;
  head.retain = first.retain;
  head.dup = first.dup;
  head.packet_id = first.packet_id;
  head.payload_bytes = first.payload.size();
  std::string bytes;
  require(writePublishHead(bytes, version, head, properties));
  bytes += first.payload;
  Frame frame;
  Fault fault;
  Publish second;
  require(frameOf(bytes, bytes.size(), frame, fault) == Framing::kPacket);
  require(parsePublish(frame, version, second, fault));
  require(second.topic == first.topic && second.payload == first.payload &&
          second.packet_id == first.packet_id && second.qos == first.qos);
  std::size_t users = 0;
  second.properties.forEachUserProperty([&](auto, auto) { ++users; });
  require(users == first.properties.user_properties);
}

void parse(const Frame& frame, Version version) {
  Fault fault;
  switch (frame.type) {
    case PacketType::kConnect: {
      Connect connect;
      (void)parseConnect(frame, connect, fault);
      break;
    }
    case PacketType::kPublish: {
      Publish publish;
      if (parsePublish(frame, version, publish, fault)) readAgain(publish, version);
      break;
    }
    case PacketType::kSubscribe: {
      Subscribe subscribe;
      if (!parseSubscribe(frame, version, subscribe, fault)) break;
      for (const Subscription& one : subscribe.subscriptions)
        if (isTopicFilter(one.filter)) (void)matches(one.filter, "a/b/c");
      break;
    }
    case PacketType::kUnsubscribe: {
      Unsubscribe unsubscribe;
      (void)parseUnsubscribe(frame, version, unsubscribe, fault);
      break;
    }
    case PacketType::kDisconnect: {
      Notice notice;
      (void)parseDisconnect(frame, version, notice, fault);
      break;
    }
    case PacketType::kAuth: {
      Notice notice;
      (void)parseAuth(frame, version, notice, fault);
      break;
    }
    default: {
      Ack ack;
      (void)parseAck(frame, version, ack, fault);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (;;) {
    Frame frame;
    Fault fault;
    if (frameOf(rest, 1u << 16, frame, fault) != Framing::kPacket) return 0;
    parse(frame, Version::k5);
    parse(frame, Version::k311);
    rest.remove_prefix(frame.size);
  }
}
