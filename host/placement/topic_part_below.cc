// Telemetry of the gateways below: by the routes, with its origin, and once.
#include "host/hub/gateways/gateway_topic.h"
#include "host/placement/topic_part.h"

namespace kante {
namespace {

using mqtt::Reason;

void add(std::atomic<std::uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

std::string_view behind(std::string_view text, std::string_view part) {
  const auto at = text.find(part);
  return at == std::string_view::npos ? std::string_view() : text.substr(at + part.size());
}

// What routes are told of a sender below: "/messages/devices/ID…", "/messages/gateways/ID…".
Source sourceOf(const hub::SaidBy& by, const hub::ChildMessage& said) {
  Source source;
  source.principal = by.principal;
  source.output = by.output;
  source.telemetry_name = by.output.empty() ? by.principal : by.principal + "/" + by.output;
  const std::string_view place = hub::placeOf(by.principal);
  source.connection_device_id = behind(place, "/");
  source.connection_module_id = behind(by.principal, "/module/");
  source.path = place.starts_with("device/") ? "/messages/devices/" : "/messages/gateways/";
  source.path += source.connection_device_id;
  if (!source.connection_module_id.empty())
    source.path += "/modules/" + source.connection_module_id;
  if (!by.output.empty()) source.path += "/outputs/" + by.output;
  source.origin_gateway = said.origin_gateway;
  source.origin_epoch = said.origin_epoch;
  return source;
}

}  // namespace

const Source* TopicPart::childSource(const hub::ChildMessage& said, const hub::SaidBy& by,
                                     const std::string& gateway, Sender& sender, Outcome& refused) {
  if (!hub::isOf(by.principal, gateway)) {
    if (!sender.mayActFor(by.principal)) {
      refused = refuse("gateway/" + gateway + " may not speak for " + by.principal +
                           ": there is no grant on-behalf: for it",
                       Reason::kNotAuthorized);
      return nullptr;
    }
  }
  std::string key = gateway;
  for (const std::string* part :
       {&by.principal, &by.output, &said.origin_gateway, &said.origin_epoch})
    (key += '\n') += *part;
  ChildSender& known = child_senders_[key];
  const std::uint64_t now = below_.desk->changes();
  if (known.source != nullptr && known.checked == now) return known.source;
  if (const Status there = below_.desk->speaks(gateway, by.principal); !there) {
    refused = refuse(there.error().text, hub::reasonOf(there.error()));
  } else if (known.source == nullptr && child_sources_[gateway] >= kSourcesPerGateway) {
    refused =
        refuse("there are too many senders behind gateway/" + gateway, Reason::kQuotaExceeded);
  } else {
    if (known.source == nullptr) {
      ++child_sources_[gateway];
      known.source = sources_.intern(sourceOf(by, said));
    }
    known.checked = now;
    return known.source;
  }
  if (known.source == nullptr) child_senders_.erase(key);
  return nullptr;
}

hub::Routing::Outcome TopicPart::takeChild(const mqtt::Publish& publish, std::string_view gateway,
                                           std::string_view source, Sender& sender) {
  // A gateway keeps it and tries again; a device would, too, and has no place for it.
  if (!table_) return refuse("nothing is deployed here yet", Reason::kQuotaExceeded);
  const std::string id(gateway);
  const auto by = hub::saidBy(source, gateway);
  if (!by) return refuse(by.error().text, Reason::kTopicNameInvalid);
  const auto said = hub::readChildMessage(publish, gateway, shard_->stamp());
  if (!said) return refuse(said.error().text, Reason::kPayloadFormatInvalid);
  // It has come round; whoever sent it is told that it need not come again.
  if (said->origin_gateway == gateway_id_ || said->hops >= kHopsMax) {
    add(counts_.loop);
    return {};
  }
  Outcome refused;
  const Source* from = childSource(*said, *by, id, sender, refused);
  if (from == nullptr) return refused;
  return handChild(*said, gateway, from, publish.topic, sender);
}

hub::Routing::Outcome TopicPart::handChild(const hub::ChildMessage& said, std::string_view gateway,
                                           const Source* source, std::string_view topic,
                                           Sender& sender) {
  Taken taken = Taken::kNobody;
  const auto routes = routesOf(source->path, topic);
  if (routes && !routes->candidates.empty()) {
    StoreDoor::Scope once(below_.door, {hub::kTakenArea, std::string(gateway), said.epoch,
                                        said.number, below_.repeated});
    const Way way{source->path, topic, source, static_cast<std::uint8_t>(said.hops + 1),
                  said.origin_number};
    taken = hand(*routes, said.message, way, &sender);
    if (taken != Taken::kTaken) once.forgetOnce();
  }
  if (taken == Taken::kHeld) add(counts_.held);
  if (taken == Taken::kNobody) add(counts_.no_route);
  return {taken, said.message, {}};
}

}  // namespace kante
