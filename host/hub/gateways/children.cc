#include "host/hub/gateways/children.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <utility>

#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/base/events.h"
#include "host/base/json.h"
#include "host/base/log.h"
#include "host/base/metrics.h"
#include "host/hub/gateways/child_message.h"
#include "host/hub/iothub/property_bag.h"
#include "host/hub/twin_rules.h"
#include "host/mqtt/write.h"

namespace kante::hub {
namespace {

namespace json = boost::json;

constexpr JsonBounds kBounds{Children::kAnswerBytesMax, 66};
constexpr std::size_t kPropertyBytesMax = 65'535;
constexpr std::chrono::seconds kTick{15};

template <typename Number>
Number numberIn(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  json::error_code wrong;
  const Number number = value == nullptr ? Number() : value->to_number<Number>(wrong);
  return wrong ? Number() : number;
}

std::string textIn(const json::object& object, const char* key, std::size_t bytes_max) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return {};
  return std::string(std::string_view(value->get_string()).substr(0, bytes_max));
}

void tell(const GatewayDesk::Said& said, Kept kept) {
  if (said.kept) said.kept(kept);
}

}  // namespace

Children::Children(Parts parts)
    : parts_(std::move(parts)), alive_(std::make_shared<Children*>(this)), timer_(parts_.control) {
  whereabouts_ = std::make_unique<Whereabouts>([this] { post([this] { takeMoved(); }); });
}

Children::~Children() {
  *alive_ = nullptr;
  parts_.methods.setElsewhere({});
}

Result<std::unique_ptr<Children>> Children::open(Parts parts) {
  std::unique_ptr<Children> out(new Children(std::move(parts)));
  KANTE_CHECK(out->load());
  Children* const self = out.get();
  out->desired_ = self->parts_.twins.observeDesired([self](const Twins::Change& change) {
    const std::string gateway = self->gatewayOf(change.principal);
    if (!gateway.empty()) self->sayDesired(gateway, change.principal, change.section);
  });
  self->parts_.methods.setElsewhere(
      {[self](const std::string& target) { return self->knows(target); },
       [self](const MethodCall& one) { self->call(one); }});
  self->tickLater();
  return out;
}

Status Children::load() {
  KANTE_TRY(places, parts_.store.keyValue().scan(Whereabouts::kArea));
  for (const auto& [place, gateway] : places) whereabouts_->load(place, gateway);
  // Grants may have changed at the end of an earlier life.
  judgeMoved({places.begin(), places.end()});
  KANTE_TRY(rows, parts_.store.keyValue().scan(kArea));
  for (const auto& [id, text] : rows) {
    Child& child = children_[id];
    const auto row = parseJsonObject(text, kBounds);
    if (!row) continue;
    child.version = textIn(*row, "version", 64);
    child.last_seen_ns = numberIn<std::int64_t>(*row, "last_seen_ns");
    child.lost = numberIn<std::uint64_t>(*row, "lost");
  }
  return {};
}

void Children::keep(const std::string& gateway, std::function<void(Status)> done) {
  const Child& child = children_[gateway];
  const json::object row{
      {"version", child.version}, {"last_seen_ns", child.last_seen_ns}, {"lost", child.lost}};
  parts_.store.keyValue().apply({{kArea, gateway, writeJson(row)}}, std::move(done));
}

void Children::post(std::function<void()> task) {
  boost::asio::post(parts_.control, [alive = alive_, task = std::move(task)] {
    if (*alive != nullptr) task();
  });
}

void Children::report(const char* kind, const std::string& gateway, const std::string& text) {
  Event event;
  event.level = std::string_view(kind).ends_with("lost") ? EventLevel::kWarn : EventLevel::kInfo;
  event.kind = kind;
  event.subject = "gateway/" + gateway;
  event.text = text;
  parts_.events.add(std::move(event));
}

std::shared_ptr<const Principal> Children::registered(const std::string& gateway) const {
  return parts_.access.find("gateway/" + gateway);
}

void Children::reconsider(const std::string& gateway) {
  const auto who = registered(gateway);
  whereabouts_->judge(gateway, [&](const std::string&, const std::string& principal) {
    return who != nullptr && who->mayActFor(principal);
  });
}

