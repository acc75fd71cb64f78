#include "host/hub/http/device_endpoints.h"

#include <boost/asio/post.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <utility>
#include <vector>

#include "host/base/encoding.h"
#include "host/hub/http/device_request.h"

namespace kante::hub {
namespace {

namespace json = boost::json;
using Action = DeviceRoute::Action;

// As IoT Hub says it, and its SDKs read it.
WebResponse hubError(unsigned status, const char* code, const std::string& text) {
  WebResponse out;
  out.status = status;
  out.body = json::serialize(json::object{
      {"Message", std::string("ErrorCode:") + code + ";" + text}, {"ExceptionMessage", ""}});
  out.fields.emplace_back("iothub-errorcode", code);
  if (status == 429 || status == 503) out.fields.emplace_back("Retry-After", "1");
  return out;
}

WebResponse hubError(const Error& error) {
  switch (error.code) {
    case Errc::kInvalid:
    case Errc::kCorrupt: return hubError(400, "ArgumentInvalid", error.text);
    case Errc::kDenied: return hubError(403, "IotHubUnauthorizedAccess", error.text);
    case Errc::kNotFound: return hubError(412, "DeviceMessageLockLost", error.text);
    case Errc::kLimit: return hubError(429, "ThrottlingException", error.text);
    case Errc::kUnavailable:
    case Errc::kState: return hubError(503, "ServiceUnavailable", error.text);
    default: return hubError(500, "ServerError", error.text);
  }
}

WebResponse done(const Status& status) {
  if (!status) return hubError(status.error());
  WebResponse out;
  out.status = 204;
  return out;
}

// One answer for many messages: the first that failed decides, when all are done.
class Together {
 public:
  Together(std::size_t count, WebAnswer answer) : left_(count), answer_(std::move(answer)) {}
  void one(const Status& status) {
    if (!status && first_) first_ = status;
    if (--left_ == 0) answer_(done(first_));
  }

