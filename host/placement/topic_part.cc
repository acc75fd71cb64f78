#include "host/placement/topic_part.h"

#include <algorithm>
#include <tuple>

#include "host/hub/iothub/contract_topic.h"
#include "host/hub/iothub/device_message.h"
#include "host/hub/iothub/property_bag.h"
#include "host/placement/client_message.h"

namespace kante {
namespace {

using hub::ContractTopic;

void add(std::atomic<std::uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

TopicPart::TopicPart(const std::string& gateway_id, SourceTable& sources,
                     std::shared_ptr<Shard> shard, TopicCounts& counts, FromBelow below)
    : gateway_id_(gateway_id),
      sources_(sources),
      shard_(std::move(shard)),
      counts_(counts),
      below_(std::move(below)),
      memos_(kMemos) {}

TopicPart::~TopicPart() = default;

void TopicPart::activate(std::shared_ptr<RouteTable> table) {
  memos_.assign(kMemos, {});
  table_ = std::move(table);
}

// ---- which routes

std::shared_ptr<const OutputRoutes> TopicPart::routesOf(std::string_view path,
                                                        std::string_view topic) {
  const bool by_topic = !topic.empty() && table_ && table_->takesTopics();
  if (!table_ || (path.empty() && !by_topic)) return nullptr;
  if (!by_topic) topic = {};
  if (path.starts_with("/messages/devices/") && !table_->namesDevices()) path = "/messages/devices";
  const auto hash = std::hash<std::string_view>();
  Memo& memo = memos_[(hash(path) * 31 + hash(topic)) % kMemos];
  if (memo.routes && memo.path == path && memo.topic == topic) return memo.routes;
  Source source;
  source.path = path;
  source.topic = topic;
  memo.path = path;
  memo.topic = topic;
  memo.routes = std::make_shared<const OutputRoutes>(table_->routesOfClients(source));
  return memo.routes;
}

const std::vector<Target>& TopicPart::targetsOf(const OutputRoutes& routes,
                                                const MessageRef& message, const Source* source,
                                                std::vector<Target>& matched) {
  if (routes.unconditional) return routes.always;
  const RouteInput input{message.view(), source, shard_->wallNs()};
  for (const std::uint32_t route : routes.routes.match(input, scratch_))
    matched.push_back(*routes.by_route[route]);
  keepBestOfEachSink(matched);
  return matched;
}

// ---- to the sinks

TopicPart::Room TopicPart::roomFor(const std::vector<Target>& targets, std::uint32_t bytes,
                                   Sender& sender) {
  for (const Target& target : targets) {
    if (target.link != nullptr) {
      Link& link = *target.link;
      if (link.when_full != WhenFull::kBlock || link.hasCredit(bytes) || link.stalled()) continue;
      auto resume = sender.resume();
      if (!resume) return Room::kWithin;
      link.wait(bytes, shard_->bootNs(), std::move(resume));
      return Room::kHeld;
    }
    if (target.durable == nullptr || target.durable->hasRoom()) continue;
    auto resume = sender.resume();
    if (!resume) return Room::kWithin;
    target.durable->onRoom(std::move(resume));
    return Room::kHeld;
  }
  return Room::kBeyond;
}

hub::Routing::Taken TopicPart::hand(const OutputRoutes& routes, const MessageRef& message,
                                    const Way& way, Sender* sender) {
  std::vector<Target> matched;
  const std::vector<Target>& targets = targetsOf(routes, message, way.source, matched);
  if (targets.empty()) return Taken::kNobody;
  Room room = Room::kWithin;
  if (sender != nullptr)
    room = roomFor(targets, static_cast<std::uint32_t>(message.bytes()), *sender);
  if (room == Room::kHeld) return Taken::kHeld;
  add(counts_.taken);
  const Hop hop{way.source, shard_->wallNs(), way.hops, way.origin_number & kOriginNumberMax};
  for (const Target& target : targets) {
    if (target.link != nullptr) {
      handLink(target, message, hop, room);
    } else if (target.durable != nullptr) {
      handDurable(target, message, hop, room, sender == nullptr ? nullptr : sender->kept());
    } else {
      handTopic(target, message, hop);
    }
  }
  return Taken::kTaken;
}

void TopicPart::handLink(const Target& target, const MessageRef& message, const Hop& hop,
                         Room room) {
  Link& link = *target.link;
  const auto bytes = static_cast<std::uint32_t>(message.bytes());
  const bool within = room == Room::kWithin && link.when_full == WhenFull::kBlock;
  if (!link.hasCredit(bytes) && (within || !link.takesBeyondCredit(bytes)))
    return count(link.dropped, link.stalled() ? DropReason::kStalled : DropReason::kOverflow);
  link.queued(bytes);
  link.lane->offer(*shard_, {message, hop, shard_->bootNs(), &link});
}

void TopicPart::handDurable(const Target& target, const MessageRef& message, const Hop& hop,
                            Room room, std::function<void(hub::Kept)> kept) {
  const std::shared_ptr<RouteCounts>& counts = table_->allCounts()[target.route];
  const bool behind = room == Room::kWithin && !target.durable->hasRoom();
  const auto answered = [kept = std::move(kept), counts](bool on_disk) {
    if (!on_disk) count(counts->dropped, DropReason::kStoreFull);
    if (kept) kept(on_disk ? hub::Kept::kYes : hub::Kept::kNoRoom);
  };
  if (behind || target.durable->offer(message, hop, target.priority, target.ttl_s, answered) !=
                    DurableSink::Offer::kTaken)
    return answered(false);
  counts->beside_links.fetch_add(1, std::memory_order_relaxed);
}

void TopicPart::handTopic(const Target& target, const MessageRef& message, const Hop& hop) {
  RouteCounts& counts = table_->counts(target.route);
  if (!fillTopic(target, {message.view(), hop.source, hop.arrived_ns}, topic_))
    return count(counts.dropped, DropReason::kNoRoute);
  counts.beside_links.fetch_add(1, std::memory_order_relaxed);
  publish({topic_, message, hop.source, static_cast<std::uint8_t>(hop.hops + 1), target.ttl_s,
           hop.origin_number});
}

void TopicPart::publish(const TopicSink::Onward& what) {
  if (what.hops > kHopsMax) return add(counts_.loop);
  if (door_ != nullptr)
    door_->publish(
        publicationOf(what.message, what.topic, what.ttl_s, shard_->wallNs(), shard_->bootNs()));
  if (const auto routes = routesOf({}, what.topic))
    (void)hand(*routes, what.message, {{}, what.topic, what.source, what.hops, what.origin_number},
               nullptr);
}

// ---- from clients

hub::Routing::Outcome TopicPart::refuse(std::string why, mqtt::Reason reason) {
  add(counts_.refused);
  return {Taken::kRefused, {}, std::move(why), reason};
}

hub::Routing::Outcome TopicPart::take(const mqtt::Publish& publish, Sender& sender) {
  const std::string& principal = sender.name();
  if (principal.starts_with("device/") || principal.starts_with("module/")) {
    const ContractTopic topic = hub::parseContractTopic(publish.topic);
    if (topic.kind == ContractTopic::Kind::kEvents) return takeEvents(publish, topic, sender);
  } else if (below_.desk != nullptr && principal.starts_with("gateway/")) {
    const std::string_view gateway = std::string_view(principal).substr(8);
    const hub::GatewayTopic topic = hub::parseGatewayTopic(publish.topic, gateway);
    if (topic.kind == hub::GatewayTopic::Kind::kTelemetry)
      return takeChild(publish, gateway, topic.rest, sender);
  }
  const auto routes = routesOf({}, publish.topic);
  if (!routes || routes->candidates.empty()) return {};
  const Source* source = topicSource(principal);
  if (source == nullptr) return refuse("there are too many senders");
  auto message = messageOf(publish, shard_->stamp());
  if (!message) return refuse(message.error().text);
  const Taken taken = hand(*routes, *message, {{}, publish.topic, source, 1}, &sender);
  if (taken == Taken::kHeld) add(counts_.held);
  return {taken, std::move(*message), {}};
}

hub::Routing::Outcome TopicPart::takeEvents(const mqtt::Publish& publish,
                                            const ContractTopic& topic, Sender& sender) {
  const std::string& principal = sender.name();
  std::string named = "device/" + std::string(topic.device);
  if (!topic.module.empty()) {
    named = topic.device == gateway_id_ ? "module/" + std::string(topic.module)
                                        : named + "/module/" + std::string(topic.module);
  }
  if (named != principal && !sender.mayActFor(named))
    return refuse(principal + " may not speak for " + named);
  hub::DeviceMessage said;
  publish.properties.forEachUserProperty([&](std::string_view name, std::string_view value) {
    said.properties.emplace_back(name, value);
  });
  said.content_type = publish.properties.content_type.value_or("");
  if (const Status read = hub::readBag(topic.bag, said); !read) return refuse(read.error().text);
  return takeTelemetry(named, topic.address, said, publish.payload, sender);
}

hub::Routing::Outcome TopicPart::takeFrom(const std::string& principal,
                                          const hub::DeviceMessage& said, Sender& sender) {
  return takeTelemetry(principal, {}, said, said.body, sender);
}

hub::Routing::Outcome TopicPart::takeTelemetry(const std::string& principal, std::string_view topic,
                                               const hub::DeviceMessage& said,
                                               std::string_view body, Sender& sender) {
  const std::string_view module = principal;
  if (module.starts_with("module/") && table_ && table_->outputsOf(std::string(module.substr(7))))
    return refuse(principal + " is a module of the deployment");
  const Source* source = telemetrySource(principal, said.output);
  if (source == nullptr)
    return refuse(principal + ": \"" + said.output + "\" is no name of an output, or one too many");
  auto message = hub::messageOf(said, body, shard_->stamp());
  if (!message) return refuse(message.error().text);
  const auto routes = routesOf(source->path, topic);
  Taken taken = Taken::kNobody;
  if (routes && !routes->candidates.empty())
    taken = hand(*routes, *message, {source->path, topic, source, 1}, &sender);
  if (taken == Taken::kHeld) add(counts_.held);
  if (taken == Taken::kNobody) add(counts_.no_route);
  return {taken, std::move(*message), {}};
}

// ---- twins

void TopicPart::twinChanged(const std::string& principal, std::string_view patch) {
  const Source* source = twinSource();
  const auto routes = routesOf(source->path, {});
  if (!routes || routes->candidates.empty()) return;
  hub::DeviceMessage said;
  said.content_type = "application/json";
  said.content_encoding = "utf-8";
  const auto [device, module] = hub::deviceAndModule(principal, gateway_id_);
  said.system = {{"messageType", "twinChangeNotification"},
                 {"messageSchema", "twinChangeNotification"},
                 {"rpSenderDeviceId", device}};
  if (!module.empty()) said.system.emplace_back("rpSenderModuleId", module);
  const auto message = hub::messageOf(said, patch, shard_->stamp());
  if (!message) return add(counts_.refused);  // No twin is so large.
  (void)hand(*routes, *message, {source->path, {}, source, 1}, nullptr);
}

// As IoT Edge has it: its hub is the sender, and says in the message whose twin it is.
const Source* TopicPart::twinSource() {
  if (twin_source_ != nullptr) return twin_source_;
  Source source;
  source.principal = "module/$edgeHub";
  source.path = hub::kTwinChangePath;
  source.connection_device_id = gateway_id_;
  source.connection_module_id = "$edgeHub";
  source.telemetry_name = "module/$edgeHub/twinChangeNotifications";
  return twin_source_ = sources_.intern(source);
}

// ---- who sends

const Source* TopicPart::known(const std::string& key, const Source& source) {
  if (senders_.size() >= kSendersMax) return nullptr;
  if (!source.output.empty() && outputs_[source.principal]++ >= kOutputsPerSender) {
    --outputs_[source.principal];
    return nullptr;
  }
  return senders_[key] = sources_.intern(source);
}

const Source* TopicPart::telemetrySource(const std::string& principal, const std::string& output) {
  const std::string key = principal + '\n' + output;
  if (const auto at = senders_.find(key); at != senders_.end()) return at->second;
  if (output.find('/') != std::string::npos || output.size() > 128) return nullptr;
  Source source;
  source.principal = principal;
  source.output = output;
  source.telemetry_name = output.empty() ? principal : principal + "/" + output;
  std::tie(source.connection_device_id, source.connection_module_id) =
      hub::deviceAndModule(principal, gateway_id_);
  const std::string& module = source.connection_module_id;
  source.path = "/messages";  // module/NAME: one of this gateway that runs elsewhere.
  if (principal.starts_with("device/")) source.path += "/devices/" + source.connection_device_id;
  if (!module.empty()) source.path += "/modules/" + module;
  if (!output.empty()) source.path += "/outputs/" + output;
  return known(key, source);
}

const Source* TopicPart::topicSource(const std::string& principal) {
  const std::string_view key = principal;
  if (const auto at = senders_.find(key); at != senders_.end() && at->second->path.empty())
    return at->second;
  Source source;
  source.principal = principal;
  source.telemetry_name = principal;
  std::tie(source.connection_device_id, source.connection_module_id) =
      hub::deviceAndModule(principal, gateway_id_);
  return known(principal, source);
}

}  // namespace kante