void Children::forget(const std::string& gateway) {
  whereabouts_->left("gateway/" + gateway);  // Its session's end finds nothing of it any more.
  dropDevices(gateway);
  children_.erase(gateway);
  whereabouts_->forget("gateway/" + gateway);
  for (const std::string& principal : parts_.twins.principalsOf("gateway/" + gateway))
    if (const Status removed = parts_.twins.remove(principal); !removed)
      parts_.log.error("hub", "a twin of a gateway that was removed stays",
                       {{"principal", principal}, {"why", removed.error().text}});
  parts_.store.keyValue().apply(
      {{kArea, gateway, std::nullopt}, {kTakenArea, gateway, std::nullopt}}, [](const Status&) {});
}

std::string Children::gatewayOf(std::string_view principal) const {
  std::string behind = whereabouts_->of(principal);
  if (!behind.empty() || !principal.starts_with("gateway/")) return behind;
  const std::string id(placeOf(principal).substr(8));
  return children_.contains(id) ? id : std::string();
}

std::vector<ChildStatus> Children::status() const {
  std::vector<ChildStatus> out;
  for (const auto& [id, child] : children_) {
    ChildStatus& one = out.emplace_back();
    one.id = id;
    one.connected = !child.listeners.empty();
    one.version = child.version;
    one.last_seen_ns = one.connected ? parts_.clock.wallNs() : child.last_seen_ns;
    one.lost = child.lost;
    one.devices = whereabouts_->devicesBehind(id).size();
  }
  return out;
}

void Children::collect(MetricWriter& metrics) const {
  for (const auto& [id, child] : children_) {
    metrics.gauge("kante_gateway_connected", "1 while that gateway below is connected",
                  {{"gateway", id}}, child.listeners.empty() ? 0 : 1);
    metrics.counter("kante_gateway_lost_total", "Numbers that a gateway below reported lost",
                    {{"gateway", id}}, static_cast<double>(child.lost));
  }
}

// ---- from the shards

void Children::said(Said said) {
  post([this, said = std::move(said)] { take(said); });
}

void Children::hears(const SessionRef& session, const std::string& gateway,
                     std::uint8_t interests) {
  if (!changed_.put(session, gateway, interests)) return;
  post([this] {
    for (const auto& one : changed_.takeAll()) listen(one.session, one.who, one.interests);
  });
}

void Children::take(const Said& said) {
  const auto who = registered(said.gateway);
  const bool may =
      who != nullptr && (said.principal.empty() || isOf(said.principal, said.gateway) ||
                         who->mayActFor(said.principal));
  if (!may) {
    parts_.log.info("hub", "what a gateway below said is dropped: by now it may not say it",
                    {{"gateway", said.gateway}, {"principal", said.principal}});
    return tell(said, Kept::kFailed);
  }
  switch (said.kind) {
    case GatewayTopic::Kind::kState: return stateSaid(said);
    case GatewayTopic::Kind::kLost: return lostSaid(said);
    case GatewayTopic::Kind::kReported: return reportedSaid(said);
    case GatewayTopic::Kind::kMethod: answerSaid(said); return tell(said, Kept::kYes);
    case GatewayTopic::Kind::kCloud: cloudSaid(said); return tell(said, Kept::kYes);
    default: return tell(said, Kept::kYes);
  }
}

void Children::stateSaid(const Said& said) {
  if (const auto state = parseJsonObject(said.payload, kBounds))
    children_[said.gateway].version = textIn(*state, "version", 64);
  tell(said, Kept::kYes);
}

// Its number counts as taken, so that no hole is left for it.
void Children::lostSaid(const Said& said) {
  const auto lost = parseJsonObject(said.payload, kBounds);
  const auto number = lost ? numberIn<std::uint64_t>(*lost, "seq") : 0;
  const std::string epoch = lost ? textIn(*lost, "epoch", 64) : std::string();
  if (number == 0 || number > kOriginNumberMax || epoch.empty() || epoch.find(' ') != epoch.npos) {
    parts_.log.warn("hub", "a gateway reports a loss that nobody can read",
                    {{"gateway", said.gateway}});
    return tell(said, Kept::kYes);
  }
  ++children_[said.gateway].lost;
  report("gateway.lost", said.gateway,
         "Gateway " + said.gateway + " lost message " + std::to_string(number) +
             " for good: " + textIn(*lost, "reason", 512));
  StoreExchange exchange;
  exchange.once = OnceOnly{kTakenArea, said.gateway, epoch, number};
  (void)parts_.store.exchange(exchange);
  keep(said.gateway, [kept = said.kept](const Status& status) {
    if (kept) kept(status ? Kept::kYes : Kept::kFailed);
  });
}