 private:
  std::size_t left_;
  Status first_;
  const WebAnswer answer_;
};

void send(DeviceApi& api, const DeviceApi::Asker& asker, std::vector<DeviceMessage> messages,
          const WebAnswer& answer) {
  const auto together = std::make_shared<Together>(messages.size(), answer);
  for (DeviceMessage& message : messages)
    api.send(asker, asker->name(), std::move(message),
             [together](const Status& status) { together->one(status); });
}

void receive(DeviceApi& api, const DeviceApi::Asker& asker, const WebAnswer& answer) {
  api.receive(asker, [answer](const Result<std::optional<DeviceApi::CloudMessage>>& received) {
    if (!received) return answer(hubError(received.error()));
    if (!*received) return answer(done(Status()));
    answer(answerOf(**received));
  });
}

// A status of the host's own comes as nothing but a message; whatever else is the method's answer.
bool isOurs(int status, const json::value& payload) {
  const auto* const object = payload.if_object();
  const bool said = object != nullptr && object->size() == 1 && object->contains("message");
  return said && (status == DeviceApi::kMethodDenied || status == kMethodBadRequest ||
                  status == kMethodNotFound || status == kMethodTooMany ||
                  status == kMethodUnavailable || status == kMethodTimeout);
}

WebResponse methodAnswer(int status, const std::string& payload) {
  boost::system::error_code bad;
  json::value value = json::parse(payload.empty() ? "null" : payload, bad);
  if (bad) return webError(500, "The method answered no JSON");
  if (isOurs(status, value))
    return webError(static_cast<unsigned>(status), std::string(value.at("message").as_string()));
  WebResponse out;
  out.body = json::serialize(json::object{{"status", status}, {"payload", std::move(value)}});
  return out;
}

void invoke(DeviceApi& api, const DeviceApi::Asker& asker, MethodRequest call,
            const WebAnswer& answer) {
  api.invoke(asker, std::move(call), [answer](int status, const std::string& payload) {
    answer(methodAnswer(status, payload));
  });
}

// The token of a request; empty: it has none, and a certificate has to do.
std::string tokenOf(const WebRequest& request) {
  const std::string* const field = request.field("authorization");
  return field == nullptr ? std::string() : *field;
}

WebResponse refused(const DeviceRoute& route, const std::string& token) {
  // Why is in the log; who is refused hears no more than that.
  WebResponse out = route.action == Action::kInvoke
                        ? webError(401, "Unauthorized")
                        : hubError(401, "IotHubUnauthorizedAccess", "Unauthorized");
  if (token.empty()) out.fields.emplace_back("WWW-Authenticate", "SharedAccessSignature");
  out.close = true;  // Who guesses has to come again, which is limited.
  return out;
}

// Whose call it is: "device/ID/module/NAME" of "ID/NAME".
std::optional<DeviceRoute> callerOf(const WebRequest& request) {
  const std::string* const field = request.field("x-ms-edge-moduleid");
  const auto slash = field == nullptr ? std::string::npos : field->find('/');
  if (slash == std::string::npos) return std::nullopt;
  const auto device = percentDecode(field->substr(0, slash));
  const auto module = percentDecode(field->substr(slash + 1));
  if (!device || !module || device->empty() || module->empty() ||
      module->find('/') != std::string::npos)
    return std::nullopt;
  DeviceRoute out;
  out.action = Action::kInvoke;
  out.device = *device;
  out.module = *module;
  return out;
}

}  // namespace

void DeviceEndpoints::handle(WebRequest request, const Peer& peer, WebAnswer answer) {
  RouteFault fault;
  const auto route = routeOf(request, fault);
  if (!route) return answer(hubError(fault.status, fault.code, fault.text));
  const bool invokes = route->action == Action::kInvoke;
  const auto caller = invokes ? callerOf(request) : route;
  if (!caller)
    return answer(webError(400, "The field x-ms-edge-moduleId has to name the caller: ID/MODULE"));
  const std::string token = tokenOf(request);
  const Admission admission =
      parts_->access.verify({peer, caller->principal(), token, caller->resource()});
  if (!admission.principal) return answer(refused(*route, token));

  // What can be refused without the control thread is.
  std::vector<DeviceMessage> messages;
  MethodRequest call;
  if (route->action == Action::kSend) {
    auto read = messagesOf(request, kBatchMax);
    if (!read && read.error().code == Errc::kLimit)
      return answer(hubError(413, "MessageTooLarge", read.error().text));
    if (!read) return answer(hubError(read.error()));
    messages = std::move(*read);
  } else if (invokes) {
    auto read = callOf(request);
    if (!read) return answer(webError(400, read.error().text));
    call = std::move(*read);
    const bool ours = route->device == parts_->gateway && !route->module.empty();
    call.target = ours ? "module/" + route->module : route->principal();
  }
  boost::asio::post(parts_->control,
                    [weak = std::weak_ptr(parts_), route = *route, asker = admission.principal,
                     messages = std::move(messages), call = std::move(call),
                     answer = std::move(answer)]() mutable {
                      const auto parts = weak.lock();
                      if (!parts) return;
                      DeviceApi& api = parts->api;
                      const auto settle = [&](DeviceApi::Settlement how) {
                        api.settle(asker, route.lock_token, how,
                                   [answer](const Status& status) { answer(done(status)); });
                      };
                      switch (route.action) {
                        case Action::kSend: return send(api, asker, std::move(messages), answer);
                        case Action::kReceive: return receive(api, asker, answer);
                        case Action::kComplete: return settle(DeviceApi::Settlement::kComplete);
                        case Action::kReject: return settle(DeviceApi::Settlement::kReject);
                        case Action::kAbandon: return settle(DeviceApi::Settlement::kAbandon);
                        case Action::kInvoke: return invoke(api, asker, std::move(call), answer);
                      }
                    });
}

}  // namespace kante::hub
