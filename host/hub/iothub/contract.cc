#include "host/hub/iothub/contract.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <utility>

#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/base/metrics.h"
#include "host/hub/gateways/gateway_desk.h"
#include "host/hub/iothub/property_bag.h"

namespace kante::hub {
namespace {

constexpr int kOk = 200;
constexpr int kNoContent = 204;
constexpr int kBad = 400;
constexpr int kDenied = 403;
constexpr int kInternal = 500;
constexpr std::string_view kGatewayPrefix = "gateway/";

int statusOf(const Error& error) {
  switch (error.code) {
    case Errc::kInvalid:
    case Errc::kLimit:
    case Errc::kCorrupt: return kBad;
    case Errc::kDenied: return kDenied;
    default: return kInternal;
  }
}

// Clients in C# read it as a GUID.
std::string newRid() {
  std::string hex = toHex(randomBytes(16));
  hex[12] = '4';
  hex[16] = 'a';
  for (const std::size_t at : {20u, 16u, 12u, 8u}) hex.insert(at, 1, '-');
  return hex;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// "device/ID" → "ID"; empty: no device itself.
std::string_view deviceOf(std::string_view principal) {
  if (!principal.starts_with("device/")) return {};
  principal.remove_prefix(7);
  return principal.find('/') == std::string_view::npos ? principal : std::string_view();
}

Error noTwin(const std::string& who) { return fail(Errc::kDenied, who + " may not use its twin"); }

// It was removed after its request was let in.
Error gone() { return fail(Errc::kDenied, "this identity was removed"); }

}  // namespace

// What a client asked, on its way to the control thread.
struct Contract::Asked {
  SessionRef from;
  std::shared_ptr<const Principal> principal;
  ContractTopic::Kind kind = ContractTopic::Kind::kNone;
  int status = 0;
  std::string rid;
  std::string payload;
  std::shared_ptr<void> open;  // Counts it until it is answered.
};

Contract::Contract(Parts parts)
    : parts_(std::move(parts)), alive_(std::make_shared<Contract*>(this)) {}

Contract::~Contract() { *alive_ = nullptr; }

Result<std::unique_ptr<Contract>> Contract::open(Parts parts) {
  std::unique_ptr<Contract> out(new Contract(std::move(parts)));
  KANTE_TRY(cloud, CloudMessages::open(out->parts_.control, out->parts_.store));
  out->cloud_ = std::move(cloud);
  out->desired_ = out->parts_.twins.observeDesired(
      [self = out.get()](const Twins::Change& change) { self->desiredChanged(change); });
  return out;
}

void Contract::post(std::function<void()> task) {
  boost::asio::post(parts_.control, [alive = alive_, task = std::move(task)] {
    if (*alive != nullptr) task();
  });
}

// ---- from the shards

Desk::Request Contract::take(const SessionRef& from,
                             const std::shared_ptr<const Principal>& principal,
                             const ContractTopic& topic, std::string_view payload) {
  if (payload.size() > kAskedBytesMax) return {};
  std::shared_ptr<void> open = open_->enter(principal->name(), payload.size());
  if (!open) return {};
  // Shared because a function is copied about.
  auto asked = std::make_shared<const Asked>(Asked{from, principal, topic.kind, topic.status,
                                                   std::string(topic.rid), std::string(payload),
                                                   std::move(open)});
  return [&control = parts_.control, alive = alive_, asked = std::move(asked)] {
    boost::asio::post(control, [alive, asked] {
      if (*alive != nullptr) (*alive)->answer(*asked);
    });
  };
}

void Contract::interested(const SessionRef& session, const std::string& principal,
                          std::uint8_t interests) {
  if (principal.starts_with(kGatewayPrefix) && parts_.gateways != nullptr)
    return parts_.gateways->hears(session, principal.substr(kGatewayPrefix.size()), interests);
  if (!changed_.put(session, principal, interests)) return;
  post([this] {
    for (const auto& one : changed_.takeAll()) listen(one.session, one.who, one.interests);
  });
}

void Contract::answer(const Asked& asked) {
  if (!parts_.access.current(*asked.principal)) return;
  switch (asked.kind) {
    case ContractTopic::Kind::kTwinGet: return getTwin(asked);
    case ContractTopic::Kind::kReported: return report(asked);
    case ContractTopic::Kind::kMethodAnswer: return methodAnswered(asked);
    default: return;
  }
}

// ---- what leaves

void Contract::say(const SessionRef& to, std::string_view topic, std::string_view payload) {
  Publication::Parts parts;
  parts.topic = topic;
  parts.payload = payload;
  parts.qos = mqtt::Qos::k1;
  parts.now_ns = parts_.clock.bootNs();
  parts_.deliver(to, Publication::make(parts));
}

void Contract::sayTwin(const SessionRef& to, int status, const std::string& rid,
                       std::string_view body) {
  if (!rid.empty()) say(to, twinAnswerTopic(status, rid), body);
}

// ---- twins

// There are SDKs that look at nothing but `errorCode`.
void Contract::refuseTwin(const SessionRef& to, const std::string& rid, const Error& error) {
  const int status = statusOf(error);
  sayTwin(to, status, rid,
          writeJson(boost::json::object{{"errorCode", status * 1000}, {"message", error.text}}));
}

void Contract::getTwin(const Asked& asked) {
  const std::string& who = asked.principal->name();
  if (!asked.principal->mayUseTwin(who)) return refuseTwin(asked.from, asked.rid, noTwin(who));
  sayTwin(asked.from, kOk, asked.rid,
          "{\"desired\":" + desiredFor(who, parts_.twins.desired(who)) +
              ",\"reported\":" + withVersion(parts_.twins.reported(who)) + "}");
}

std::string Contract::desiredFor(const std::string& principal, TwinSection desired) const {
  return withVersion(parts_.told ? parts_.told(principal, std::move(desired)) : desired);
}

void Contract::report(const Asked& asked) {
  const std::string& who = asked.principal->name();
  if (!asked.principal->mayUseTwin(who)) return refuseTwin(asked.from, asked.rid, noTwin(who));
  const auto version = parts_.twins.patchReported(who, asked.payload);
  if (!version) return refuseTwin(asked.from, asked.rid, version.error());
  parts_.twins.sync([this, alive = alive_, to = asked.from, rid = asked.rid,
                     open = asked.open](const Status& synced) {
    if (*alive == nullptr) return;
    if (!synced) return refuseTwin(to, rid, synced.error());
    sayTwin(to, kNoContent, rid, {});
  });
}

void Contract::desiredChanged(const Twins::Change& change) {
  const auto at = here_.find(change.principal);
  if (at == here_.end()) return;
  const std::string body =
      desiredFor(change.principal, TwinSection{change.patch, change.section.version});
  const std::string topic = desiredPatchTopic(change.section.version);
  for (const Listener& one : at->second.listeners) {
    if ((one.interests & kDesiredPatches) == 0) continue;
    ++patches_;
    say(one.session, topic, body);
  }
}

// ---- who is there

void Contract::listen(const SessionRef& session, const std::string& principal,
                      std::uint8_t interests) {
  Here& here = here_[principal];
  const bool was = !here.listeners.empty();
  std::erase_if(here.listeners, [&](const Listener& one) { return one.session == session; });
  if (interests != 0) here.listeners.push_back({session, interests});
  const bool is = !here.listeners.empty();
  // One at a time takes what is for a device: a gateway below, or its sessions here.
  GatewayDesk* const gateways =
      was == is || deviceOf(principal).empty() ? nullptr : parts_.gateways;
  if (gateways != nullptr && is) gateways->arrived(principal);
  serve(principal, here);
  if (!is) here_.erase(principal);
  if (gateways != nullptr && !is) gateways->left(principal);
}

// Of several sessions the one that came last answers for the principal.
void Contract::serve(const std::string& principal, Here& here) {
  const auto last = [&](std::uint8_t interest) -> const Listener* {
    const auto at =
        std::find_if(here.listeners.rbegin(), here.listeners.rend(),
                     [&](const Listener& one) { return (one.interests & interest) != 0; });
    return at == here.listeners.rend() ? nullptr : &*at;
  };
  if (last(kMethodCalls) == nullptr) {
    here.methods.reset();
  } else if (!here.methods) {
    here.methods = parts_.methods.add(
        principal, [this, principal](const MethodCall& call_) { call(principal, call_); });
  }
  if (deviceOf(principal).empty()) return;
  const Listener* cloud = last(kCloudMessages);
  const SessionRef now = cloud == nullptr ? SessionRef() : cloud->session;
  if (now == here.cloud) return;
  here.cloud = now;
  cloud_->unlisten(principal);
  if (cloud == nullptr) return;
  cloud_->listen(principal, [this, now, principal](const MessageRef& message,
                                                   std::shared_ptr<Receipt> receipt) {
    std::string topic = deviceboundTopic(deviceOf(principal));
    writeBag(message.view(), nullptr, topic);
    Publication::Parts parts;
    parts.topic = topic;
    parts.message = message;
    parts.qos = mqtt::Qos::k1;
    parts.now_ns = parts_.clock.bootNs();
    parts.receipt = std::move(receipt);
    parts_.deliver(now, Publication::make(parts));
  });
}

// ---- methods

void Contract::call(const std::string& principal, const MethodCall& call) {
  const auto here = here_.find(principal);
  if (here == here_.end()) return;
  const auto& listeners = here->second.listeners;
  const auto to = std::find_if(listeners.rbegin(), listeners.rend(), [](const Listener& one) {
    return (one.interests & kMethodCalls) != 0;
  });
  if (to == listeners.rend()) return;
  const std::string rid = newRid();
  calls_[rid] = {call.id, principal};
  rids_.push_back(rid);
  if (rids_.size() > kMethodsMax) {
    calls_.erase(rids_.front());
    rids_.pop_front();
  }
  ++methods_;
  say(to->session, methodTopic(call.name, rid), call.payload);
}

// Nobody answers for another: the call is its own, or nobody's.
void Contract::methodAnswered(const Asked& asked) {
  const auto at = calls_.find(lower(asked.rid));
  if (at == calls_.end() || at->second.principal != asked.principal->name()) return;
  const std::uint64_t call = at->second.call;
  calls_.erase(at);
  (void)parts_.methods.reply(call, asked.status, asked.payload);
}

// ---- for other protocols

void Contract::send(const Asker& asker, const std::string& principal, DeviceMessage message,
                    Done done) {
  std::string topic = "devices/";
  const auto slash = principal.find("/module/");
  if (principal.starts_with("module/")) {
    topic += parts_.gateway_id + "/modules/" + principal.substr(7);
  } else {
    topic += principal.substr(7, slash == std::string::npos ? slash : slash - 7);
    if (slash != std::string::npos) topic += "/modules/" + principal.substr(slash + 8);
  }
  const bool own = principal == asker->name();
  if (!parts_.access.current(*asker)) return post([done = std::move(done)] { done(gone()); });
  if ((!own && !asker->mayActFor(principal)) || !asker->mayPublish(topic + "/messages/events"))
    return post([done = std::move(done), who = asker->name(), principal] {
      done(fail(Errc::kDenied, who + " may not send as " + principal));
    });
  parts_.telemetry(principal, std::move(message), std::move(done));
}

void Contract::invoke(const Asker& asker, MethodRequest request, Methods::Answer answer) {
  if (!parts_.access.current(*asker)) {
    return post([answer = std::move(answer)] {
      answer(kMethodDenied, writeJson(boost::json::object{{"message", gone().text}}));
    });
  }
  if (!asker->mayCall(request.target, request.name)) {
    return post([answer = std::move(answer), who = asker->name(), request] {
      answer(kMethodDenied,
             writeJson(boost::json::object{{"message", who + " is not granted method:" +
                                                           request.target + "/" + request.name}}));
    });
  }
  request.caller = asker->name();
  parts_.methods.invoke(std::move(request), std::move(answer));
}

void Contract::receive(const Asker& asker, Received received) {
  if (!parts_.access.current(*asker))
    return post([received = std::move(received)] { received(gone()); });
  if (!deviceOf(asker->name()).empty()) return cloud_->receive(asker->name(), std::move(received));
  post([received = std::move(received)] {
    received(fail(Errc::kDenied, "only devices get cloud-to-device messages"));
  });
}

void Contract::settle(const Asker& asker, const std::string& lock_token, Settlement how,
                      Done done) {
  if (!parts_.access.current(*asker)) return post([done = std::move(done)] { done(gone()); });
  cloud_->settle(asker->name(), lock_token, how, std::move(done));
}

void Contract::sendTo(const std::string& device, DeviceMessage message, Done done) {
  if (!deviceOf(device).empty()) return cloud_->send(device, message, std::move(done));
  post([done = std::move(done), device] {
    done(fail(Errc::kInvalid, device + " is no device/ID, and only devices get messages"));
  });
}

void Contract::removed(const std::string& principal) {
  if (!deviceOf(principal).empty()) cloud_->remove(principal);
}

void Contract::collect(MetricWriter& metrics) const {
  const auto number = [](std::uint64_t value) { return static_cast<double>(value); };
  metrics.counter("kante_device_methods_total", "Direct methods handed to devices", {},
                  number(methods_));
  metrics.counter("kante_device_patches_total", "Desired patches handed to devices", {},
                  number(patches_));
  metrics.counter("kante_cloud_messages_total", "Cloud-to-device messages handed out",
                  {{"result", "delivered"}}, number(cloud_->delivered()));
  metrics.counter("kante_cloud_messages_total", "Cloud-to-device messages handed out",
                  {{"result", "returned"}}, number(cloud_->returned()));
}

}  // namespace kante::hub