// They count in the bound of all twins, and nobody registers the modules of who is below.
Status Children::roomForTwin(const std::string& principal) const {
  const auto there = parts_.twins.principalsOf(std::string(placeOf(principal)));
  if (there.size() < kTwinsOfOneMax ||
      std::find(there.begin(), there.end(), principal) != there.end())
    return {};
  return fail(Errc::kLimit, "there are " + std::to_string(kTwinsOfOneMax) + " twins of " +
                                std::string(placeOf(principal)) + " already");
}

Status Children::takeReported(const Said& said) {
  auto section = parseJsonObject(said.payload, kBounds);
  if (!section) return fail(Errc::kInvalid, section.error().text);
  section->erase("$version");
  const std::string text = writeJson(*section);
  if (const Status right = checkTwinSection(text); !right)
    return fail(Errc::kInvalid, right.error().text);
  KANTE_CHECK(roomForTwin(said.principal));
  KANTE_TRY(version, parts_.twins.replaceReported(said.principal, text));
  (void)version;
  return {};
}

void Children::reportedSaid(const Said& said) {
  if (const Status taken = takeReported(said); !taken) {
    parts_.log.warn(
        "hub", "reported properties of a gateway below are left",
        {{"gateway", said.gateway}, {"principal", said.principal}, {"why", taken.error().text}});
    switch (taken.error().code) {
      case Errc::kInvalid: return tell(said, Kept::kYes);  // It would be whenever it came again.
      case Errc::kLimit: return tell(said, Kept::kNoRoom);
      default: return tell(said, Kept::kFailed);
    }
  }
  parts_.twins.sync([kept = said.kept](const Status& synced) {
    if (kept) kept(synced ? Kept::kYes : Kept::kFailed);
  });
}

// ---- who is there

const SessionRef* Children::sessionOf(const std::string& gateway, std::uint8_t interest) const {
  const auto at = children_.find(gateway);
  if (at == children_.end()) return nullptr;
  const auto& all = at->second.listeners;
  const auto last = std::find_if(all.rbegin(), all.rend(), [&](const Listener& one) {
    return (one.interests & interest) != 0;
  });
  return last == all.rend() ? nullptr : &last->session;
}

void Children::listen(const SessionRef& session, const std::string& gateway,
                      std::uint8_t interests) {
  // What it said and heard at its end is looked at when it may be gone already.
  const bool known = children_.contains(gateway);
  if (!known && (interests == 0 || registered(gateway) == nullptr)) return;
  Child& child = children_[gateway];
  const bool was = !child.listeners.empty();
  std::uint8_t before = 0;
  std::erase_if(child.listeners, [&](const Listener& one) {
    if (!(one.session == session)) return false;
    if (one.session.number == session.number) before = one.interests;
    return true;
  });
  if (interests != 0) child.listeners.push_back({session, interests});
  child.last_seen_ns = parts_.clock.wallNs();
  if (was != !child.listeners.empty()) {
    // What others said of where it is counts no more.
    if (was)
      whereabouts_->left("gateway/" + gateway);
    else
      whereabouts_->arrived("gateway/" + gateway);
    report(was ? "gateway.disconnected" : "gateway.connected", gateway,
           "Gateway " + gateway + (was ? " is no longer connected" : " is connected"));
    keep(gateway, [](const Status&) {});
  }
  const auto fresh = static_cast<std::uint8_t>(interests & ~before);
  if ((fresh & kTwinsBelow) != 0) sayAllDesired(gateway);
  if (sessionOf(gateway, kCloudBelow) == nullptr) {
    dropDevices(gateway);
  } else if ((fresh & kCloudBelow) != 0) {
    dropDevices(gateway);  // What an earlier session was handed comes to this one.
    serveDevices(gateway);
  }
}

void Children::takeMoved() {
  const std::map<std::string, std::string> moved = whereabouts_->takeMoved();
  judgeMoved(moved);
  keepMoved(moved);
  takeBack(moved);
  for (const auto& [place, learned] : moved) {
    const std::string gateway = whereabouts_->of(place);
    if (place.starts_with("device/") && sessionOf(gateway, kCloudBelow) != nullptr)
      serveDevice(gateway, place);
    if (sessionOf(gateway, kTwinsBelow) == nullptr) continue;
    for (const std::string& principal : parts_.twins.principalsOf(place))
      sayDesired(gateway, principal, parts_.twins.desired(principal));
  }
}

// Shards ask with the grants that a session had a moment ago.
void Children::judgeMoved(const std::map<std::string, std::string>& moved) {
  std::map<std::string, std::shared_ptr<const Principal>> speakers;
  for (const auto& [place, gateway] : moved) {
    whereabouts_->judgePlace(place, [&](const std::string& from, const std::string& principal) {
      const auto [at, first] = speakers.try_emplace(from);
      if (first) at->second = registered(from);
      return at->second != nullptr && at->second->mayActFor(principal);
    });
  }
}

void Children::arrived(const std::string& device) {
  whereabouts_->arrived(device);
  takeBack({{device, {}}});
}

// What an earlier gateway of these devices has and did not settle comes again, to whoever listens
// then.
void Children::takeBack(const std::map<std::string, std::string>& moved) {
  bool any = false;
  for (const auto& [device, gateway] : moved) {
    for (auto& [id, child] : children_) {
      if (id == gateway || child.served.erase(device) == 0) continue;
      any = true;
      if (cloud_ != nullptr) cloud_->unlisten(device);
    }
  }
  if (!any) return;
  std::erase_if(handed_, [&](const auto& one) {
    const auto at = moved.find(one.second.device);
    return at != moved.end() && at->second != one.second.gateway;
  });
}

void Children::keepMoved(const std::map<std::string, std::string>& moved) {
  std::vector<KeyValue::Write> rows;
  const auto write = [&] {
    parts_.store.keyValue().apply(std::exchange(rows, {}), [&log = parts_.log](const Status& kept) {
      if (!kept)
        log.error("hub", "where devices below are is not kept; after a restart it is learned again",
                  {{"why", kept.error().text}});
    });
  };
  for (const auto& [place, gateway] : moved) {
    rows.push_back({Whereabouts::kArea, place,
                    gateway.empty() ? std::nullopt : std::optional<std::string>(gateway)});
    if (rows.size() == kRowsTogether) write();
  }
  if (!rows.empty()) write();
}

// ---- down

void Children::say(const SessionRef& to, const std::string& gateway, const std::string& rest,
                   std::string_view payload, std::string_view name, std::string_view value) {
  mqtt::PropertyWriter writer;
  if (!name.empty()) writer.user(name, value);
  mqtt::Properties properties;
  properties.bytes = writer.bytes();
  const std::string topic = gatewayTopic(gateway, rest);
  Publication::Parts parts;
  parts.topic = topic;
  parts.payload = payload;
  parts.qos = mqtt::Qos::k1;
  parts.now_ns = parts_.clock.bootNs();
  parts.properties = &properties;
  parts_.deliver(to, Publication::make(parts));
}

void Children::sayDesired(const std::string& gateway, const std::string& principal,
                          const TwinSection& section) {
  const SessionRef* to = sessionOf(gateway, kTwinsBelow);
  if (to == nullptr || section.version == 0) return;  // It is told when it comes.
  say(*to, gateway, "twin/" + encodeLevels(nameBelow(principal, gateway)) + "/desired",
      withVersion(section));
}

void Children::sayAllDesired(const std::string& gateway) {
  for (const std::string& principal : parts_.twins.principals())
    if (gatewayOf(principal) == gateway)
      sayDesired(gateway, principal, parts_.twins.desired(principal));
}

void Children::call(const MethodCall& call) {
  const std::string gateway = gatewayOf(call.target);
  const SessionRef* to = sessionOf(gateway, kMethodsBelow);
  if (to == nullptr) {
    (void)parts_.methods.reply(
        call.id, kMethodTimeout,
        writeJson(json::object{{"message", call.target + " is behind gateway/" + gateway +
                                               ", which is not connected"}}));
    return;
  }
  const std::string id = toHex(randomBytes(16));
  calls_[id] = {call.id, gateway, {}, 0};
  call_ids_.push_back(id);
  if (call_ids_.size() > kCallsMax) {
    calls_.erase(call_ids_.front());
    call_ids_.pop_front();
  }
  say(*to, gateway,
      "methods/" + encodeLevels(nameBelow(call.target, gateway)) + "/" + encodeLevel(call.name) +
          "/" + id,
      call.payload, "kante-timeout-ms", std::to_string(call.timeout.count()));
}

// Nobody answers for another; parts come in their order, or the answer is none.
void Children::answerSaid(const Said& said) {
  const auto at = calls_.find(said.id);
  if (at == calls_.end() || at->second.gateway != said.gateway) return;
  Call& call = at->second;
  const std::string next = std::to_string(call.parts + 1) + "/";
  const bool in_order = said.part.empty() ? call.parts == 0 : said.part.starts_with(next);
  if (!in_order || call.answer.size() + said.payload.size() > kAnswerBytesMax) {
    (void)parts_.methods.reply(call.call, kMethodUnavailable,
                               R"({"message":"the answer came in pieces that do not fit"})");
    calls_.erase(at);
    return;
  }
  ++call.parts;
  call.answer += said.payload;
  if (said.part.empty() || said.part == next + std::to_string(call.parts)) answered(at);
}

void Children::answered(std::map<std::string, Call>::iterator at) {
  const Call call = std::move(at->second);
  calls_.erase(at);
  const auto answer = parseJsonObject(call.answer, kBounds);
  const int status = answer ? numberIn<int>(*answer, "status") : 0;
  if (status == 0) {
    (void)parts_.methods.reply(call.call, kMethodUnavailable,
                               R"({"message":"the answer of the gateway below is none"})");
    return;
  }
  const json::value* payload = answer->if_contains("payload");
  (void)parts_.methods.reply(call.call, status,
                             payload == nullptr ? std::string() : writeJson(*payload));
}

// ---- cloud-to-device messages

void Children::serveDevices(const std::string& gateway) {
  for (const std::string& device : whereabouts_->devicesBehind(gateway))
    serveDevice(gateway, device);
}

void Children::serveDevice(const std::string& gateway, const std::string& device) {
  if (cloud_ == nullptr || !children_[gateway].served.insert(device).second) return;
  cloud_->listen(
      device, [this, gateway, device](const MessageRef& message, std::shared_ptr<Receipt> receipt) {
        handOut(gateway, device, message, std::move(receipt));
      });
}

void Children::dropDevices(const std::string& gateway) {
  const auto at = children_.find(gateway);
  if (at == children_.end()) return;
  for (const std::string& device : std::exchange(at->second.served, {}))
    if (cloud_ != nullptr) cloud_->unlisten(device);
  std::erase_if(handed_, [&](const auto& one) { return one.second.gateway == gateway; });
}

void Children::handOut(const std::string& gateway, const std::string& device,
                       const MessageRef& message, std::shared_ptr<Receipt> receipt) {
  const SessionRef* to = sessionOf(gateway, kCloudBelow);
  if (to == nullptr) return;  // It comes again.
  std::string bag;
  writeBag(message.view(), nullptr, bag);
  if (bag.size() > kPropertyBytesMax) {
    parts_.log.warn("hub", "a message for a device is dropped: its properties are too long",
                    {{"device", device}, {"gateway", gateway}});
    return receipt->settled();
  }
  const std::string id = formatId(message.view().id());
  handed_[gateway + "/" + id] = {gateway, device, std::move(receipt), parts_.clock.bootNs()};
  say(*to, gateway, "c2d/" + encodeLevels(device) + "/" + id, message.view().body(), "kante-bag",
      bag);
}

void Children::cloudSaid(const Said& said) {
  const auto at = handed_.find(said.gateway + "/" + said.id);
  if (at == handed_.end()) return;
  const auto answer = parseJsonObject(said.payload, kBounds);
  const int status = answer ? numberIn<int>(*answer, "status") : 0;
  if (status >= 200 && status < 300) at->second.receipt->settled();
  handed_.erase(at);
}

void Children::tickLater() {
  timer_.expires_after(kTick);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    const std::int64_t now_ns = parts_.clock.bootNs();
    std::erase_if(handed_,
                  [&](const auto& one) { return now_ns - one.second.since_ns > kCloudNs; });
    tickLater();
  });
}

}  // namespace kante::hub
